//! Where the time of the processors goes, but for running goroutines: idle, and until what; on the way to a worker that has
//! been woken; looking for something to run.
//!
//! The clock is read where a processor is put among the idle ones and taken out again, where its worker begins, and where that
//! begins and ends to search: never at a switch from one goroutine to the next.
//!
//! **What it idled for** is what the goroutine had waited for that it runs first: that one was missing. If it waited for a
//! lock, the processor did, too; likewise for channels, descriptors and timers. If it has just been started, or waited for
//! others to end or to arrive, there was too little to do side by side; and while only one processor was busy then, all
//! depended on the one goroutine that it ran (`critical`).

use crate::metrics::Counter;
use crate::park::WaitReason;

/// What a processor idled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Lock,
    Channel,
    /// A descriptor, or the end of a blocking call.
    Io,
    Timer,
    /// Something to do side by side.
    Work,
}

impl Missing {
    /// What was missing until a goroutine could run that had waited for `reason`; `None`: it has not run before.
    pub(crate) fn until(reason: Option<WaitReason>) -> Self {
        use WaitReason as R;
        match reason {
            Some(R::Mutex | R::RwLock | R::Condvar | R::Once | R::Semaphore) => Self::Lock,
            Some(R::ChanSend | R::ChanRecv | R::Select) => Self::Channel,
            Some(R::Net) => Self::Io,
            Some(R::Sleep) => Self::Timer,
            Some(R::WaitGroup | R::Barrier | R::Join) | None => Self::Work,
        }
    }
}

/// Sums of one processor, nanoseconds. Written by its holder, or under the lock while it is idle.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) lock_ns: Counter,
    pub(crate) channel_ns: Counter,
    pub(crate) io_ns: Counter,
    pub(crate) timer_ns: Counter,
    pub(crate) work_ns: Counter,
    pub(crate) critical_ns: Counter,
    pub(crate) waking_ns: Counter,
    pub(crate) searching_ns: Counter,
}

/// How many processors are busy, and for how long it has been one alone. Under the lock.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    now: usize,
    changed_ns: u64,
    alone_ns: u64,
}

impl Busy {
    /// From `now_ns` on there are `busy`.
    pub(crate) fn note(&mut self, now_ns: u64, busy: usize) {
        if self.now == 1 {
            self.alone_ns += now_ns.saturating_sub(self.changed_ns);
        }
        (self.now, self.changed_ns) = (busy, now_ns);
    }

    /// The same number as before at `now_ns`: brings the sum up to date.
    fn touch(&mut self, now_ns: u64) {
        self.note(now_ns, self.now);
    }
}

/// What a processor does that runs no goroutine. Times are ns of the runtime's clock; 0: it does not.
#[derive(Debug, Default)]
pub(crate) struct Span {
    idle_since_ns: u64,
    /// `Busy::alone_ns` at that moment.
    alone_before_ns: u64,
    /// Idle, and of that alone, since it last ran a goroutine.
    idle_ns: u64,
    alone_ns: u64,
    woken_ns: u64,
    search_since_ns: u64,
}

impl Span {
    /// It is idle from `now_ns` on, which `busy` knows already. It searches no longer.
    pub(crate) fn begin_idle(&mut self, now_ns: u64, busy: &Busy, sums: &Sums) {
        self.end_search(now_ns, sums);
        (self.idle_since_ns, self.alone_before_ns) = (now_ns, busy.alone_ns);
    }

    /// It is idle no longer, which `busy` knows already.
    pub(crate) fn end_idle(&mut self, now_ns: u64, busy: &Busy) {
        self.idle_ns += now_ns.saturating_sub(self.idle_since_ns);
        self.alone_ns += busy.alone_ns.saturating_sub(self.alone_before_ns);
        self.idle_since_ns = 0;
    }

    /// It is given to a worker, whose thread must wake up.
    pub(crate) fn begin_waking(&mut self, now_ns: u64) {
        self.woken_ns = now_ns;
    }

