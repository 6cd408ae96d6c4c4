//! What a goroutine is to do, and where that waits until the goroutine has a stack.
#![allow(unsafe_code, reason = "a value whose type is known to a function only")]

use crate::fiber::catch;
use crate::packet::Promise;
use std::ptr::NonNull;

/// A function to call, and whom to give its result.
pub(crate) struct Body<T, F> {
    f: F,
    promise: Promise<T>,
}

impl<T, F: FnOnce() -> T> Body<T, F> {
    pub(crate) fn new(f: F, promise: Promise<T>) -> Self {
        Self { f, promise }
    }

    pub(crate) fn run(self) {
        self.promise.complete(catch(self.f));
    }

    /// Whether it waits in the packet of its result: no other memory is needed, and none is touched that will not be.
    pub(crate) const IN_PACKET: bool = Promise::<T>::has_room_for::<F>();

    /// All of it as one word, for `from_packet` or `from_box`.
    pub(crate) fn into_word(self) -> NonNull<()> {
        if Self::IN_PACKET {
            self.promise.put(self.f)
        } else {
            NonNull::from(Box::leak(Box::new(self))).cast()
        }
    }

    /// # Safety
    /// `word` is from `into_word` of this type, which is `IN_PACKET`; called once for it.
    pub(crate) unsafe fn from_packet(word: NonNull<()>) -> Self {
        // SAFETY: the caller's promise.
        let (promise, f) = unsafe { Promise::with(word) };
        Self { f, promise }
    }

    /// # Safety
    /// `word` is from `into_word` of this type, which is not `IN_PACKET`; called once for it.
    pub(crate) unsafe fn from_box(word: NonNull<()>) -> Box<Self> {
        // SAFETY: the caller's promise.
        unsafe { Box::from_raw(word.cast().as_ptr()) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::packet::packet;
    use crate::primitives::Arc;
    use std::thread;

    /// A body goes through a word, wherever it waits, and its result arrives.
    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug, F: FnOnce() -> T>(f: F, is_in_packet: bool, expected: T) {
        assert_eq!(Body::<T, F>::IN_PACKET, is_in_packet);
        let (promise, receipt) = packet();
        let word = Body::new(f, promise).into_word();
        assert!(!receipt.is_done());
        if is_in_packet {
            // SAFETY: from the line above, and of that type.
            unsafe { Body::<T, F>::from_packet(word) }.run();
        } else {
            // SAFETY: as above.
            unsafe { Body::<T, F>::from_box(word) }.run();
        }
        assert_eq!(receipt.wait().expect("it does not panic"), expected);
    }

    #[test]
    fn small_bodies_wait_in_the_packet_and_others_in_a_box() {
        #[repr(align(32))]
        #[derive(Clone, Copy, PartialEq, Debug)]
        struct Aligned([u64; 4]);
        #[repr(align(128))]
        #[derive(Clone, Copy, PartialEq, Debug)]
        struct Apart(u8);

        let (five, six) = ([1_u64, 2, 3, 4, 5], [1_u64; 6]);
        let (aligned, apart) = (Aligned([7; 4]), Apart(3));
        let (full, beyond) = ([1_u8; 40], [1_u8; 41]);
        check(|| 7, true, 7);
        check(move || full[39], true, 1);
        check(move || beyond[40], false, 1);
        check(move || five.iter().sum::<u64>(), true, 15);
        check(move || six.iter().sum::<u64>(), false, 6);
        check(move || { aligned }.0[0], true, 7);
        check(move || aligned, false, aligned);
        check(move || { apart }.0, false, 3);
        check(move || apart, false, apart);
        check(|| [0; 10], false, [0; 10]);
    }

    /// A body in its packet, and what runs it.
    fn packed<T, F: FnOnce() -> T>(body: Body<T, F>) -> (NonNull<()>, fn(NonNull<()>)) {
        assert!(Body::<T, F>::IN_PACKET);
        // SAFETY: called once, below, with the word from the same body.
        (body.into_word(), |word| unsafe { Body::<T, F>::from_packet(word) }.run())
    }

    #[test]
    fn what_a_body_holds_is_dropped_once_with_or_without_a_receipt() {
        let value = Arc::new(());
        for keeps in [true, false] {
            let (promise, receipt) = packet();
            let held = Arc::clone(&value);
            let f = move || drop(held);
            let (word, run) = packed(Body::new(f, promise));
            let receipt = keeps.then_some(receipt);
            assert_eq!(Arc::strong_count(&value), 2);
            run(word);
            assert_eq!(Arc::strong_count(&value), 1);
            drop(receipt);
        }
    }

    /// For Miri, which sees a waiter that is written, or a packet that is freed, where the body still is.
    #[test]
    fn a_receipt_is_waited_for_or_dropped_while_the_body_waits() {
        let four = [1_u64, 2, 3, 4];
        for round in 0..if cfg!(miri) { 20 } else { 500 } {
            let (promise, receipt) = packet();
            let (word, run) = packed(Body::new(move || four, promise));
            let other = thread::spawn(move || if round % 2 == 0 { Some(receipt.wait()) } else { None });
            if round % 4 < 2 {
                thread::yield_now();
            }
            run(word);
            let result = other.join().unwrap().map(|result| result.expect("it does not panic"));
            assert_eq!(result, (round % 2 == 0).then_some(four));
        }
    }

    #[test]
    fn a_panic_of_a_body_in_its_packet_is_its_result() {
        let (promise, receipt) = packet::<()>();
        let (word, run) = packed(Body::new(|| std::panic::resume_unwind(Box::new(7)), promise));
        run(word);
        assert_eq!(receipt.wait().unwrap_err().downcast_ref(), Some(&7));
    }
}
