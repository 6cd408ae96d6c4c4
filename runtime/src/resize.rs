//! How many processors there are: set while running, up and down, without stopping the world.
//!
//! `target` is what was asked for, `live` what there is. More: processors are made (or put into use again) until `live`
//! is `target`. Less: idle ones are taken out of use at once; a worker gives its processor up between two goroutines.
//! Processors are alike, so it does not matter which ones go. `live` never exceeds the larger of `target` and what it
//! was before, and no more goroutines than `live` execute.

use crate::account::Span;
use crate::runtime::{MOST_PROCS, Runtime};

impl Runtime {
    /// Sets the number of processors, clamped to 1 to `MOST_PROCS`; returns the number before (0 at the first time).
    pub(crate) fn set_procs(&self, procs: usize) -> usize {
        let target = procs.clamp(1, MOST_PROCS);
        let (before, grew) = {
            let mut synced = self.synced.lock();
            let before = synced.target;
            synced.target = target;
            while synced.live > target
                && let Some(mut core) = synced.idle_cores.pop()
            {
                core.release_stacks();
                core.span = Span::default();
                synced.retired_cores.push(core);
                synced.live -= 1;
            }
            let grew = synced.live < target && !self.is_stopping();
            if grew {
                let missing = target - synced.live;
                let kept = synced.retired_cores.len().saturating_sub(missing);
                let mut cores = synced.retired_cores.split_off(kept);
                cores.extend(self.new_cores(missing - cores.len()));
                synced.live = target;
                let now_ns = self.now_ns();
                cores.into_iter().for_each(|core| synced.put_idle(now_ns, core));
            }
            self.publish(&synced);
            (before, grew)
        };
        if grew && before > 0 {
            // One that was alone keeps its queue to itself until its goroutine comes to a scheduling point.
            self.processors().iter().for_each(|processor| {
                processor.wish.make();
            });
            self.wake_one();
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_go_out_of_use_and_come_back() {
        let runtime = Runtime::new(3).expect("an epoll descriptor");
        assert_eq!(runtime.procs(), 3);
        assert_eq!(runtime.synced.lock().idle_cores.len(), 3);
        {
            // A worker holds one.
            let core = runtime.take_idle(None).expect("three are idle");
            runtime.begin_stop();
            drop(core);
        }
        let runtime = Runtime::new(4).expect("an epoll descriptor");
        let synced = |f: fn(&crate::runtime::Synced) -> (usize, usize, usize)| f(&runtime.synced.lock());
        let counts = |s: &crate::runtime::Synced| (s.live, s.idle_cores.len(), s.retired_cores.len());
        assert_eq!(synced(counts), (4, 4, 0));
        {
            let mut synced = runtime.synced.lock();
            synced.target = 1;
        }
        assert_eq!(runtime.set_procs(1), 1);
        assert_eq!(synced(counts), (1, 1, 3));
        assert_eq!(runtime.procs(), 1);
        assert_eq!(runtime.processors().len(), 4);
    }

    #[test]
    fn the_number_is_clamped() {
        let runtime = Runtime::new(0).expect("an epoll descriptor");
        assert_eq!(runtime.procs(), 1);
        runtime.begin_stop();
        runtime.set_procs(1_000_000);
        assert_eq!(runtime.procs(), MOST_PROCS);
    }
}
