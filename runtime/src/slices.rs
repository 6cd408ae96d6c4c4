//! Who has used up a time slice: what sysmon knows of each processor from one round to the next.
//!
//! Switches do not read the clock, so when a slice began is not written down. But it began after the last round that saw
//! another one there, and after the processor last looked at the clock, which busy ones do about every 100 µs: the later
//! of the two is at most that much too early. So sysmon need not come by often: it sleeps until the first slice ends.

use crate::primitives::Arc;
use crate::processor::Processor;
use crate::timers::NEVER;

/// Nanoseconds after which a goroutine is asked to yield. Go's time slice.
pub(crate) const SLICE_NS: u64 = 10_000_000;
/// The slice of one that has used up a slice before, while others wait: so they need not wait for long, and what such a
/// goroutine loses by a switch a millisecond is nothing.
pub(crate) const SHORT_SLICE_NS: u64 = 1_000_000;
/// Nanoseconds after which one that keeps others waiting is a hog.
pub(crate) const HOG_NS: u64 = 100_000_000;
/// Rounds, each `ROUND_NS` or more after the one before, in which a hog has been seen after it was asked. A process that the
/// system held up for a while (a CPU quota, a hypervisor) sees a long time pass in one round: nobody could check meanwhile.
const HOG_ROUNDS: u32 = 6;
/// Half of the longest time between two rounds.
const ROUND_NS: u64 = 5_000_000;

/// What was seen at the last round.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    /// One a processor, by index.
    seen: Vec<Seen>,
    /// When that was, ns of the runtime's clock.
    before_ns: u64,
    /// The longest that a goroutine was seen to run beyond a slice, ns.
    pub(crate) longest_ns: u64,
}

/// The slice that a processor was last seen in.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    slice: u64,
    /// 0 while the processor is idle.
    goroutine: u64,
    since_ns: u64,
    /// Rounds since it was asked that count, and when the last one of them was.
    rounds: u32,
    round_ns: u64,
    is_told: bool,
}

impl Seen {
    /// Notes a round at `now_ns` that found it asked before, and still there. Whether that makes it a hog, if others wait.
    fn is_hog(&mut self, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.round_ns) >= ROUND_NS {
            self.rounds += 1;
            self.round_ns = now_ns;
        }
        !self.is_told && self.rounds >= HOG_ROUNDS && now_ns.saturating_sub(self.since_ns) >= HOG_NS
    }
}

/// Who waits that no processor has queued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Some that have not used up a slice.
    pub(crate) are_ready: bool,
    /// Some that have.
    pub(crate) have_used_up: bool,
    /// Some wait for time or the network.
    pub(crate) may_come: bool,
}

/// What a round came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// When the first slice ends that has not ended yet, ns of the runtime's clock; `NEVER` if no goroutine executes.
    pub(crate) due_ns: u64,
    /// Goroutines asked to yield now, and not before.
    pub(crate) asked: u64,
    /// Goroutines that have become hogs: id, and ns for which they have run.
    pub(crate) hogs: Vec<(u64, u64)>,
}

impl Slices {
    /// Nothing ran before `now_ns`.
    pub(crate) fn begin(&mut self, now_ns: u64) {
        self.before_ns = now_ns;
    }

