//! The result of a goroutine on its way to whoever joins it: one cell on the heap with two ends.
//!
//! ```text
//! Empty ──wait (receipt)──▶ Waiting ──complete──▶ Done ──wait──▶ freed
//!   │ └─────────────────────complete────────────────▲ └─drop──▶ freed, with the result
//!   └──drop of one end──▶ Dropped ──complete, or drop of the other end──▶ freed
//!
//! state     result            waiter                       freed by
//! Empty     not there         not there                    whoever comes second
//! Waiting   not there         there, the promise reads it  whoever comes second
//! Done      there             -                            the receipt
//! Dropped   not there         -                            the other end
//! ```
//!
//! Each arrow is one atomic step on `state`, and after it an end touches the cell only if the arrow leads to `freed`, or
//! if it is the receipt that goes on to wait. The bad interleaving: the promise completes, and reads the waiter when the
//! receipt, woken by something else, has seen `Done` and freed the cell. It cannot be: the waiter is read *before* that
//! step. That is possible since a waiter is written once, before `Waiting`.
#![allow(unsafe_code, reason = "two owners without a count, and a result that is there or not")]

use crate::park::{Pledge, WaitReason, Waiter, park};
use crate::pieces::{self, PIECE_BYTES, Piece};
use crate::primitives::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit, offset_of};
use std::ptr::NonNull;
use std::thread;

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const DONE: u8 = 2;
const DROPPED: u8 = 3;

#[repr(C)]
struct Packet<T> {
    state: AtomicU8,
    waiter: UnsafeCell<MaybeUninit<Waiter>>,
    /// Last, since what the goroutine is to do may wait here, and in the rest of the piece, until it begins (`put`).
    result: UnsafeCell<MaybeUninit<thread::Result<T>>>,
}

/// The goroutine's end. Dropped, it leaves the receipt without a result for ever.
pub(crate) struct Promise<T>(NonNull<Packet<T>>, PhantomData<T>);

/// The end of whoever wants the result.
pub(crate) struct Receipt<T>(NonNull<Packet<T>>, PhantomData<T>);

// SAFETY: what is shared is `state`, an atomic; `waiter` and `result` are handed over by it. A `T` moves to the thread of
// the receipt, or is dropped by either.
unsafe impl<T: Send> Send for Promise<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Receipt<T> {}
// SAFETY: a `&Receipt` gives access to `state` only.
unsafe impl<T: Send> Sync for Receipt<T> {}

/// An empty packet's two ends.
pub(crate) fn packet<T>() -> (Promise<T>, Receipt<T>) {
    let packet = Packet {
        state: AtomicU8::new(EMPTY),
        waiter: UnsafeCell::new(MaybeUninit::uninit()),
        result: UnsafeCell::new(MaybeUninit::uninit()),
    };
    let place = if fits_a_piece::<T>() {
        let place = pieces::take().into_raw().cast::<Packet<T>>();
        // SAFETY: a piece is large enough and aligned (`fits_a_piece`), and no one else's.
        unsafe { place.write(packet) };
        place
    } else {
        NonNull::from(Box::leak(Box::new(packet)))
    };
    (Promise(place, PhantomData), Receipt(place, PhantomData))
}

/// Whether packets for a `T` are kept in pieces.
const fn fits_a_piece<T>() -> bool {
    size_of::<Packet<T>>() <= PIECE_BYTES && align_of::<Packet<T>>() <= PIECE_BYTES
}

/// Frees a packet, and not its result.
///
/// # Safety
/// The caller is the last that uses it.
unsafe fn free<T>(packet: NonNull<Packet<T>>) {
    if fits_a_piece::<T>() {
        // A packet needs no drop itself: what is in it is not dropped with it.
        // SAFETY: from `into_raw` in `packet`, and not used again (the caller's promise).
        pieces::give(unsafe { Piece::from_raw(packet.cast()) });
    } else {
        // SAFETY: from `Box::leak` in `packet`, and not used again (the caller's promise).
        drop(unsafe { Box::from_raw(packet.as_ptr()) });
    }
}

/// The packet of an end that has not come to its last step yet.
///
/// # Safety
/// As it says.
unsafe fn of<'a, T>(packet: NonNull<Packet<T>>) -> &'a Packet<T> {
    // SAFETY: each end is freed by the one that comes to its last step second, and this one has not come there.
    unsafe { packet.as_ref() }
}

