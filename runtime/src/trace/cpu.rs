//! How much of a run segment its thread spent off the CPU.
//!
//! The thread's CPU clock says it, but reading it is a system call (190 ns here against 20 ns for a whole event). So it is
//! read only when the thread has been switched out since it was last read, and that is seen without a call:
//!
//! A thread with a *restartable sequence* area (glibc ≥ 2.35 registers one for every thread) may leave the address of a
//! descriptor in it. By contract of the kernel (`rseq(2)`), when it preempts the thread or delivers a signal to it
//! outside the described instructions, it sets that field to null. Our descriptor describes no instructions at all.
//! So the address stays exactly while the thread is not switched out, and a look at it is one load. Should other code
//! use the field for a sequence of its own, our address is gone too, and the clock is read once too often.
//!
//! While the address stays, the segment's CPU time is its wall time, and no clock is read. When it is gone, the distance
//! of CLOCK_MONOTONIC from the thread's CPU clock has grown by the time off the CPU, to within the reading of two
//! clocks: **less than 1 µs off**, however long the segment was. (What a hypervisor takes from the whole machine is CPU
//! time to the kernel as well.)
//!
//! Without such an area (another libc, `GLIBC_TUNABLES=glibc.pthread.rseq=0`, another architecture) the clock is read
//! for segments of [`LONG_NS`] and more; shorter ones count as wholly on the CPU: **at most `LONG_NS` off**. The file
//! says which it was.
#![allow(unsafe_code, reason = "the area is shared with the kernel")]

use crate::clock::{monotonic_ns, ns_of};
use rustix::time::ClockId;

/// Nanoseconds of a segment from which on the CPU clock is read where no switch can be seen.
pub(super) const LONG_NS: u64 = 10_000;
/// Most nanoseconds by which the distance of the two clocks is misread; half as much was seen.
pub(super) const READING_NS: u64 = 1_000;

/// Watches one thread. Belongs to it.
pub(super) struct CpuWatch {
    mark: Option<mark::Mark>,
    /// Nanoseconds that the thread had been off the CPU, ever, up to a constant, when that was last read.
    off_ns: u64,
    /// CLOCK_MONOTONIC at that moment; only used where no switch can be seen.
    looked_ns: u64,
}

impl CpuWatch {
    /// A watch over the calling thread.
    pub(super) fn new() -> Self {
        let mut watch = Self { mark: mark::Mark::of_this_thread(), off_ns: 0, looked_ns: 0 };
        watch.read();
        watch
    }

    /// Whether switches are seen; as the file names it.
    pub(super) fn code() -> u8 {
        u8::from(mark::Mark::of_this_thread().is_some())
    }

    /// Begins a segment.
    #[inline]
    pub(super) fn begin(&mut self) {
        let _ = self.off_ns();
    }

    /// Nanoseconds off the CPU since the last call of this or `begin`; another segment begins.
    #[inline]
    pub(super) fn off_ns(&mut self) -> u64 {
        if self.is_unswitched() { 0 } else { self.read() }
    }

    #[inline]
    fn is_unswitched(&self) -> bool {
        match &self.mark {
            Some(mark) => mark.is_there(),
            None => monotonic_ns().saturating_sub(self.looked_ns) < LONG_NS,
        }
    }

