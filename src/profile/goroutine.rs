//! Stacks of goroutines of our own runtime, as their reader thinks of them: rooted at the function that was spawned.
//!
//! Below it, outermost, are some ten frames of how every goroutine begins, which say nothing. Without them stacks are grouped
//! by what was spawned: a closure is named after the function that spawns it.

/// The outermost frame of a goroutine's stack.
const BEGINNING: &str = "corefit_runtime_fiber_begin";

/// What the frames between the beginning and the spawned function are called, inlined ones included.
const MACHINERY: [&str; 10] = [
    "corefit_runtime::fiber::",
    "corefit_runtime::spawn::",
    "corefit_runtime::goroutine::",
    "corefit_runtime::body::",
    "std::panic::",
    "std::panicking::",
    "__rust_try",
    "core::panic::",
    "<core::panic::",
    "core::ops::function::FnOnce::call_once",
];

/// Takes the machinery away from a stack, outermost frame first; one that holds nothing else keeps its innermost frame.
pub(super) fn rooted(frames: &mut Vec<String>) {
    if frames.first().is_some_and(|outermost| outermost == BEGINNING) {
        let is_machinery = |frame: &String| MACHINERY.iter().any(|name| frame.starts_with(name));
        let machinery = 1 + frames[1..].iter().take_while(|frame| is_machinery(frame)).count();
        frames.drain(..machinery.min(frames.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stack: &str, expected: &str) {
        let mut frames: Vec<String> = stack.split(';').map(str::to_owned).collect();
        rooted(&mut frames);
        assert_eq!(frames.join(";"), expected);
    }

    #[test]
    fn a_goroutine_is_rooted_at_what_was_spawned() {
        check(
            "corefit_runtime_fiber_begin;corefit_runtime::fiber::switch::main;std::panic::catch_unwind;__rust_try;\
             <core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once;\
             corefit_runtime::spawn::Builder::spawn::{{closure}};app::run::{{closure}};std::panic::catch_unwind;app::f",
            "app::run::{{closure}};std::panic::catch_unwind;app::f",
        );
        check(
            "corefit_runtime_fiber_begin;corefit_runtime::fiber::catch;corefit_runtime::goroutine::seed::sprout::{{closure}};\
             corefit_runtime::body::Body<T,F>::run;corefit_runtime::fiber::catch;app::g",
            "app::g",
        );
        check(
            "corefit_runtime_fiber_begin;corefit_runtime::fiber::run_body",
            "corefit_runtime::fiber::run_body",
        );
        check("corefit_runtime_fiber_begin", "corefit_runtime_fiber_begin");
    }

    #[test]
    fn other_stacks_stay() {
        check("_start;main;std::panic::catch_unwind", "_start;main;std::panic::catch_unwind");
    }
}
