//! Which lane this thread records into.
//!
//! As in `current.rs`: a goroutine changes threads, so the thread-local is read anew, out of line, at each event, and
//! nothing that is called here suspends.
#![allow(
    unsafe_code,
    reason = "the thread-local points to the lane in the frame of the worker's main function"
)]

use super::lane::Lane;
use super::recorder::Recorder;
use std::cell::Cell;
use std::ptr;

thread_local! {
    static LANE: Cell<*mut Lane> = const { Cell::new(ptr::null_mut()) };
}

/// Has the calling thread, a worker of `runtime`, record into a lane of its own while `work` runs.
pub(super) fn with_own_lane<R>(recorder: &'static Recorder, runtime: u32, work: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            LANE.set(ptr::null_mut());
        }
    }
    let mut lane = Lane::begin(recorder, runtime);
    LANE.set(&raw mut lane);
    let leave = Leave;
    let result = work();
    drop(leave);
    recorder.unlist(lane.stream.shared());
    result
}

/// Calls `record` with the lane of this thread, if it has one. `record` must not come here again, nor suspend.
#[inline(always)]
pub(super) fn with_lane<R>(record: impl FnOnce(&mut Lane) -> R) -> Option<R> {
    let lane = LANE.get();
    // SAFETY: null, or set by `with_own_lane` on this thread, which has not returned: its lane is alive, and it does not
    // touch it meanwhile. The thread-local is not reachable from another thread, and `record` does not come here again,
    // so there is no second reference.
    unsafe { lane.as_mut() }.map(record)
}