    /// Its worker has it, and looks for something to run.
    pub(crate) fn begin_serving(&mut self, now_ns: u64, sums: &Sums) {
        if self.woken_ns != 0 {
            sums.waking_ns.add(now_ns.saturating_sub(self.woken_ns));
            self.woken_ns = 0;
        }
        self.search_since_ns = now_ns;
    }

    pub(crate) fn begin_search(&mut self, now_ns: u64) {
        self.search_since_ns = now_ns;
    }

    fn end_search(&mut self, now_ns: u64, sums: &Sums) {
        if self.search_since_ns != 0 {
            sums.searching_ns.add(now_ns.saturating_sub(self.search_since_ns));
            self.search_since_ns = 0;
        }
    }

    /// It runs a goroutine from `now_ns` on, which was `missing` until now.
    pub(crate) fn found(&mut self, now_ns: u64, missing: Missing, sums: &Sums) {
        self.end_search(now_ns, sums);
        self.attribute(missing, sums);
    }

    /// It has idled for what was `missing`.
    pub(crate) fn attribute(&mut self, missing: Missing, sums: &Sums) {
        let (idle_ns, alone_ns) = (self.idle_ns, self.alone_ns.min(self.idle_ns));
        (self.idle_ns, self.alone_ns) = (0, 0);
        match missing {
            Missing::Lock => sums.lock_ns.add(idle_ns),
            Missing::Channel => sums.channel_ns.add(idle_ns),
            Missing::Io => sums.io_ns.add(idle_ns),
            Missing::Timer => sums.timer_ns.add(idle_ns),
            Missing::Work => {
                sums.critical_ns.add(alone_ns);
                sums.work_ns.add(idle_ns - alone_ns);
            }
        }
    }

    /// It is idle still: what it has idled for up to `now_ns` has not come, so there was too little to do.
    pub(crate) fn settle(&mut self, now_ns: u64, busy: &mut Busy, sums: &Sums) {
        busy.touch(now_ns);
        self.end_idle(now_ns, busy);
        self.attribute(Missing::Work, sums);
        self.begin_idle(now_ns, busy, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_idles_for_what_the_goroutine_waited_for_that_ends_it() {
        let (mut busy, mut span, sums) = (Busy::default(), Span::default(), Sums::default());
        busy.note(100, 1);
        span.begin_idle(100, &busy, &sums);
        busy.note(150, 2);
        span.end_idle(150, &busy);
        span.begin_waking(150);
        span.begin_serving(170, &sums);
        span.found(180, Missing::until(Some(WaitReason::Mutex)), &sums);
        let all = |sums: &Sums| {
            [&sums.lock_ns, &sums.work_ns, &sums.critical_ns, &sums.waking_ns, &sums.searching_ns]
                .map(Counter::get)
        };
        assert_eq!(all(&sums), [50, 0, 0, 20, 10]);
    }

    #[test]
    fn a_lack_of_work_is_critical_while_one_runs_alone() {
        let (mut busy, mut span, sums) = (Busy::default(), Span::default(), Sums::default());
        busy.note(10, 2);
        span.begin_idle(10, &busy, &sums);
        busy.note(30, 1);
        span.settle(40, &mut busy, &sums);
        busy.note(60, 2);
        span.end_idle(60, &busy);
        span.found(60, Missing::until(None), &sums);
        assert_eq!((sums.work_ns.get(), sums.critical_ns.get()), (20, 30));
    }

    #[test]
    fn a_search_in_vain_ends_where_it_idles_again() {
        let (busy, mut span, sums) = (Busy::default(), Span::default(), Sums::default());
        span.begin_search(5);
        span.begin_idle(9, &busy, &sums);
        span.begin_idle(12, &busy, &sums);
        assert_eq!(sums.searching_ns.get(), 4);
    }
}
