//! Random order, cheap and private to the thread, so that no arm of a `select!` is favoured.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// State of a xorshift64* generator (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016);
    /// 0 until its first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// A random number. Never inlined: the thread may be another one after the next park, and the address of its state
/// must not be kept across that.
#[inline(never)]
fn roll() -> u64 {
    STATE.with(|state| {
        let mut x = match state.get() {
            // The standard library's randomly keyed hasher is the seed; any odd number will do if that hash is 0.
            0 => RandomState::new().hash_one(0) | 1,
            x => x,
        };
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

/// Puts `items` in a random order; all orders are equally likely (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T]) {
    if cfg!(loom) {
        // A model must do the same in each run.
        return;
    }
    for last in (1..items.len()).rev() {
        // The high bits are the good ones. The bias of the remainder is below `items.len()` in 2³².
        let pick = (roll() >> 32) % (last as u64 + 1);
        items.swap(last, usize::try_from(pick).expect("at most the index `last`"));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn all_orders_are_about_equally_likely() {
        let mut seen: HashMap<[u8; 3], u32> = HashMap::new();
        for _ in 0..6000 {
            let mut items = [1, 2, 3];
            shuffle(&mut items);
            *seen.entry(items).or_default() += 1;
        }
        assert_eq!(seen.len(), 6);
        // 1000 each are expected, with a standard deviation of 29: ten of them off is not chance.
        assert!(seen.values().all(|count| count.abs_diff(1000) < 290), "{seen:?}");
    }

    #[test]
    fn nothing_to_shuffle_is_no_trouble() {
        shuffle::<u8>(&mut []);
        shuffle(&mut [1]);
    }
}