    /// Looks at all processors, and asks those whose slice has ended to yield.
    pub(crate) fn look(&mut self, processors: &[Arc<Processor>], now_ns: u64, queued: Waiting) -> Round {
        self.seen.resize(processors.len(), Seen::default());
        let mut round = Round { due_ns: NEVER, asked: 0, hogs: Vec::new() };
        for (processor, seen) in processors.iter().zip(&mut self.seen) {
            let (slice, goroutine) = processor.slice();
            if goroutine == 0 {
                // It went idle with a wish for the goroutine before; the next one is to begin without.
                processor.wish.forget();
                *seen = Seen::default();
                continue;
            }
            if (slice, goroutine) != (seen.slice, seen.goroutine) {
                let since_ns = self.before_ns.max(processor.clock_ns()).min(now_ns);
                *seen = Seen { slice, goroutine, since_ns, ..Seen::default() };
            }
            let ran_ns = now_ns.saturating_sub(seen.since_ns);
            if ran_ns >= SLICE_NS {
                self.longest_ns = self.longest_ns.max(ran_ns);
            }
            let others_wait = queued.are_ready || processor.has_waiting();
            let is_short = processor.is_used_up() && (others_wait || queued.may_come);
            if is_short {
                // Soon again: who will wait is not known yet, and neither when the slice after this one begins.
                round.due_ns = round.due_ns.min(now_ns + SHORT_SLICE_NS);
            }
            if ran_ns < if is_short && others_wait { SHORT_SLICE_NS } else { SLICE_NS } {
                round.due_ns = round.due_ns.min(seen.since_ns + SLICE_NS);
            } else if processor.wish.make() {
                round.asked += 1;
                (seen.rounds, seen.round_ns) = (0, now_ns);
            } else if seen.is_hog(now_ns) && (others_wait || queued.have_used_up) {
                seen.is_told = true;
                round.hogs.push((goroutine, ran_ns));
            }
        }
        self.before_ns = now_ns;
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::Core;

    const MS: u64 = 1_000_000;

    const NOBODY: Waiting = Waiting { are_ready: false, have_used_up: false, may_come: false };
    const HAVE_USED_UP: Waiting = Waiting { have_used_up: true, ..NOBODY };
    const MAY_COME: Waiting = Waiting { may_come: true, ..NOBODY };
    const ARE_READY: Waiting = Waiting { are_ready: true, ..NOBODY };

    struct Scene {
        slices: Slices,
        core: Box<Core>,
        processors: [Arc<Processor>; 1],
    }

    impl Scene {
        fn new() -> Self {
            let (processor, local) = Processor::new(0);
            let processor = Arc::new(processor);
            Self {
                slices: Slices::default(),
                core: Core::new(Arc::clone(&processor), local),
                processors: [processor],
            }
        }

        fn run(&mut self, goroutine: u64) {
            self.core.begin_slice();
            self.core.set_running(goroutine);
        }

        fn look(&mut self, now_ns: u64) -> Round {
            self.slices.look(&self.processors, now_ns, HAVE_USED_UP)
        }
    }

    fn quiet(due_ns: u64) -> Round {
        Round { due_ns, asked: 0, hogs: vec![] }
    }

    #[test]
    fn a_slice_ends_10_ms_after_the_last_round_that_did_not_see_it() {
        let mut scene = Scene::new();
        assert_eq!(scene.look(MS), quiet(NEVER));
        scene.run(7);
        assert_eq!(scene.look(5 * MS), quiet(11 * MS));
        assert_eq!(scene.look(11 * MS).asked, 1);
        assert!(scene.processors[0].wish.is_made());
        assert_eq!(scene.look(12 * MS).asked, 0, "it was asked already");
    }

    #[test]
    fn a_look_at_the_clock_since_then_says_better_when_it_began() {
        let mut scene = Scene::new();
        assert_eq!(scene.look(MS), quiet(NEVER));
        scene.core.looked_at_clock(8 * MS);
        scene.run(7);
        assert_eq!(scene.look(10 * MS), quiet(18 * MS));
    }

    #[test]
    fn a_slice_that_is_over_before_anyone_looks_is_asked_at_once() {
        let mut scene = Scene::new();
        scene.slices.begin(MS);
        scene.run(7);
        assert_eq!(scene.look(12 * MS).asked, 1);
    }

    #[test]
    fn another_slice_of_the_same_goroutine_begins_anew() {
        let mut scene = Scene::new();
        scene.run(7);
        let _ = scene.look(2 * MS);
        scene.run(7);
        assert_eq!(scene.look(9 * MS), quiet(12 * MS));
    }

    #[test]
    fn one_that_has_used_up_a_slice_makes_way_after_a_short_one() {
        let mut scene = Scene::new();
        let asked = |scene: &mut Scene, now_ns, queued| {
            let round = scene.slices.look(&scene.processors, now_ns, queued);
            (round.asked, round.due_ns)
        };
        scene.run(7);
        assert_eq!(asked(&mut scene, MS, ARE_READY), (0, 10 * MS), "not the first time");
        scene.core.begin_turn(10 * MS, SLICE_NS);
        assert_eq!(asked(&mut scene, 10 * MS, NOBODY), (0, 20 * MS), "all of it while nobody waits");
        assert_eq!(asked(&mut scene, 13 * MS, MAY_COME), (0, 14 * MS));
        assert_eq!(asked(&mut scene, 14 * MS, ARE_READY), (1, 15 * MS));
    }

    #[test]
    fn a_wish_does_not_outlive_the_goroutine_that_went_away() {
        let mut scene = Scene::new();
        scene.run(7);
        let _ = scene.look(20 * MS);
        assert!(scene.processors[0].wish.is_made());
        scene.core.set_running(0);
        assert_eq!(scene.look(21 * MS), quiet(NEVER));
        assert!(!scene.processors[0].wish.is_made());
    }

    #[test]
    fn a_hog_is_told_once_and_only_if_others_wait() {
        let mut scene = Scene::new();
        scene.run(7);
        let _ = scene.look(1);
        for ms in (10..=150).step_by(10) {
            let alone = scene.slices.look(&scene.processors, ms * MS, NOBODY);
            assert_eq!(alone.hogs, vec![]);
        }
        assert_eq!(scene.look(160 * MS).hogs, vec![(7, 160 * MS)]);
        assert_eq!(scene.look(170 * MS).hogs, vec![]);
    }

    #[test]
    fn a_process_that_was_held_up_has_no_hogs() {
        let mut scene = Scene::new();
        scene.run(7);
        let _ = scene.look(MS);
        assert_eq!(scene.look(500 * MS), Round { due_ns: NEVER, asked: 1, hogs: vec![] });
        // Looks in quick succession give it no time to check either.
        for us in 1..100 {
            assert_eq!(scene.look(500 * MS + 20_000 * us).hogs, vec![]);
        }
        // Held up once more.
        assert_eq!(scene.look(900 * MS).hogs, vec![]);
        let told: Vec<u64> =
            (1..20).filter(|round| scene.look((900 + 10 * round) * MS).hogs != vec![]).collect();
        assert_eq!(told, [u64::from(HOG_ROUNDS) - 1], "that it goes on is no excuse");
    }
}