impl<T> Promise<T> {
    /// Where in the packet an `F` can be put.
    const fn room<F>() -> usize {
        offset_of!(Packet<T>, result).next_multiple_of(align_of::<F>())
    }

    /// Whether there is room for an `F`.
    pub(crate) const fn has_room_for<F>() -> bool {
        fits_a_piece::<T>()
            && align_of::<F>() <= PIECE_BYTES
            && Self::room::<F>() + size_of::<F>() <= PIECE_BYTES
    }

    /// Puts `value`, for which there is room, into the packet, and gives the whole as a word, for `with`. The receipt does not look
    /// there before the result is.
    pub(crate) fn put<F>(self, value: F) -> NonNull<()> {
        assert!(const { Self::has_room_for::<F>() });
        let at = self.0.cast::<()>();
        mem::forget(self);
        // SAFETY: within the piece, and aligned as that is.
        let room = unsafe { at.byte_add(Self::room::<F>()) };
        // SAFETY: until `Done` the result, and what lies behind it, belong to the promise.
        unsafe { room.cast::<F>().write(value) };
        at
    }

    /// The promise and the value of which `put` made `whole`.
    ///
    /// # Safety
    /// As it says, of these types, and once.
    pub(crate) unsafe fn with<F>(whole: NonNull<()>) -> (Self, F) {
        // SAFETY: as in `put`.
        let room = unsafe { whole.byte_add(Self::room::<F>()) };
        // SAFETY: `put` wrote it there, and it is read once (the caller's promise).
        (Self(whole.cast(), PhantomData), unsafe { room.cast::<F>().read() })
    }

    /// Leaves the result, and wakes whoever waits for it. Drops it, if no one ever will.
    pub(crate) fn complete(self, result: thread::Result<T>) {
        let at = self.0;
        mem::forget(self);
        // SAFETY: the last step is the exchange below.
        let packet = unsafe { of(at) };
        // SAFETY: until `Done` the result belongs to the promise.
        let place = unsafe { &mut *packet.result.get() };
        place.write(result);
        // ORDERING: Acquire; pairs with the Release in `wait_until_done` and in the drop of the receipt.
        let mut before = packet.state.load(Acquire);
        while before != DROPPED {
            let waiter = (before == WAITING).then(|| {
                // SAFETY: in `Waiting` it is there, and is not written again.
                let waiter = unsafe { packet.waiter.get().read() };
                // SAFETY: as above.
                unsafe { waiter.assume_init() }
            });
            // ORDERING: Release; pairs with the Acquire in `is_done`: publishes the result. Acquire on failure; as the
            // first load.
            match packet.state.compare_exchange(before, DONE, Release, Acquire) {
                Ok(_) => {
                    if let Some(waiter) = waiter {
                        waiter.unpark();
                    }
                    return;
                }
                Err(now) => before = now,
            }
        }
        // SAFETY: written above, and no one else reads it.
        let result = unsafe { place.assume_init_read() };
        // SAFETY: the receipt is gone.
        unsafe { free(at) };
        drop(result);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // SAFETY: the last step is the swap.
        let packet = unsafe { of(self.0) };
        // ORDERING: AcqRel; pairs with the same in the drop of the receipt.
        if packet.state.swap(DROPPED, AcqRel) == DROPPED {
            // SAFETY: the receipt is gone, and a promise that is dropped has not been completed.
            unsafe { free(self.0) };
        }
    }
}

impl<T> Receipt<T> {
    /// Whether the result is there.
    pub(crate) fn is_done(&self) -> bool {
        // SAFETY: the last step takes `self`.
        let packet = unsafe { of(self.0) };
        // ORDERING: Acquire; pairs with the Release in `complete`.
        packet.state.load(Acquire) == DONE
    }

    /// What a wait for it is said to wait for: its address.
    pub(crate) fn object(&self) -> usize {
        self.0.addr().get()
    }

    /// Waits for the result.
    pub(crate) fn wait(self) -> thread::Result<T> {
        if !self.is_done() {
            self.wait_until_done();
        }
        let at = self.0;
        mem::forget(self);
        // SAFETY: the last step is `free`, below.
        let packet = unsafe { of(at) };
        // SAFETY: in `Done` it belongs to the receipt.
        let result = unsafe { packet.result.get().read() };
        // SAFETY: as above.
        unsafe { free(at) };
        // SAFETY: in `Done` it is written, and it was not read before.
        unsafe { result.assume_init() }
    }

