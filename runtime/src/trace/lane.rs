//! A lane: the events of one worker, in the order in which they happened on its thread.

use super::cpu::CpuWatch;
use super::format::kind;
use super::ops::Op;
use super::recorder::Recorder;
use super::sites::Site;
use super::stream::Stream;
use crate::os;
use crate::park::WaitReason;

/// The recording end of a worker's lane. Stays on its thread.
pub(crate) struct Lane {
    pub(super) stream: Stream,
    cpu: CpuWatch,
    /// When the last goroutine stopped, ticks, if the worker has not looked for long for the next one since, and not among those
    /// of others: one of them may have been queued later than that.
    left: Option<u64>,
    /// Where the running goroutine calls what may make it wait, and the object of that call.
    call: Option<(usize, Site)>,
    /// That the running goroutine has pledged to wait: when, ticks, and for what.
    pledged: Option<(u64, WaitReason, usize)>,
}

impl Lane {
    /// The lane of the calling thread, a worker of `runtime`.
    pub(super) fn begin(recorder: &'static Recorder, runtime: u32) -> Self {
        let thread = os::thread_id().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        Self {
            stream: Stream::begin(recorder, runtime, thread),
            cpu: CpuWatch::new(),
            left: None,
            call: None,
            pledged: None,
        }
    }

    /// A goroutine begins to run: one that was in a queue.
    pub(crate) fn run(&mut self, id: u64) {
        // No lock is held here, and the worker is between two goroutines: the place to write to the file.
        self.stream.flush_if_half_full();
        self.begin_run(kind::RUN, id);
    }

    /// As `run`, on the stack of the one before, where nothing is written to the file: there is room.
    pub(crate) fn run_directly(&mut self, id: u64) {
        self.begin_run(kind::RUN, id);
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.stream.is_half_full()
    }

    /// A goroutine goes on that was about to park: the token came first.
    pub(crate) fn go_on(&mut self, id: u64) {
        self.begin_run(kind::GO_ON, id);
    }

    #[inline(always)]
    fn begin_run(&mut self, kind: u8, id: u64) {
        self.cpu.begin();
        // One that comes right after another runs from that one's end on: a reading of the clock less, and taking it from
        // the queue is a part of its run.
        let ticks = self.left.take().unwrap_or_else(|| self.stream.recorder.clock.now());
        self.stream.event_at(ticks, kind, |stream| [stream.id(id)]);
        self.stream.running = id;
        self.call = None;
    }

    /// The running goroutine parks.
    pub(crate) fn park(&mut self, reason: WaitReason, object: usize) {
        let now = self.stream.recorder.clock.now();
        self.park_at(now, reason, object);
    }

    /// The running goroutine pledges to park, and tells someone, who may unpark it from now on: so it parks now. It is recorded
    /// when it leaves its stack: here it may hold a lock.
    pub(crate) fn pledge(&mut self, reason: WaitReason, object: usize) {
        self.pledged = Some((self.stream.recorder.clock.now(), reason, object));
    }

    /// No one was told.
    pub(crate) fn withdraw(&mut self) {
        self.pledged = None;
    }

    /// The running goroutine parks as it had pledged to.
    pub(crate) fn park_as_pledged(&mut self) {
        if let Some((ticks, reason, object)) = self.pledged.take() {
            self.park_at(ticks, reason, object);
        }
    }

    fn park_at(&mut self, ticks: u64, reason: WaitReason, object: usize) {
        let site = match self.call {
            Some((about, site)) if about == object => self.stream.site(site),
            _ => 0,
        };
        let off_ns = self.cpu.off_ns();
        self.leave_at(ticks, kind::PARK, |stream| {
            [u64::from(reason.code()), stream.object(object), site, off_ns]
        });
    }

    /// Goroutine `id` was unparked, but was not parked: its next park will not wait. Or it waits for one other alone, and the
    /// unpark is in vain.
    pub(crate) fn notify(&mut self, id: u64) {
        self.stream.event(kind::NOTIFY, |stream| [stream.id(id)]);
    }

    /// The running goroutine goes to the end of a queue.
    pub(crate) fn yielded(&mut self) {
        let off_ns = self.cpu.off_ns();
        self.leave(kind::YIELD, |_| [off_ns]);
    }

    /// The running goroutine has ended.
    pub(crate) fn ended(&mut self) {
        let off_ns = self.cpu.off_ns();
        self.leave(kind::END, |_| [off_ns]);
    }

    #[inline(always)]
    fn leave<const N: usize>(&mut self, kind: u8, values: impl FnOnce(&mut Stream) -> [u64; N]) {
        let now = self.stream.recorder.clock.now();
        self.leave_at(now, kind, values);
    }

    #[inline(always)]
    fn leave_at<const N: usize>(
        &mut self,
        ticks: u64,
        kind: u8,
        values: impl FnOnce(&mut Stream) -> [u64; N],
    ) {
        self.stream.event_at(ticks, kind, values);
        self.stream.running = 0;
        self.left = Some(ticks);
    }

    /// The worker has found no goroutine at once, or takes some that others have queued, maybe after the last one stopped here.
    pub(crate) fn searches(&mut self) {
        self.left = None;
    }

    /// The running goroutine is about to block its thread, and gives its processor away.
    pub(crate) fn blocking_begin(&mut self) {
        self.end_segment(kind::BLOCKING_BEGIN);
    }

    /// It is done, and needs a processor again.
    pub(crate) fn blocking_end(&mut self) {
        self.end_segment(kind::BLOCKING_END);
    }

    #[inline(always)]
    fn end_segment(&mut self, kind: u8) {
        let off_ns = self.cpu.off_ns();
        self.stream.event(kind, |_| [off_ns]);
    }

    /// The worker holds the processor of that index from now on.
    pub(crate) fn processor(&mut self, index: usize) {
        self.left = None;
        self.stream.event(kind::PROCESSOR, |_| [index as u64]);
    }

    /// The running goroutine honours a wish that it yield.
    pub(crate) fn preempt(&mut self) {
        self.stream.event(kind::PREEMPT, |_| []);
    }

    /// There are to be so many processors.
    pub(crate) fn procs(&mut self, procs: usize) {
        self.stream.event(kind::PROCS, |_| [procs as u64]);
    }

    /// Remembers where the running goroutine calls what may make it wait for `object`.
    pub(crate) fn call(&mut self, object: usize, site: Site) {
        self.call = Some((object, site));
    }

    /// An operation of level `sync`; without a site for what a guard does when it is dropped.
    pub(crate) fn op(&mut self, op: Op, object: usize, capacity: usize, site: Option<Site>) {
        let site = site.map_or(0, |site| self.stream.site(site));
        let clock = self.stream.recorder.clock;
        let ticks = if op.is_taking() { clock.ordered() } else { clock.now() };
        let kind = kind::FIRST_OP + op.code();
        self.stream.event_at(ticks, kind, |stream| [stream.object(object), capacity as u64, site]);
    }
}
