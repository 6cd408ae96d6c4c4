//! Where the processors' time goes at each worker count: a speedup stack (S. Eyerman, K. Du Bois and L. Eeckhout, *Speedup
//! Stacks*, ISPASS 2012), of measured parts.
//!
//! The whole is N × T for a sample of T seconds at N workers: N × T/ops an operation. As efficiency is W(1)/W(N), with W the
//! whole an operation, what a part grows by from 1 to N, divided by W(N), is exactly the efficiency that it costs, and all of
//! them together with what is left unexplained are all that is lost.
//!
//! Each part has a measurement of its own, none is what remains; see `docs/causes.md`.

use super::Observation;
use super::group::Group;
use crate::results::{Stack, StackPart};

/// Where the time of a sample's processors went, seconds over all of them; `None` where it was not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spent {
    /// CPU time in user mode during the timed part.
    pub user_s: Option<f64>,
    /// CPU time in the kernel during the timed part.
    pub sys_s: Option<f64>,
    /// Runnable but without a CPU, during the timed part.
    pub run_queue_wait_s: Option<f64>,
    /// Idle until a lock was free.
    pub lock_s: Option<f64>,
    /// Idle until a channel had an item or room.
    pub channel_s: Option<f64>,
    /// Idle until the network or a blocking call was done.
    pub io_s: Option<f64>,
    /// Idle until a timer was due.
    pub sleep_s: Option<f64>,
    /// Idle for lack of parallel work, with several goroutines running, or none.
    pub slack_s: Option<f64>,
    /// The same while one goroutine ran alone.
    pub critical_s: Option<f64>,
    /// From a wake-up to the moment the worker runs.
    pub waking_s: Option<f64>,
    /// Looking for goroutines to run.
    pub searching_s: Option<f64>,
    /// CPU time of workers on their way to sleep and back, while they had no processor.
    pub outside_cpu_s: Option<f64>,
    /// CPU time in blocking calls and of sysmon, which hold no processor.
    pub blocking_cpu_s: Option<f64>,
    /// Runnable but without a CPU, likewise: on the way to sleep and back, and in blocking calls.
    pub outside_wait_s: Option<f64>,
    /// Locks that were not free at once, a count.
    pub lock_waits: Option<f64>,
    /// Run time of the goroutine that ran longest.
    pub busiest_goroutine_s: Option<f64>,
    /// Run time of all goroutines, by the same measure.
    pub goroutines_run_s: Option<f64>,
    /// The longest that a goroutine was seen to keep its processor; `None` if none was seen to use up a time slice.
    pub longest_run_s: Option<f64>,
}

impl Spent {
    fn idle(&self) -> [Option<f64>; 6] {
        [self.lock_s, self.channel_s, self.io_s, self.sleep_s, self.slack_s, self.critical_s]
    }
}

/// Parts of a stack but for the first two, which together are the CPU time in user mode.
const OTHERS: usize = StackPart::NAMES.len() - 2;

/// One sample's parts, in seconds over all processors.
struct Span {
    /// N × T, processor seconds.
    whole_s: f64,
    /// Operations done, or what else the throughput counts.
    ops: f64,
    /// CPU time in user mode, without `searching`.
    user_s: f64,
    /// All other parts, in the order of a stack.
    others: [Option<f64>; OTHERS],
}