    /// Reads both clocks; the nanoseconds off the CPU since they were last read.
    #[cold]
    #[inline(never)]
    fn read(&mut self) -> u64 {
        let before = self.off_ns;
        for _ in 0..3 {
            if let Some(mark) = &self.mark {
                mark.set();
            }
            let cpu_ns = ns_of(ClockId::ThreadCPUTime);
            self.looked_ns = monotonic_ns();
            self.off_ns = self.looked_ns.saturating_sub(cpu_ns);
            // A switch between the two readings counts as a part of neither.
            if self.mark.as_ref().is_none_or(mark::Mark::is_there) {
                break;
            }
        }
        self.off_ns.saturating_sub(before)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod mark {
    use crate::primitives::OnceLock;
    use std::ffi::CStr;
    use std::ptr;

    /// The kernel's `struct rseq_cs`.
    #[repr(C, align(32))]
    struct Descriptor {
        version: u32,
        flags: u32,
        start: *const u32,
        bytes: u64,
        abort: *const u32,
    }

    /// What the kernel looks for right before the address where an interrupted sequence goes on (glibc's `RSEQ_SIG`).
    /// Never jumped to: a sequence of no instructions is never interrupted.
    static LANDING: [u32; 2] = [0x5305_3053, 0];

    struct Empty(Descriptor);
    // SAFETY: it is never written, and its addresses are those of a static that is never written.
    unsafe impl Sync for Empty {}
    static EMPTY: Empty = Empty(Descriptor {
        version: 0,
        flags: 0,
        start: &raw const LANDING[0],
        bytes: 0,
        abort: &raw const LANDING[1],
    });

    /// Offset of the field `rseq_cs` in the kernel's `struct rseq`.
    const FIELD_OFFSET: isize = 8;
    /// Bytes of the first version of that structure.
    const AREA_BYTES: u32 = 20;

    /// The field of one thread. Neither sent nor shared: used by its thread only.
    pub(super) struct Mark(*mut *const Descriptor);

    impl Mark {
        /// The calling thread's; `None` where libc has registered no area.
        pub(super) fn of_this_thread() -> Option<Self> {
            static OFFSET: OnceLock<Option<isize>> = OnceLock::new();
            let offset = (*OFFSET.get_or_init(area_offset))?;
            // SAFETY: takes no arguments and always succeeds. In glibc on x86-64 it is the thread pointer.
            let thread = unsafe { libc::pthread_self() };
            let area: *mut u8 = ptr::with_exposed_provenance_mut(usize::try_from(thread).ok()?);
            Some(Self(area.wrapping_offset(offset + FIELD_OFFSET).cast()))
        }

        pub(super) fn set(&self) {
            // SAFETY: the field of the calling thread's area, which libc has allocated and registered with the thread and
            // which lives as long as it; aligned by the kernel's demand. The kernel looks at it only when it returns to
            // this thread, and the descriptor is valid for ever and passes its checks: version 0, no instructions, and
            // the signature before `abort`.
            unsafe { self.0.write_volatile(&raw const EMPTY.0) };
        }

        #[inline]
        pub(super) fn is_there(&self) -> bool {
            // SAFETY: as in `set`.
            let descriptor = unsafe { self.0.read_volatile() };
            ptr::eq(descriptor, &raw const EMPTY.0)
        }
    }

    impl Drop for Mark {
        fn drop(&mut self) {
            if self.is_there() {
                // SAFETY: as in `set`; null is the field's rest.
                unsafe { self.0.write_volatile(ptr::null()) };
            }
        }
    }

    /// Where the area lies from the thread pointer, if libc has registered one.
    fn area_offset() -> Option<isize> {
        let size: *const u32 = symbol(c"__rseq_size")?.cast();
        // SAFETY: glibc documents the symbol as an `unsigned int`, constant after the start of the program.
        if unsafe { size.read() } < AREA_BYTES {
            return None;
        }
        let offset: *const isize = symbol(c"__rseq_offset")?.cast();
        // SAFETY: glibc documents the symbol as a `ptrdiff_t`, constant after the start of the program.
        Some(unsafe { offset.read() })
    }

    fn symbol(name: &CStr) -> Option<*const libc::c_void> {
        // SAFETY: looks the name up among what is loaded; `name` ends with a zero byte.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const())
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
mod mark {
    /// No thread has one.
    pub(super) enum Mark {}

    impl Mark {
        pub(super) fn of_this_thread() -> Option<Self> {
            None
        }

        pub(super) fn set(&self) {
            match *self {}
        }

        pub(super) fn is_there(&self) -> bool {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Of a segment with `work` in it: nanoseconds off the CPU as watched, and the most that it can have been by the clocks:
    /// wall time read around the segment less CPU time read inside it, so that what happens to this thread between two
    /// readings adds to the second only. And that wall time.
    fn watched(make: fn() -> CpuWatch, work: impl FnOnce()) -> (u64, i128, i128) {
        let began_ns = monotonic_ns();
        let mut watch = make();
        watch.begin();
        let cpu_began_ns = ns_of(ClockId::ThreadCPUTime);
        work();
        let cpu_ns = ns_of(ClockId::ThreadCPUTime) - cpu_began_ns;
        let off_ns = watch.off_ns();
        let wall_ns = i128::from(monotonic_ns()) - i128::from(began_ns);
        (off_ns, wall_ns - i128::from(cpu_ns), wall_ns)
    }

    fn blind() -> CpuWatch {
        CpuWatch { mark: None, ..CpuWatch::new() }
    }

    #[test]
    fn a_sleep_is_time_off_the_cpu() {
        for make in [CpuWatch::new, blind] {
            let began_ns = monotonic_ns();
            let mut watch = make();
            watch.begin();
            let begun_ns = monotonic_ns();
            std::thread::sleep(Duration::from_millis(5));
            let off_ns = watch.off_ns();
            // What passed between the two readings at the beginning counts as off the CPU before it. Wall time is slewed
            // by NTP, at most 500 ppm, and CPU time is not.
            let unsure_ns = begun_ns - began_ns + off_ns / 1_000 + 20_000;
            assert!(off_ns + unsure_ns >= 5_000_000, "{off_ns}, unsure {unsure_ns}");
        }
    }

    #[test]
    fn no_more_is_off_the_cpu_than_the_clocks_say() {
        for make in [CpuWatch::new, blind] {
            let (off_ns, most_ns, wall_ns) = watched(make, || {
                let end = Instant::now() + Duration::from_millis(20);
                while Instant::now() < end {}
            });
            // Wall time is slewed by NTP, at most 500 ppm, and CPU time is not.
            assert!(i128::from(off_ns) <= most_ns.max(0) + wall_ns / 1_000 + 20_000, "{off_ns} > {most_ns}");
        }
    }

    #[test]
    fn a_segment_that_ended_does_not_count_again() {
        let mut watch = CpuWatch::new();
        watch.begin();
        std::thread::sleep(Duration::from_millis(5));
        watch.off_ns();
        let start = Instant::now();
        watch.begin();
        let off_ns = watch.off_ns();
        assert!(u128::from(off_ns) <= start.elapsed().as_nanos() + 1_000_000, "{off_ns}");
    }
}
