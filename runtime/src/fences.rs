//! Fences that cost nothing where code runs often, and more where it runs rarely.
//!
//! Two threads that each store and then load what the other stores need a full fence in between, or both may miss the
//! other's store:
//!
//! ```text
//! often:   store A   light()   load B
//! rarely:  store B   heavy()   load A
//! ```
//! `heavy` makes every CPU that runs a thread of this process pass a full fence (`membarrier`, 0.1 to 0.35 µs here), so
//! `light` need only keep the compiler from moving the load up: of the two threads at least one sees the other's store,
//! as if each had a `fence(SeqCst)`. For if the load of B came before that fence, so did the store of A, and the load of A,
//! which comes after it, sees it; and if it came after, it sees B. Where the kernel has no `membarrier`, or refuses it, both
//! are a `fence(SeqCst)`, which is 5 to 10 ns.

use crate::os;
use crate::primitives::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    compiler_fence, fence,
};

/// Nobody has asked the kernel yet.
const UNKNOWN: u8 = 0;
/// `heavy` is a `membarrier`.
const ASYMMETRIC: u8 = 1;
/// Both are fences.
const SYMMETRIC: u8 = 2;

/// Which of these; decided once, and then for good.
static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The fence between a store and a load that run often.
#[inline]
pub(crate) fn light() {
    // ORDERING: Relaxed; no other value says that the kernel has been asked, which happened once and before.
    if KIND.load(Relaxed) == ASYMMETRIC {
        // ORDERING: SeqCst compiler fence; pairs with the `membarrier` in `heavy`.
        compiler_fence(SeqCst);
    } else {
        settle();
        // ORDERING: SeqCst fence; pairs with that in `heavy`, and is stronger than what its `membarrier` needs.
        fence(SeqCst);
    }
}

/// The fence between a store and a load that run rarely.
pub(crate) fn heavy() {
    if settle() == ASYMMETRIC {
        os::fence_all();
    } else {
        // ORDERING: SeqCst fence; pairs with that in `light`.
        fence(SeqCst);
    }
}

/// Asks the kernel while it is cheap: as long as the process has one thread. Later it answers when all CPUs have passed through it,
/// 10 to 20 ms, in which whoever uses the first lock would hold up all goroutines behind it.
pub(crate) fn prepare() {
    settle();
}

/// Decides, once.
#[cold]
fn settle() -> u8 {
    // ORDERING: Acquire; pairs with the Release below: the kernel has been asked.
    let kind = KIND.load(Acquire);
    if kind != UNKNOWN {
        return kind;
    }
    let may = !cfg!(any(miri, loom)) && os::register_fences();
    let kind = if may { ASYMMETRIC } else { SYMMETRIC };
    // ORDERING: Release; pairs with the Acquire above. Relaxed on failure would do, for who loses reads the winner's kind,
    // and both asked the same kernel; Acquire, as above.
    KIND.compare_exchange(UNKNOWN, kind, Release, Acquire).map_or_else(|decided| decided, |_| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::Arc;
    use crate::primitives::atomic::AtomicUsize;
    use std::thread;

    /// Two threads store and then load what the other stores; without fences both miss it now and then.
    #[test]
    fn of_a_light_and_a_heavy_side_one_sees_the_other() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
        let shared = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)));
        let light_side = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                (1..=ROUNDS)
                    .map(|round| {
                        while shared.2.load(SeqCst) < round {
                            thread::yield_now();
                        }
                        shared.0.store(round, Relaxed);
                        light();
                        shared.1.load(Relaxed) >= round
                    })
                    .collect::<Vec<_>>()
            })
        };
        let heavy_side: Vec<_> = (1..=ROUNDS)
            .map(|round| {
                shared.2.store(round, SeqCst);
                shared.1.store(round, Relaxed);
                heavy();
                shared.0.load(Relaxed) >= round
            })
            .collect();
        let light_side = light_side.join().unwrap();
        let missed = light_side.into_iter().zip(heavy_side).filter(|saw| *saw == (false, false)).count();
        assert_eq!(missed, 0);
    }
}