impl Span {
    /// `None` if the CPU time was not measured.
    fn new(sample: &Observation) -> Option<Self> {
        let nothing = Spent::default();
        let spent = sample.spent.as_deref().unwrap_or(&nothing);
        // A program that says nothing of its timed part is looked at from its start to its end.
        let timed = (sample.elapsed_s, spent.user_s, spent.sys_s);
        let (seconds, user_s, sys_s, wait_s) = match timed {
            (Some(elapsed_s), Some(user_s), Some(sys_s)) => {
                (elapsed_s, user_s, sys_s, spent.run_queue_wait_s)
            }
            _ => (sample.wall_s?, sample.user_s?, sample.sys_s?, sample.run_queue_wait_s),
        };
        let whole_s = sample.n * seconds;
        if !(whole_s > 0.0 && whole_s.is_finite()) {
            return None;
        }
        // The quota's account is of the whole run.
        let throttled_s =
            sample.throttled_s.zip(sample.wall_s).map(|(held_s, wall_s)| held_s * seconds / wall_s);
        let woken_s =
            if throttled_s.is_some_and(|held_s| held_s > 0.0) { 0.0 } else { woken_after_waits(spent) };
        let (waits_s, held_s) = without_cpu(on_the_run_queue(wait_s, spent, woken_s), throttled_s);
        let (user_s, sys_s) = of_processors(user_s, sys_s, spent.blocking_cpu_s.unwrap_or(0.0));
        let searching_s = spent.searching_s.map(|searching_s| searching_s.min(user_s));
        let [lock, channel, io, sleep, slack, critical] = net_idle(spent, woken_s);
        let others = [searching_s, Some(sys_s), waits_s, held_s, lock, channel, io, sleep, slack, critical];
        Some(Self {
            whole_s,
            ops: sample.throughput * seconds,
            user_s: user_s - searching_s.unwrap_or(0.0),
            others,
        })
    }
}

/// Seconds from wake-ups to their workers that belong to what the processors were idle for: the way back to work is part of
/// a wait. (Two workers on two CPUs that hand a lock to and fro spend more on that way than idle, and what they lose is the
/// lock's fault.)
fn woken_after_waits(spent: &Spent) -> f64 {
    if spent.idle().iter().flatten().any(|idle_s| *idle_s > 0.0) {
        spent.waking_s.unwrap_or(0.0)
    } else {
        0.0
    }
}

/// CPU time in user mode and in the kernel without that of blocking calls, which is no processor's. The kernel tells the two
/// apart by ticks, too coarse for a call; as most of them are system calls, theirs is taken off the kernel's first.
fn of_processors(user_s: f64, sys_s: f64, blocking_s: f64) -> (f64, f64) {
    let of_kernel_s = blocking_s.min(sys_s);
    ((user_s - (blocking_s - of_kernel_s)).max(0.0), sys_s - of_kernel_s)
}

/// Seconds that processors waited for a CPU, of the `wait_s` of all threads, without `woken_s`.
fn on_the_run_queue(wait_s: Option<f64>, spent: &Spent, woken_s: f64) -> Option<f64> {
    let waking_s = spent.waking_s.unwrap_or(0.0);
    wait_s.map(|wait_s| match spent.outside_wait_s {
        // While a worker wakes up its processor waits with it, however long it is in the run queue itself.
        Some(outside_s) => (wait_s - outside_s).max(0.0) + waking_s - woken_s,
        // Journals of earlier versions: a worker that has been woken waits in the run queue too, if not only there, so the
        // longer of the two has both, but for what they have apart.
        None => wait_s.max(waking_s) - woken_s,
    })
}

/// Of the seconds without a CPU those that are not a quota's fault, and those that are: the kernel counts a throttled thread as
/// one that waits for a CPU.
fn without_cpu(all_s: Option<f64>, throttled_s: Option<f64>) -> (Option<f64>, Option<f64>) {
    let held_s = throttled_s.map(|held_s| all_s.map_or(held_s, |all_s| held_s.min(all_s)));
    (all_s.map(|all_s| all_s - held_s.unwrap_or(0.0)), held_s)
}

/// Idle time by what it waited for, and `woken_s` with it, without the CPU time that the workers took meanwhile: that is in
/// the CPU time.
fn net_idle(spent: &Spent, woken_s: f64) -> [Option<f64>; 6] {
    let idle = spent.idle();
    let all_s: f64 = idle.iter().flatten().sum();
    let outside_s = spent.outside_cpu_s.unwrap_or(0.0).min(all_s);
    let kept = if all_s > 0.0 { (all_s - outside_s + woken_s) / all_s } else { 1.0 };
    idle.map(|seconds| seconds.map(|seconds| seconds * kept))
}

