//! The list of all goroutines alive, for reports. In shards, so that processors rarely meet at a lock.

use crate::goroutine::Goroutine;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::primitives::{Arc, Mutex};
use std::mem;

const SHARDS: u32 = 16;

/// All goroutines alive.
#[derive(Default)]
pub(crate) struct Registry {
    shards: [Mutex<Shard>; SHARDS as usize],
}

#[derive(Default)]
struct Shard {
    goroutines: Vec<Option<Arc<Goroutine>>>,
    free: Vec<u32>,
}

impl Registry {
    /// Lists `goroutine`, which is not queued yet.
    pub(crate) fn insert(&self, goroutine: &Arc<Goroutine>) {
        let shard_index =
            u32::try_from(goroutine.birth.id / 16 % u64::from(SHARDS)).expect("below the shard count");
        let mut shard = self.shards[shard_index as usize].lock();
        let index = if let Some(index) = shard.free.pop() {
            shard.goroutines[index as usize] = Some(Arc::clone(goroutine));
            index
        } else {
            shard.goroutines.push(Some(Arc::clone(goroutine)));
            u32::try_from(shard.goroutines.len() - 1).expect("fewer than 2^32 goroutines")
        };
        // ORDERING: Relaxed; read by the worker on which it ends, which got it through a queue.
        goroutine.registry_slot.store(index, Relaxed);
    }

    /// Takes `goroutine` out of the list: it has ended.
    pub(crate) fn remove(&self, goroutine: &Goroutine) {
        let shard = (goroutine.birth.id / 16 % u64::from(SHARDS)) as usize;
        // ORDERING: Relaxed; see `insert`.
        let index = goroutine.registry_slot.load(Relaxed);
        let mut shard = self.shards[shard].lock();
        let removed = shard.goroutines[index as usize].take();
        debug_assert!(
            removed.is_some_and(|removed| removed.birth.id == goroutine.birth.id),
            "listed under its slot"
        );
        shard.free.push(index);
    }

    /// All goroutines alive, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Goroutine>> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| shard.lock().goroutines.iter().flatten().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_by_key(|goroutine| goroutine.birth.id);
        all
    }

    /// The goroutine with this id, if it is alive.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Goroutine>> {
        self.all().into_iter().find(|goroutine| goroutine.birth.id == id)
    }

    /// Empties the list: the runtime has ended.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            // The goroutines are dropped outside the lock.
            let _goroutines = mem::take(&mut *shard.lock());
        }
    }
}
