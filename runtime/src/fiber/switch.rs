//! The switch between a worker's stack and a goroutine's, and from goroutine to goroutine (`direct.rs`), for x86-64 and the
//! System V calling convention.
//!
//! All are the same few instructions: the side that leaves pushes the registers that the compiler cannot be told about (RBP,
//! RBX) and the address where it goes on, stores its stack pointer, loads the other's, and *jumps*, with a message in RDX. All
//! other registers are declared overwritten, so the compiler saves those that it needs. The floating-point control words stay
//! as they are: no code of Rust's changes them.
//!
//! ```text
//! suspended (a worker or a goroutine)      not begun
//!   │ its frames       │                     │ header     │ ◀─ top, aligned to 64
//!   │ RBP              │                     │ body       │ ◀─ aligned to 16, up to 64
//!   │ RBX              │                     │ place      │
//!   │ where to go on   │ ◀─ `sp`             │ body's     │    its address
//!                                            │ `main::<F>`│
//!                                            │ `begin`    │ ◀─ `sp`
//! ```
//!
//! Why not corosensei's (`portable.rs`), which does nothing else: it goes there by `call` and back by `ret`. A processor
//! predicts a `ret` by the calls before it. Between two of a goroutine's switches its worker calls and returns, and vice
//! versa; with `call` and `ret` at the seam each level of calls between the seam and the loops on both sides is one
//! wrong prediction of some 20 cycles. With jumps either side's calls and returns are balanced as seen from the other,
//! and a jump has few targets: `resume` is inlined into the worker's loop, and who leaves does so in a function for yields, one for each
//! kind of park, and one for what is rare (`current.rs`), or, where it has pledged to, in the operation itself.
//!
//! **Balance.** That goes for a goroutine that begins or ends between two switches of another one, too: each call of its
//! own that does not return is a wrong prediction for that one, 5 ns. So it begins without a call, and `main` asks for the way
//! out by a call that returns, and takes it itself. Who waits does likewise, and as far out as is sensible (`Pledge::keep` is
//! inlined into the operation): what lies between the operation and the switch returns to different places in
//! different goroutines.
//!
//! Unwinding ends in `main`, which catches; a backtrace ends in `begin`, which says that no one called it.

use super::{BODY_BYTES, Suspend, run_body};
use crate::current;
use crate::direct::{self, Left};
use crate::stack::{HEADER_ALIGN, Stack};
use std::arch::{asm, global_asm};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::{process, ptr};

/// A computation on a stack of its own. Dropped unfinished, it is leaked with its stack: others may hold references to
/// what lives there.
pub(crate) struct Fiber {
    /// Where the goroutine goes on, while it does not run.
    sp: NonZeroUsize,
    stack: Stack,
}

thread_local! {
    /// Where the worker of this thread goes on, while a goroutine runs.
    static BACK: Cell<usize> = const { Cell::new(0) };
}

unsafe extern "C" {
    /// Where a fiber begins: it takes the rest of the picture above off the stack, and goes to `main`.
    fn corefit_runtime_fiber_begin();
}

global_asm!(
    ".pushsection .text.corefit_runtime_fiber_begin,\"ax\",@progbits",
    ".balign 16",
    ".globl corefit_runtime_fiber_begin",
    ".hidden corefit_runtime_fiber_begin",
    ".type corefit_runtime_fiber_begin,@function",
    "corefit_runtime_fiber_begin:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    // `main::<F>`, its first two arguments, and then the stack is aligned to 16. The third came with the switch, in RDX.
    "pop rax",
    "pop rdi",
    "pop rsi",
    // The chain of frame pointers ends here.
    "xor ebp, ebp",
    // `main` does not return, so it is not called: see "Balance" in the module docs. But it looks as if it were.
    "lea rcx, [rip + 2f]",
    "push rcx",
    "jmp rax",
    "2:",
    // A return address at the very end of a function would belong to the next one.
    "ud2",
    ".cfi_endproc",
    ".size corefit_runtime_fiber_begin, . - corefit_runtime_fiber_begin",
    ".popsection",
);

