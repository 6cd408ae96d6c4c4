//! Goroutines as reports see them: from outside, while they go on.

use super::seed::all_places;
use super::{Goroutine, GoroutineRef};
use crate::park::WaitReason;
use crate::primitives::atomic::{
    Ordering::{Acquire, Relaxed},
    fence,
};
use crate::runtime::Runtime;
use crate::stack;
use std::panic::Location;
use std::ptr;

/// A goroutine as reports show it.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) id: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) pinned: bool,
    /// What it waits for (0: of no interest), if it does.
    pub(crate) waits_for: Option<(WaitReason, usize)>,
}

/// All goroutines of `runtime` that are alive, by id.
pub(crate) fn all(runtime: &Runtime) -> Vec<Sight> {
    let grown = stack::headers().map(GoroutineRef::of_slot);
    let mut all: Vec<Sight> = all_places().chain(grown).filter_map(|one| one.sight(runtime)).collect();
    all.sort_by_key(|sight| sight.id);
    // One that has just sprouted is seen in both places.
    all.dedup_by_key(|sight| sight.id);
    all
}

/// The goroutine of `runtime` with this id, if it is alive and has begun.
pub(crate) fn find(runtime: &Runtime, id: u64) -> Option<Sight> {
    let all = stack::headers().map(GoroutineRef::of_slot);
    // Other runtimes have the same ids.
    all.filter(|one| one.id() == id).find_map(|one| one.sight(runtime)).filter(|sight| sight.id == id)
}

impl GoroutineRef {
    /// What is to be seen of it, if it is alive and of `runtime`.
    fn sight(self, runtime: &Runtime) -> Option<Sight> {
        // ORDERING: Acquire; pairs with the Release in `Runnable::new`.
        let id = self.id.load(Acquire);
        // ORDERING: Relaxed; after the id.
        if id == 0 || !ptr::eq(self.runtime.load(Relaxed), runtime) {
            return None;
        }
        let sight =
            Sight { id, site: self.site()?, pinned: self.ties.is_pinned(), waits_for: self.waits_for() };
        // ORDERING: Acquire fence; orders the loads above before the second look at the id. If one of them read from the
        // next goroutine here, so does that look, or it finds the 0 in between.
        fence(Acquire);
        (self.id() == id).then_some(sight)
    }
}

impl Goroutine {
    /// What it waits for (0: of no interest), if it does.
    fn waits_for(&self) -> Option<(WaitReason, usize)> {
        if !self.token.is_waiting() {
            return None;
        }
        // ORDERING: Relaxed; a snapshot for people.
        let reason = WaitReason::from_code(self.wait_reason.load(Relaxed))?;
        // ORDERING: Relaxed; as above.
        Some((reason, self.wait_object.load(Relaxed)))
    }
}
