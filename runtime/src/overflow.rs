//! Stack overflow: one clear line instead of a bare "segmentation fault".
//!
//! The handler runs on the thread's alternate stack. If the address is in the guard page of the goroutine that runs on
//! this thread, it says so and aborts; everything else goes to whoever handled the signal before (Rust's own handler, which
//! knows the stacks of threads).
#![allow(unsafe_code, reason = "installing a signal handler is a matter of system calls")]

use crate::current;
use crate::primitives::{Once, OnceLock};
use crate::trace::{self, End};
use std::fmt::{self, Write as _};
use std::{mem, process, ptr};

/// What an access to a guard page raises: on Linux the first, on macOS the second.
const FAULTS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Who handled each of them before.
static BEFORE: [OnceLock<libc::sigaction>; FAULTS.len()] = [const { OnceLock::new() }; FAULTS.len()];

/// Installs the handler, once.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED
        .call_once(|| FAULTS.iter().zip(&BEFORE).for_each(|(&signal, before)| install_for(signal, before)));
}

fn install_for(signal: libc::c_int, before: &OnceLock<libc::sigaction>) {
    // SAFETY: all zeroes is a valid `sigaction`: no handler, no flags, an empty mask.
    let mut present: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: asks for the present action, into a local of the right type.
    if unsafe { libc::sigaction(signal, ptr::null(), &raw mut present) } != 0 {
        return;
    }
    // The handler needs it from its first moment.
    before.get_or_init(|| present);
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `on_fault` is a handler for actions with SA_SIGINFO and does only what a handler may.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

/// Gives this thread an alternate stack for the handler, if it has none. Rust's threads have one if the program's main
/// function is Rust's.
pub(crate) fn prepare_thread() {
    const BYTES: usize = 64 << 10;
    // SAFETY: all zeroes is a valid `stack_t`.
    let mut stack: libc::stack_t = unsafe { mem::zeroed() };
    // SAFETY: asks for the present alternate stack, into a local of the right type.
    let failed = unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) };
    if failed != 0 || stack.ss_flags & libc::SS_DISABLE == 0 {
        return;
    }
    // Leaked: workers live as long as the runtime, and a signal may come until the thread's very end.
    let memory = Box::leak(vec![0_u8; BYTES].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
    // SAFETY: `memory` is leaked, so it is valid for ever, and used for nothing else.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with SA_SIGINFO.
    let info_ref = unsafe { &*info };
    // SAFETY: for these signals the kernel fills in the address; for one sent by a process the bytes are others, yet there.
    let address = unsafe { info_ref.si_addr() }.addr();
    let _ = current::with_goroutine(|goroutine| {
        if goroutine.guard().contains(&address)
            && let Some(site) = goroutine.site()
        {
            fatal(format_args!(
                "stack overflow: goroutine {}, spawned at {site}, has used up its stack of {} bytes; spawn it with a \
                 larger `Builder::stack_size`",
                goroutine.id(),
                goroutine.stack_bytes()
            ));
        }
    });
    chain(signal, info, context);
}

/// Does what would have been done without our handler.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Plain = extern "C" fn(libc::c_int);
    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let before = FAULTS.iter().position(|&fault| fault == signal).and_then(|index| BEFORE[index].get());
    match before {
        Some(before) if ![libc::SIG_DFL, libc::SIG_IGN].contains(&before.sa_sigaction) => {
            if before.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: the kernel gave us this address as a handler with SA_SIGINFO.
                let handler = unsafe { mem::transmute::<usize, WithInfo>(before.sa_sigaction) };
                handler(signal, info, context);
            } else {
                // SAFETY: the kernel gave us this address as a handler without SA_SIGINFO.
                let handler = unsafe { mem::transmute::<usize, Plain>(before.sa_sigaction) };
                handler(signal);
            }
        }
        _ => {
            // The instruction is tried again and faults again, now with the default action.
            // SAFETY: restores the default action; allowed in a handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// Says `what` in one line on standard error and aborts. Neither allocates nor locks: allowed in a signal handler.
pub(crate) fn fatal(what: fmt::Arguments<'_>) -> ! {
    let mut line = Line { bytes: [0; 512], len: 0 };
    // It does not fail: what does not fit is cut off.
    let _ = writeln!(line, "fatal error: {what}");
    trace::end_process(End::Fatal);
    // Nothing can be done if standard error is closed.
    let _ = rustix::io::write(rustix::stdio::stderr(), &line.bytes[..line.len]);
    process::abort()
}

/// Text in a buffer on the stack.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        let text = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut_off() {
        let mut line = Line { bytes: [0; 512], len: 0 };
        write!(line, "{}", "x".repeat(600)).unwrap();
        assert_eq!((line.len, line.bytes[511]), (512, b'x'));
    }
}
