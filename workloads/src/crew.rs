//! A crew of goroutines that share a piece of work: waiting for all of them, and passing on what went wrong.

use std::any::Any;
use std::fmt::Debug;
use std::io;

use corefit_runtime::JoinHandle;

use crate::Failure;

/// Waits for every goroutine; their results in order.
///
/// # Errors
/// The first failure in that order, a panic being one; it does not wait for those that come after.
pub(crate) fn join_all<T>(
    crew: impl IntoIterator<Item = JoinHandle<Result<T, Failure>>>,
) -> Result<Vec<T>, Failure> {
    crew.into_iter().map(join).collect()
}

/// Waits for one goroutine.
///
/// # Errors
/// Its failure, or that it panicked.
pub(crate) fn join<T>(member: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    member
        .join()
        .unwrap_or_else(|payload| Err(Failure(format!("a goroutine panicked: {}", message(&*payload)))))
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Checks that `what` came out as it must.
///
/// # Errors
/// It did not.
pub(crate) fn expect_equal<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Failure(format!("wrong result: {what} is {found:?}, expected {expected:?}")))
}

/// Turns an input or output error into a failure that says what could not be done.
pub(crate) fn cannot(doing: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure(format!("cannot {doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::{Config, go};

    #[test]
    fn results_come_in_the_order_of_the_crew() {
        let results = Config::new().procs(2).run(|| join_all((0..10).map(|i| go(move || Ok(i)))));
        assert_eq!(results.unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_a_failure_that_says_what_was_said() {
        let result =
            Config::new().procs(1).run(|| join(go(|| -> Result<(), Failure> { panic!("no {}", "luck") })));
        assert_eq!(result.unwrap_err().to_string(), "a goroutine panicked: no luck");
    }

    #[test]
    fn an_unequal_result_is_named_with_both_values() {
        let failure = expect_equal("the sum", 4, 5).unwrap_err();
        assert_eq!(failure.to_string(), "wrong result: the sum is 4, expected 5");
    }
}
