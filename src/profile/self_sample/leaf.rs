//! Gives `pprof` the innermost frame, which its walk along frame pointers leaves out: it begins with the *return address* of
//! the frame that runs, so the time of a function would count for its caller.
//!
//! A handler around pprof's puts a frame of its own below the chain, made as if the interrupted instruction were a return address:
//!
//! ```text
//! frame pointer register ──▶ ┌ saved frame pointer ──▶ the interrupted function's frame ──▶ its caller's ──▶ …
//!   (as pprof reads it)      └ interrupted instruction
//! ```
//! The frame is on the handler's own stack, below the interrupted one, so the chain still climbs as pprof demands.
#![allow(unsafe_code, reason = "a signal handler that reads the interrupted registers")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};

type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Address of pprof's handler; 0 until [`install`] has found it.
static INNER: AtomicUsize = AtomicUsize::new(0);

/// Puts the handler around the one that pprof has just installed for `SIGPROF`.
///
/// # Errors
/// The kernel's, which has no reason to refuse.
pub(super) fn install() -> io::Result<()> {
    let mut installed = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given; the kernel and libc write a whole `sigaction` to `installed`, which lives over the call.
    let status = unsafe { libc::sigaction(libc::SIGPROF, std::ptr::null(), installed.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above succeeded, so it has written the structure.
    let mut action = unsafe { installed.assume_init() };
    let outer: Handler = with_innermost_frame;
    if action.sa_sigaction == outer as usize || action.sa_flags & libc::SA_SIGINFO == 0 {
        return Err(io::Error::other("SIGPROF is not handled by pprof"));
    }
    // ORDERING: Release; pairs with the Acquire in the handler, which runs only once the action below is installed.
    INNER.store(action.sa_sigaction, Release);
    action.sa_sigaction = outer as usize;
    // SAFETY: `action` is pprof's own with another handler of the same signature, which is safe to run in a signal: it does
    // nothing but arithmetic and the call to pprof's.
    let status = unsafe { libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What pprof reads as a frame: the layout that the compiler's frame pointers make.
#[repr(C)]
struct Frame {
    saved_frame_pointer: u64,
    return_address: u64,
}

unsafe extern "C" fn with_innermost_frame(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // ORDERING: Acquire; pairs with the Release in `install`.
    let inner = INNER.load(Acquire);
    // SAFETY: `install` stored the address of a handler that was installed with SA_SIGINFO, so it has this signature, before it
    // made this function the handler.
    let inner = unsafe { std::mem::transmute::<usize, Handler>(inner) };
    // SAFETY: with SA_SIGINFO the kernel passes a `ucontext_t` that is the handler's own until it returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let (frame_pointer, instruction) = registers(context);
    let interrupted = *frame_pointer;
    let frame = Frame { saved_frame_pointer: interrupted, return_address: instruction };
    *frame_pointer = std::ptr::from_ref(&frame).addr() as u64;
    // SAFETY: pprof's handler gets what the kernel gave, but for a frame pointer that leads to `frame`, which lives over the call.
    unsafe { inner(signal, info, std::ptr::from_mut(context).cast()) };
    // The kernel restores the registers from the context: it must find the program's own.
    *registers(context).0 = interrupted;
}

/// The frame pointer, to be changed, and the interrupted instruction.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn registers(context: &mut libc::ucontext_t) -> (&mut u64, u64) {
    let registers = &mut context.uc_mcontext.gregs;
    let instruction = registers[libc::REG_RIP as usize].cast_unsigned();
    let frame_pointer = &mut registers[libc::REG_RBP as usize];
    (unsigned(frame_pointer), instruction)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn unsigned(register: &mut i64) -> &mut u64 {
    // SAFETY: both types have one size and alignment, every bit pattern is valid for both, and the borrow passes on.
    unsafe { &mut *std::ptr::from_mut(register).cast::<u64>() }
}

/// The frame pointer, to be changed, and the interrupted instruction.
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
fn registers(context: &mut libc::ucontext_t) -> (&mut u64, u64) {
    let machine = &mut context.uc_mcontext;
    (&mut machine.regs[29], machine.pc)
}

/// The frame pointer, to be changed, and the interrupted instruction.
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
fn registers(context: &mut libc::ucontext_t) -> (&mut u64, u64) {
    // SAFETY: the kernel passes a context with the registers of the thread, which are the handler's own until it returns.
    let state = unsafe { &mut (*context.uc_mcontext).__ss };
    (&mut state.__fp, state.__pc)
}

/// The frame pointer, to be changed, and the interrupted instruction.
#[cfg(all(target_os = "macos", target_arch = "x86_64"))]
fn registers(context: &mut libc::ucontext_t) -> (&mut u64, u64) {
    // SAFETY: the kernel passes a context with the registers of the thread, which are the handler's own until it returns.
    let state = unsafe { &mut (*context.uc_mcontext).__ss };
    (&mut state.__rbp, state.__rip)
}
