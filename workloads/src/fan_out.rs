//! Many independent pieces of work, a goroutine for each.

use std::collections::VecDeque;

use corefit_runtime::go;

use crate::Failure;
use crate::crew::join;

/// Goroutines alive at once: half of what a workload may have.
const ALIVE: usize = 10_000;

/// Does `work` on each of `pieces`, in a goroutine of its own; the results in that order. When [`ALIVE`] of them have been
/// started and not joined, the oldest is waited for before another is started.
///
/// # Errors
/// One of them panicked.
pub(crate) fn fan_out<P, T, W>(pieces: impl IntoIterator<Item = P>, work: W) -> Result<Vec<T>, Failure>
where
    P: Send + 'static,
    T: Send + 'static,
    W: Fn(P) -> T + Clone + Send + 'static,
{
    let mut results = Vec::new();
    let mut started = VecDeque::new();
    for piece in pieces {
        if started.len() == ALIVE {
            results.extend(started.pop_front().map(join).transpose()?);
        }
        let work = work.clone();
        started.push_back(go(move || Ok(work(piece))));
    }
    for goroutine in started {
        results.push(join(goroutine)?);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        let results = Config::new().procs(2).run(|| fan_out(0..100, |index| index * index));
        assert_eq!(results.unwrap(), (0..100).map(|index| index * index).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_of_one_piece_is_a_failure() {
        let result =
            Config::new().procs(2).run(|| fan_out(0..3, |index| assert_ne!(index, 1, "one is too many")));
        assert!(result.unwrap_err().to_string().contains("one is too many"));
    }
}