    fn wait_until_done(&self) {
        // SAFETY: the last step takes `self`.
        let packet = unsafe { of(self.0) };
        // SAFETY: in `Empty` it belongs to the receipt; and this is the only place that leads out of `Empty` on this
        // side, which is passed once: `wait` takes the receipt.
        let place = unsafe { &mut *packet.waiter.get() };
        let pledge = Pledge::make(WaitReason::Join, self.object());
        // SAFETY: the promise unparks whom it finds, once; it finds no one if the exchange fails.
        place.write(pledge.as_ref().map_or_else(Waiter::current, |pledge| unsafe { pledge.waiter() }));
        // A failure means that it is done.
        // ORDERING: Release; pairs with the Acquire in `complete`: publishes the waiter. Relaxed on failure: `is_done`
        // looks again.
        let is_told = packet.state.compare_exchange(EMPTY, WAITING, Release, Relaxed).is_ok();
        match pledge {
            Some(pledge) if is_told => pledge.keep(),
            Some(pledge) => pledge.withdraw(),
            None => {}
        }
        while !self.is_done() {
            park(WaitReason::Join, self.object());
        }
    }
}

impl<T> Drop for Receipt<T> {
    fn drop(&mut self) {
        // SAFETY: the last step is the swap, or `free`.
        let packet = unsafe { of(self.0) };
        // The look spares the swap.
        // ORDERING: AcqRel; Acquire pairs with the Release in `complete`, Release with the Acquire there.
        let before = if self.is_done() { DONE } else { packet.state.swap(DROPPED, AcqRel) };
        if before == DONE {
            // SAFETY: in `Done` the result belongs to the receipt.
            let result = unsafe { packet.result.get().read() };
            // SAFETY: the promise came to its last step, `Done`.
            unsafe { free(self.0) };
            // SAFETY: in `Done` it is written, and it was not read before.
            drop(unsafe { result.assume_init() });
        } else if before == DROPPED {
            // SAFETY: the promise is gone.
            unsafe { free(self.0) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::Arc;

    /// A packet for a value whose life can be watched.
    fn watched() -> (Promise<Arc<()>>, Receipt<Arc<()>>, Arc<()>) {
        let (promise, receipt) = packet();
        (promise, receipt, Arc::new(()))
    }

    #[test]
    fn a_result_that_is_there_is_had_without_a_wait() {
        let (promise, receipt, value) = watched();
        assert!(!receipt.is_done());
        promise.complete(Ok(Arc::clone(&value)));
        assert!(receipt.is_done());
        assert!(Arc::ptr_eq(&receipt.wait().unwrap(), &value));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_result_that_no_one_wants_is_dropped_whoever_comes_first() {
        let (promise, receipt, value) = watched();
        drop(receipt);
        promise.complete(Ok(Arc::clone(&value)));
        assert_eq!(Arc::strong_count(&value), 1);
        let (promise, receipt) = packet();
        promise.complete(Ok(Arc::clone(&value)));
        drop(receipt);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_promise_that_is_not_kept_leaves_nothing_behind() {
        let (promise, receipt, _) = watched();
        drop(promise);
        drop(receipt);
        let (promise, receipt, _) = watched();
        drop(receipt);
        drop(promise);
    }

    /// For Miri, which sees a packet that is freed while the other end still looks at it.
    #[test]
    fn ends_that_are_dropped_at_once_free_it_once() {
        for _ in 0..if cfg!(miri) { 20 } else { 500 } {
            let (promise, receipt) = packet::<Arc<()>>();
            let other = thread::spawn(move || drop(promise));
            drop(receipt);
            other.join().unwrap();
            let (promise, receipt, value) = watched();
            let theirs = Arc::clone(&value);
            let other = thread::spawn(move || promise.complete(Ok(theirs)));
            drop(receipt);
            other.join().unwrap();
            assert_eq!(Arc::strong_count(&value), 1);
        }
    }

    #[test]
    fn a_thread_waits_for_the_result_of_another() {
        for round in 0..if cfg!(miri) { 20 } else { 500 } {
            let (promise, receipt) = packet();
            let other = thread::spawn(move || {
                if round % 2 == 0 {
                    thread::yield_now();
                }
                promise.complete(Ok(round));
            });
            // A stray token.
            thread::current().unpark();
            assert_eq!(receipt.wait().unwrap(), round);
            other.join().unwrap();
        }
    }
}
