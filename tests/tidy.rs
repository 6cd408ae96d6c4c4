//! House rules that a machine can check.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that may hold `unsafe`: what speaks to the kernel, switches stacks, or shares memory by a
/// protocol of its own. Everything else forbids or denies it.
const MAY_BE_UNSAFE: &[&str] = &[
    "runtime/src/blocking.rs",
    "runtime/src/body.rs",
    "runtime/src/clock.rs",
    "runtime/src/current.rs",
    "runtime/src/direct.rs",
    "runtime/src/fiber/portable.rs",
    "runtime/src/fiber/switch.rs",
    "runtime/src/goroutine.rs",
    "runtime/src/goroutine/fetch.rs",
    "runtime/src/goroutine/seed.rs",
    "runtime/src/netpoll.rs",
    "runtime/src/os/linux/memory.rs",
    "runtime/src/os/portable/macos.rs",
    "runtime/src/os/portable/memory.rs",
    "runtime/src/os/portable/poller.rs",
    "runtime/src/overflow.rs",
    "runtime/src/packet.rs",
    "runtime/src/park.rs",
    "runtime/src/pieces.rs",
    "runtime/src/prefetch.rs",
    "runtime/src/queue.rs",
    "runtime/src/readiness.rs",
    "runtime/src/signals.rs",
    "runtime/src/stack/mod.rs",
    "runtime/src/sync/line.rs",
    "runtime/src/sync/mutex.rs",
    "runtime/src/sync/rwlock.rs",
    "runtime/src/sync/wait_list.rs",
    "runtime/src/trace/buffer.rs",
    "runtime/src/trace/cpu.rs",
    "runtime/src/trace/thread.rs",
    "runtime/src/usage.rs",
    "src/machine/portable.rs",
    "src/measure/kernel.rs",
    "src/measure/kernel/linux.rs",
    "src/profile/outside/event.rs",
    "src/profile/outside/ring.rs",
    "src/profile/self_sample/leaf.rs",
];

/// Lines above an atomic access in which its `ORDERING:` comment has to begin.
const ORDERING_WITHIN: usize = 12;

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for room in ["runtime/src", "runtime/macros/src", "workloads/src", "src"] {
        collect(&root.join(room), &mut found);
    }
    assert!(found.len() > 30, "the sources were found");
    found
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let is_of_tests = ["tests", "tests.rs"].iter().any(|name| path.ends_with(name));
        if is_of_tests {
            continue;
        }
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            into.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below the root").display().to_string()
}

/// The file without its tests, which stand at its end.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a source file");
    let is_of_tests = |line: &str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    text.lines().take_while(|line| !is_of_tests(line)).map(str::to_owned).collect()
}

#[test]
fn unsafe_stays_where_it_is_listed() {
    let used: Vec<String> = sources()
        .into_iter()
        .filter(|path| code(path).iter().any(|line| is_unsafe(line)))
        .map(|path| relative(&path))
        .collect();
    let strangers: Vec<_> = used.iter().filter(|path| !MAY_BE_UNSAFE.contains(&path.as_str())).collect();
    assert!(strangers.is_empty(), "unsafe outside the listed modules: {strangers:?}");
    let idle: Vec<_> = MAY_BE_UNSAFE.iter().filter(|path| !used.iter().any(|used| used == *path)).collect();
    assert!(idle.is_empty(), "listed, but without unsafe: {idle:?}");
}

fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"]
        .iter()
        .any(|word| code.contains(word))
}

#[test]
fn every_atomic_access_names_its_ordering_and_partner() {
    let mut silent = Vec::new();
    for path in sources().into_iter().filter(|path| !relative(path).starts_with("runtime/src/primitives")) {
        let lines = code(&path);
        let mut is_import = false;
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            is_import |= code.trim_start().starts_with("use ");
            let was_import = is_import;
            is_import &= !code.contains(';');
            let is_access =
                ["Relaxed)", "Acquire)", "Release)", "AcqRel)", "SeqCst)", "Relaxed,", "AcqRel,", "Acquire,"]
                    .iter()
                    .any(|word| code.contains(word))
                    && !was_import;
            let above = &lines[index.saturating_sub(ORDERING_WITHIN)..=index];
            if is_access && !above.iter().any(|line| line.contains("ORDERING:")) {
                silent.push(format!("{}:{}", relative(&path), index + 1));
            }
        }
    }
    assert!(silent.is_empty(), "atomic accesses without an `ORDERING:` comment: {silent:#?}");
}

#[test]
fn atomics_of_the_runtime_come_from_one_place() {
    let strangers: Vec<String> = sources()
        .into_iter()
        .filter(|path| relative(path).starts_with("runtime/src"))
        .filter(|path| !relative(path).starts_with("runtime/src/primitives"))
        .filter(|path| {
            code(path)
                .iter()
                .any(|line| ["std::sync::atomic", "loom::"].iter().any(|name| line.contains(name)))
        })
        .map(|path| relative(&path))
        .collect();
    assert!(strangers.is_empty(), "use `crate::primitives`, so that models see it: {strangers:?}");
}

/// Modules of the runtime that may read errno: a thread-local, whose address must not be kept over a switch. They read it
/// right after a system call of their own, in functions that do not switch.
const MAY_READ_ERRNO: &[&str] = &["runtime/src/os/linux/memory.rs", "runtime/src/os/portable/memory.rs"];

#[test]
fn errno_is_read_where_nothing_switches() {
    let reads = |line: &String| ["last_os_error", "errno_location"].iter().any(|name| line.contains(name));
    let mut readers: Vec<String> = sources()
        .into_iter()
        .filter(|path| relative(path).starts_with("runtime/src") && code(path).iter().any(reads))
        .map(|path| relative(&path))
        .collect();
    readers.sort();
    assert_eq!(readers, MAY_READ_ERRNO, "look at each reader's function: nothing in it may switch");
}

#[test]
fn files_stay_small_enough_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|path| (code(&path).len(), path))
        .filter(|(lines, _)| *lines > 500)
        .map(|(lines, path)| format!("{} ({lines} lines)", relative(&path)))
        .collect();
    assert!(long.is_empty(), "look for the seam in: {long:?}");
}
