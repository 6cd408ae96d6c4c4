//! What a thread waits for, by the system call that it is in.

use std::fs;
use std::path::Path;

use super::blocked::Wait;

/// What the thread of the folder `/proc/PID/task/TID` waits for now; `None` if it runs, or if the kernel does not say.
pub(super) fn look(thread: &Path) -> Option<Wait> {
    match fs::read_to_string(thread.join("syscall")) {
        Ok(text) => of_syscall(&text),
        // A kernel without it, or a process of somebody else's.
        Err(_) => of_wchan(&fs::read_to_string(thread.join("wchan")).ok()?),
    }
}

/// `running`, or the number of the system call (-1: none) and its arguments.
fn of_syscall(text: &str) -> Option<Wait> {
    match text.split_ascii_whitespace().next()?.parse().ok()? {
        libc::SYS_futex => Some(Wait::Lock),
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => Some(Wait::Sleep),
        number if number >= 0 => Some(Wait::Io),
        // In a page fault, say.
        _ => None,
    }
}

/// The function of the kernel in which it waits; `0` if it does not.
fn of_wchan(text: &str) -> Option<Wait> {
    match text.trim() {
        "" | "0" => None,
        text if text.contains("futex") => Some(Wait::Lock),
        text if text.contains("nanosleep") => Some(Wait::Sleep),
        _ => Some(Wait::Io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_or_a_place_in_the_kernel_tells_what_for() {
        let futex = format!("{} 0x7f 0x0 0x2", libc::SYS_futex);
        let sleep = format!("{} 0x0", libc::SYS_clock_nanosleep);
        let read = format!("{} 0x3", libc::SYS_read);
        let found = [futex.as_str(), &sleep, &read, "running", "-1 0x0 0x0", ""].map(of_syscall);
        assert_eq!(found, [Some(Wait::Lock), Some(Wait::Sleep), Some(Wait::Io), None, None, None]);
        let found = ["futex_wait_queue", "hrtimer_nanosleep", "pipe_read", "0", "\n"].map(of_wchan);
        assert_eq!(found, [Some(Wait::Lock), Some(Wait::Sleep), Some(Wait::Io), None, None]);
    }

    #[test]
    fn a_thread_that_waits_is_seen_to_wait() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            let _ = receive.recv();
        });
        let id = told.recv().unwrap().as_raw_nonzero();
        let folder = format!("/proc/self/task/{id}");
        // It is on its way to the futex; without the right to look, the kernel says nothing for ever.
        let seen = (0..1000).find_map(|_| {
            std::thread::yield_now();
            look(Path::new(&folder))
        });
        assert!(seen.is_none_or(|wait| wait == Wait::Lock), "{seen:?}");
        drop(send);
        thread.join().unwrap();
    }
}