/// Leaves this stack for that at `to`, with `message`; returns, when someone switches to what is stored at `from`, the
/// message that came.
///
/// # Safety
/// `to` was stored by a `switch` that no one has gone back to, or is the `sp` of a fiber that has not begun. `from` is
/// valid for a write. Who goes on, and this side when it is gone back to, are not run by anyone else.
// Always inlined: see the module docs.
#[inline(always)]
unsafe fn switch(from: *mut usize, to: usize, message: usize) -> usize {
    let answer;
    // SAFETY: the contract of this function. All registers are saved here or declared overwritten; the stack is as it was
    // when the second label is reached.
    unsafe {
        asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov [rdi], rsp",
            "mov rsp, rsi",
            "pop rax",
            "jmp rax",
            "2:",
            "pop rbx",
            "pop rbp",
            in("rdi") from,
            in("rsi") to,
            inlateout("rdx") message => answer,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    answer
}

impl Fiber {
    /// A fiber that will run `body` on `stack`. It must be written to `place` before it is resumed.
    pub(crate) fn new<F: FnOnce() + Send + 'static>(stack: Stack, place: *mut Self, body: F) -> Self {
        if size_of::<F>() > BODY_BYTES || align_of::<F>() > HEADER_ALIGN {
            return Self::with(stack, place, Box::new(body));
        }
        Self::with(stack, place, body)
    }

    /// As `new`, for a body that fits.
    fn with<F: FnOnce() + Send + 'static>(stack: Stack, place: *mut Self, body: F) -> Self {
        let top = stack.header().address();
        let body_at = (top - size_of::<F>()) & !(align_of::<F>().max(16) - 1);
        // SAFETY: below the header, in memory of the stack, which this function owns; aligned by the line above.
        unsafe { ptr::with_exposed_provenance_mut::<F>(body_at).write(body) };
        let begin: unsafe extern "C" fn() = corefit_runtime_fiber_begin;
        let main: unsafe extern "C" fn(*mut F, *mut Self, usize) -> ! = main::<F>;
        let frame = [begin as usize, main as usize, body_at, place.expose_provenance()];
        let sp = body_at - size_of_val(&frame);
        // SAFETY: as above; `body_at` is a multiple of 16, and so is this.
        unsafe { ptr::with_exposed_provenance_mut::<[usize; 4]>(sp).write(frame) };
        Self { sp: NonZeroUsize::new(sp).expect("no stack is at address 0"), stack }
    }

    /// Runs it until it suspends or ends, and says which.
    ///
    /// # Safety
    /// It lies where it was said to; it has not ended, and no one else runs it.
    // Always inlined: see the module docs.
    #[inline(always)]
    pub(crate) unsafe fn resume(this: *mut Self) -> Suspend {
        // SAFETY: no one runs it, so no one else accesses it.
        let to = unsafe { (*this).sp }.get();
        // The worker's own stack stays on its thread, and so this address may be kept over the switch.
        let from = BACK.with(Cell::as_ptr);
        // SAFETY: `to` is from `new`, or from the `Exit` that has suspended it, and this caller alone goes there.
        Suspend::from_number(unsafe { switch(from, to, 0) })
    }

    /// The way of whoever runs here to the worker of this thread.
    pub(crate) fn exit(why: Suspend) -> Exit {
        let to = NonZeroUsize::new(BACK.get()).expect("a worker went on to whoever runs here");
        Exit { to, message: why as usize }
    }

    /// The way of whoever runs here to `other`.
    ///
    /// # Safety
    /// As `resume` for `other`.
    #[inline(always)]
    pub(crate) unsafe fn exit_to(other: *mut Self, left: Left) -> Exit {
        // SAFETY: no one runs `other`, so no one else accesses it.
        Exit { to: unsafe { (*other).sp }, message: left.into_message() }
    }

    /// The lowest address of what it will touch when it is resumed.
    ///
    /// # Safety
    /// It lies where it was said to, and no one runs it.
    pub(crate) unsafe fn goes_on_at(this: *const Self) -> *const u8 {
        // SAFETY: no one runs it, so no one else accesses it.
        ptr::without_provenance(unsafe { (*this).sp }.get())
    }

    /// The stack of one that has ended.
    pub(crate) fn into_stack(self) -> Stack {
        self.stack
    }
}

/// A way out of a goroutine's stack. Two words, which fit into registers.
pub(crate) struct Exit {
    to: NonZeroUsize,
    message: usize,
}

impl Exit {
    /// Whether it may lead to another goroutine.
    pub(crate) const CAN_BE_DIRECT: bool = true;

    /// Leaves the stack of `fiber`; returns when it is gone back to.
    ///
    /// # Safety
    /// The caller runs on that stack, for which this was made just now, on this thread.
    #[inline(always)]
    pub(crate) unsafe fn take(self, fiber: *mut Fiber) {
        // SAFETY: a place within `fiber`, which no one else accesses while it runs.
        let from = unsafe { &raw mut (*fiber).sp };
        // SAFETY: `to` is where a worker's `resume` waits, or what `resume` would go to: of one who waits to be run, by
        // the contract of `exit_to`. What is then found in `from` is run by one worker, by the contract of `resume`.
        let message = unsafe { switch(from.cast(), self.to.get(), self.message) };
        // SAFETY: whoever goes to a fiber sends 0 (`resume`) or who it has left (`exit_to`).
        if let Some(left) = unsafe { Left::from_message(message) } {
            direct::arrive(left);
        }
    }
}

/// The first function on a fiber's stack.
///
/// # Safety
/// Called by `begin` only: `body` is on the stack and is read once; `fiber` runs here; `message` is that of the switch.
unsafe extern "C" fn main<F: FnOnce()>(body: *mut F, fiber: *mut Fiber, message: usize) -> ! {
    // SAFETY: as in `Exit::take`.
    if let Some(left) = unsafe { Left::from_message(message) } {
        direct::arrive(left);
    }
    // SAFETY: written by `new`, and read here only.
    run_body(unsafe { body.read() });
    // SAFETY: it runs here. No one goes back: a fiber that has ended is not resumed.
    unsafe { way_out_at_end().take(fiber) };
    process::abort()
}

// Never inlined: it looks at thread-locals after switches.
#[inline(never)]
fn way_out_at_end() -> Exit {
    // Outside a runtime (tests) there is nowhere to go but back.
    current::way_out::<{ Suspend::End as usize }>().unwrap_or_else(|| Fiber::exit(Suspend::End))
}
