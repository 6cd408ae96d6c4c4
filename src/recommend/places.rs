//! Where in the code a cause is: functions of the program, by the folded stacks of its CPU profiles.
//!
//! A stack's place is the innermost frame that is the program's own: not the kernel's, nor one of the libraries that every
//! program has, nor a nameless closure.

use std::collections::BTreeMap;

use super::text::{self, percent};

/// Places named beside a reason.
const NAMED: usize = 2;
/// Share of the stacks from which a place is named. Guess.
const WORTH_NAMING: f64 = 0.05;
/// Stacks of a profile below which nothing is named: shares would be known to 10 points only.
const ENOUGH: u64 = 100;

/// How the frames begin that are nobody's own: paths of crates, and mangled or reserved names of C.
const LIBRARIES: [&str; 8] =
    ["std::", "core::", "alloc::", "corefit_runtime::", "libc::", "rustix::", "runtime.", "_"];

/// Which stacks are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that are in a lock or unlock.
    Locks,
    /// Those that are in the kernel.
    Kernel,
}

/// The places of all profiles of a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places(BTreeMap<u32, Vec<Stack>>);

/// Stacks that have the same place and are of the same kinds.
#[derive(Clone, Debug, PartialEq)]
struct Stack {
    /// `None` where the program has no frame of its own.
    place: Option<String>,
    is_lock: bool,
    is_kernel: bool,
    count: u64,
}

impl Places {
    /// Adds the profile at `procs`: lines of frames joined by `;`, outermost first, a space, and a count. Other lines are
    /// left out.
    pub fn add(&mut self, procs: u32, folded: &str) {
        let stacks: Vec<Stack> = folded.lines().filter_map(stack).collect();
        if stacks.iter().map(|stack| stack.count).sum::<u64>() >= ENOUGH {
            self.0.insert(procs, stacks);
        }
    }

    /// The end of a sentence that names the places of the stacks of interest at `n` procs, or at the nearest worker count with
    /// a profile; empty if there is none.
    pub(super) fn named(&self, n: f64, which: Which) -> String {
        let distance = |procs: &u32| (f64::from(*procs) / n).ln().abs();
        let nearest = self.0.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        let Some((procs, stacks)) = nearest else { return String::new() };
        let all: u64 = stacks.iter().map(|stack| stack.count).sum();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for stack in stacks.iter().filter(|stack| stack.is(which)) {
            if let Some(place) = &stack.place {
                *counts.entry(place).or_default() += stack.count;
            }
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let share = |count: u64| count as f64 / all as f64;
        let named: Vec<String> = counts
            .into_iter()
            .take(NAMED)
            .filter(|(_, count)| share(*count) >= WORTH_NAMING)
            .map(|(place, count)| format!("`{place}` ({})", percent(share(count))))
            .collect();
        match named.as_slice() {
            [] => String::new(),
            named => format!("; at {}{}", named.join(" and "), elsewhere(*procs, n)),
        }
    }
}

/// Says so if the profile is of another worker count than the sentence.
fn elsewhere(procs: u32, n: f64) -> String {
    if f64::from(procs) == n {
        " of the CPU time".to_owned()
    } else {
        format!(" of the CPU time at {}", text::procs(procs.into()))
    }
}

impl Stack {
    fn is(&self, which: Which) -> bool {
        match which {
            Which::All => true,
            Which::Locks => self.is_lock,
            Which::Kernel => self.is_kernel,
        }
    }
}

fn stack(line: &str) -> Option<Stack> {
    let (frames, count) = line.rsplit_once(' ')?;
    let frames: Vec<&str> = frames.split(';').collect();
    let kernel = frames.iter().position(|frame| is_entry(frame));
    let own = &frames[..kernel.unwrap_or(frames.len())];
    Some(Stack {
        place: place(own),
        is_lock: own.iter().any(|frame| is_lock(frame)),
        is_kernel: kernel.is_some(),
        count: count.parse().ok()?,
    })
}

/// Whether the kernel begins at this frame.
fn is_entry(frame: &str) -> bool {
    [
        "entry_SYSCALL",
        "do_syscall",
        "asm_exc_",
        "asm_sysvec_",
        "asm_common_interrupt",
        "el0_",
        "el0t_",
        "ret_from_fork",
    ]
    .iter()
    .any(|entry| frame.starts_with(entry))
        || frame.ends_with("_[k]")
}

fn is_lock(frame: &str) -> bool {
    let last = frame.rsplit("::").next().unwrap_or(frame);
    ["lock", "unlock", "lock_slowly", "try_lock", "read_lock", "write_lock"].contains(&last)
        || [
            "pthread_mutex",
            "pthread_rwlock",
            "futex",
            "raw_mutex",
            "raw_rwlock",
            "runtime.lock",
            "sync.(*Mutex)",
        ]
        .iter()
        .any(|word| frame.contains(word))
}

/// The innermost frame of the program's own: one with a path, else, in languages without paths, any.
fn place(frames: &[&str]) -> Option<String> {
    let is_own = |frame: &&&str| {
        !LIBRARIES.iter().any(|library| frame.starts_with(library))
            && !frame.starts_with('<')
            && !frame.contains('{')
            && !is_lock(frame)
    };
    let has_paths = frames.iter().any(|frame| frame.contains("::"));
    let found = frames.iter().rev().filter(is_own).find(|frame| !has_paths || frame.contains("::"))?;
    Some((*found).trim_start_matches("corefit_workloads::").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOROUTINE: &str = "corefit_runtime_fiber_begin;corefit_runtime::fiber::switch::main;{closure#0}";

    fn places(folded: &str) -> Places {
        let mut places = Places::default();
        places.add(2, folded);
        places
    }

    #[test]
    fn the_innermost_function_of_the_program_is_the_place() {
        let folded = format!(
            "{GOROUTINE};corefit_workloads::mutex_counter::increment;lock;lock;take;swap 70\n\
             {GOROUTINE};corefit_workloads::echo_server::ask;write_all;corefit_runtime::net::socket::send;\
             entry_SYSCALL_64_after_hwframe;do_syscall_64;_raw_spin_unlock 20\n\
             {GOROUTINE};corefit_workloads::pipeline::run_stage;corefit_runtime::chan::sender::send 10\nnonsense\n"
        );
        let places = places(&folded);
        assert_eq!(
            places.named(2.0, Which::All),
            "; at `mutex_counter::increment` (70 %) and `echo_server::ask` (20 %) of the CPU time"
        );
        assert_eq!(places.named(2.0, Which::Locks), "; at `mutex_counter::increment` (70 %) of the CPU time");
        assert_eq!(
            places.named(4.0, Which::Kernel),
            "; at `echo_server::ask` (20 %) of the CPU time at 2 procs"
        );
    }

    #[test]
    fn a_program_without_paths_has_places_too() {
        let places = places("main;work;burn;__memcpy 90\nmain;work;entry_SYSCALL_64;vfs_read 10\n");
        assert_eq!(places.named(2.0, Which::All), "; at `burn` (90 %) and `work` (10 %) of the CPU time");
    }

    #[test]
    fn without_enough_stacks_nothing_is_named() {
        assert_eq!(places("main;burn 99\n").named(2.0, Which::All), "");
        assert_eq!(Places::default().named(2.0, Which::All), "");
    }
}