/// One stack a worker count, as `groups` come; `None` where no sample has its CPU time.
pub(super) fn stacks(groups: &[Group<'_>]) -> Vec<Option<Stack>> {
    let sums: Vec<Option<Sum>> = groups.iter().map(Sum::new).collect();
    let useful_s = sums.iter().flatten().next().map(|least| least.user_s / least.ops);
    sums.iter().map(|sum| Some(sum.as_ref()?.stack(useful_s?))).collect()
}

/// All samples of a worker count together, so that parts and whole are of the same samples.
struct Sum {
    n: f64,
    samples: u32,
    whole_s: f64,
    ops: f64,
    user_s: f64,
    /// Seconds of the other parts; `None` where not every sample has it.
    others: [Option<f64>; OTHERS],
}

impl Sum {
    fn new(group: &Group<'_>) -> Option<Self> {
        let spans: Vec<Span> = group.samples.iter().copied().filter_map(Span::new).collect();
        if spans.is_empty() {
            return None;
        }
        let sum = |of: fn(&Span) -> f64| spans.iter().map(of).sum();
        Some(Self {
            n: group.n,
            samples: u32::try_from(spans.len()).unwrap_or(u32::MAX),
            whole_s: sum(|span| span.whole_s),
            ops: sum(|span| span.ops),
            user_s: sum(|span| span.user_s),
            others: std::array::from_fn(|part| spans.iter().map(|span| span.others[part]).sum()),
        })
    }

    /// `useful_s`: CPU time in user mode of an operation at the smallest worker count.
    fn stack(&self, useful_s: f64) -> Stack {
        let useful_s = (useful_s * self.ops).min(self.user_s);
        let own = [Some(useful_s), Some(self.user_s - useful_s)];
        let seconds = own.into_iter().chain(self.others);
        let parts: Vec<StackPart> = StackPart::NAMES
            .iter()
            .zip(seconds)
            .map(|((name, _), seconds)| StackPart {
                name: (*name).to_owned(),
                share: seconds.map(|seconds| seconds / self.whole_s),
                s_per_op: seconds.map(|seconds| seconds / self.ops),
            })
            .collect();
        Stack {
            procs: self.n,
            samples: self.samples,
            whole_s_per_op: self.whole_s / self.ops,
            unexplained: 1.0 - parts.iter().filter_map(|part| part.share).sum::<f64>(),
            parts,
        }
    }
}

/// What the part `name` takes of one operation, seconds; `None` if it was not measured.
pub(super) fn part(stack: &Stack, name: &str) -> Option<f64> {
    stack.parts.iter().find(|part| part.name == name)?.s_per_op
}

/// The efficiency that the parts `names` cost between two worker counts: what they grow by, over the whole at the second.
/// `None` if none of them was measured at both.
pub(super) fn cost(from: &Stack, to: &Stack, names: &[&str]) -> Option<f64> {
    let grown = names.iter().filter_map(|name| Some(part(to, name)? - part(from, name)?));
    let sum = grown.reduce(|sum, one| sum + one)?;
    Some(sum / to.whole_s_per_op)
}

#[cfg(test)]
mod tests {
    use super::super::group::group;
    use super::*;

    /// A second at `n` processors that takes `ops` operations.
    fn second(n: f64, ops: f64, spent: Spent) -> Observation {
        Observation {
            n,
            throughput: ops,
            wall_s: Some(1.5),
            elapsed_s: Some(1.0),
            user_s: Some(9.0),
            sys_s: Some(9.0),
            spent: Some(Box::new(spent)),
            ..Observation::default()
        }
    }

    fn of(samples: &[Observation]) -> Vec<Option<Stack>> {
        stacks(&group(samples))
    }

    fn share(stack: &Stack, name: &str) -> Option<f64> {
        stack.parts.iter().find(|part| part.name == name).unwrap().share
    }

    #[test]
    fn the_parts_of_a_timed_second_add_up() {
        let one = Spent { user_s: Some(0.9), sys_s: Some(0.1), ..Spent::default() };
        let two = Spent {
            user_s: Some(1.2),
            sys_s: Some(0.2),
            run_queue_wait_s: Some(0.1),
            waking_s: Some(0.04),
            lock_s: Some(0.3),
            channel_s: Some(0.0),
            io_s: Some(0.0),
            sleep_s: Some(0.0),
            slack_s: Some(0.0),
            critical_s: Some(0.1),
            searching_s: Some(0.02),
            outside_cpu_s: Some(0.04),
            ..Spent::default()
        };
        let stacks = of(&[second(1.0, 100.0, one), second(2.0, 120.0, two)]);
        let [one, two] = [0, 1].map(|point: usize| stacks[point].clone().unwrap());
        assert!((one.whole_s_per_op - 0.01).abs() < 1e-12 && one.unexplained.abs() < 1e-12, "{one:?}");
        assert_eq!(share(&one, "lock-wait"), None, "not measured is not 0");
        let expected = [
            ("useful-work", 0.54),
            ("extra-cpu", 0.05),
            ("searching", 0.01),
            ("kernel", 0.1),
            ("run-queue-wait", 0.03),
            ("lock-wait", 0.15),
            ("critical-goroutine", 0.05),
        ];
        for (name, value) in expected {
            assert!((share(&two, name).unwrap() - value).abs() < 1e-12, "{name} in {two:?}");
        }
        assert!((two.unexplained - 0.07).abs() < 1e-9, "{two:?}");
        assert!((cost(&one, &two, &["extra-cpu"]).unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(cost(&one, &two, &["lock-wait"]), None);
        assert_eq!((two.procs, two.samples), (2.0, 1));
    }

    #[test]
    fn what_threads_use_without_a_processor_is_none_of_its_time() {
        let spent = Spent {
            user_s: Some(0.5),
            sys_s: Some(0.9),
            blocking_cpu_s: Some(1.0),
            run_queue_wait_s: Some(0.75),
            outside_wait_s: Some(0.5),
            waking_s: Some(0.125),
            io_s: Some(0.0),
            outside_cpu_s: Some(0.0),
            ..Spent::default()
        };
        let busy = of(&[second(1.0, 100.0, spent.clone())])[0].clone().unwrap();
        assert_eq!((share(&busy, "kernel"), share(&busy, "useful-work")), (Some(0.0), Some(0.4)));
        assert_eq!(share(&busy, "run-queue-wait"), Some(0.375), "a hand-off waits for a CPU");
        let spent = Spent { io_s: Some(0.25), ..spent };
        let idle = of(&[second(1.0, 100.0, spent)])[0].clone().unwrap();
        assert_eq!((share(&idle, "run-queue-wait"), share(&idle, "io-wait")), (Some(0.25), Some(0.375)));
    }

    #[test]
    fn a_program_that_says_nothing_of_itself_is_looked_at_as_a_whole() {
        let plain = Observation {
            n: 2.0,
            throughput: 1.0,
            wall_s: Some(1.0),
            user_s: Some(1.0),
            sys_s: Some(0.5),
            run_queue_wait_s: Some(0.25),
            ..Observation::default()
        };
        let stacks = of(&[plain]);
        let stack = stacks[0].as_ref().unwrap();
        assert_eq!((share(stack, "useful-work"), share(stack, "kernel")), (Some(0.5), Some(0.25)));
        assert!((stack.unexplained - 0.125).abs() < 1e-12, "{stack:?}");
        assert!(stack.parts.iter().filter(|part| part.share.is_none()).count() == 8, "{stack:?}");
    }

    #[test]
    fn throttled_threads_wait_in_the_run_queue_and_are_counted_once() {
        let held = Observation {
            n: 2.0,
            throughput: 1.0,
            wall_s: Some(2.0),
            user_s: Some(1.0),
            sys_s: Some(0.0),
            cpu_quota: Some(0.5),
            throttled_s: Some(2.5),
            run_queue_wait_s: Some(2.8),
            ..Observation::default()
        };
        let stacks = of(&[held]);
        let stack = stacks[0].as_ref().unwrap();
        assert_eq!(share(stack, "throttling"), Some(0.625));
        assert!((share(stack, "run-queue-wait").unwrap() - 0.075).abs() < 1e-12);
    }

    #[test]
    fn without_cpu_time_there_is_no_stack() {
        assert_eq!(of(&[Observation { n: 1.0, throughput: 1.0, ..Observation::default() }]), [None]);
    }
}
