//! A lane: the events of one worker, in the order in which they happened on its thread.

use super::cpu::CpuWatch;
use super::format::kind;
use super::ops::Op;
use super::recorder::Recorder;
use super::sites::Site;
use super::stream::Stream;
use crate::park::WaitReason;
use rustix::thread::gettid;

/// The recording end of a worker's lane. Stays on its thread.
pub(crate) struct Lane {
    pub(super) stream: Stream,
    cpu: CpuWatch,
    /// Where the running goroutine calls what may make it wait, and the object of that call.
    call: Option<(usize, Site)>,
}

impl Lane {
    /// The lane of the calling thread, a worker of `runtime`.
    pub(super) fn begin(recorder: &'static Recorder, runtime: u32) -> Self {
        let thread = u32::try_from(gettid().as_raw_nonzero().get()).unwrap_or(0);
        Self { stream: Stream::begin(recorder, runtime, thread), cpu: CpuWatch::new(), call: None }
    }

    /// A goroutine begins to run: one that was in a queue.
    pub(crate) fn run(&mut self, id: u64) {
        // No lock is held here, and the worker is between two goroutines: the place to write to the file.
        self.stream.flush_if_half_full();
        self.begin_run(kind::RUN, id);
    }

    /// A goroutine goes on that was about to park: the token came first.
    pub(crate) fn go_on(&mut self, id: u64) {
        self.begin_run(kind::GO_ON, id);
    }

    #[inline(always)]
    fn begin_run(&mut self, kind: u8, id: u64) {
        self.cpu.begin();
        self.stream.event(kind, |stream| [stream.id(id)]);
        self.stream.running = id;
        self.call = None;
    }

    /// The running goroutine parks.
    pub(crate) fn park(&mut self, reason: WaitReason, object: usize) {
        let site = match self.call {
            Some((about, site)) if about == object => self.stream.site(site),
            _ => 0,
        };
        let off_ns = self.cpu.off_ns();
        self.stream
            .event(kind::PARK, |stream| [u64::from(reason.code()), stream.object(object), site, off_ns]);
        self.stream.running = 0;
    }

    /// Goroutine `id` was unparked, but was not parked: its next park will not wait.
    pub(crate) fn notify(&mut self, id: u64) {
        self.stream.event(kind::NOTIFY, |stream| [stream.id(id)]);
    }

    /// The running goroutine goes to the end of a queue.
    pub(crate) fn yielded(&mut self) {
        self.end_segment(kind::YIELD);
        self.stream.running = 0;
    }

    /// The running goroutine has ended.
    pub(crate) fn ended(&mut self) {
        self.end_segment(kind::END);
        self.stream.running = 0;
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

    /// An operation of level `sync`.
    pub(crate) fn op(&mut self, op: Op, object: usize, capacity: usize, site: Site) {
        let site = self.stream.site(site);
        let clock = self.stream.recorder.clock;
        let ticks = if op.is_taking() { clock.ordered() } else { clock.now() };
        let kind = kind::FIRST_OP + op.code();
        self.stream.event_at(ticks, kind, |stream| [stream.object(object), capacity as u64, site]);
    }
}
