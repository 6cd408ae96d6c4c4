//! The run queue: each element comes out once, with what was written before it was pushed.

use crate::primitives::Arc;
use crate::queue::{CAPACITY, Local, Slot, Stealer, ring};
use crate::tracked::Tracked;
use loom::thread;
use std::iter;

fn element(value: u32) -> Arc<Tracked> {
    let element = Arc::new(Tracked::new(0));
    element.set(value);
    element
}

fn drain(local: &mut Local<Arc<Tracked>>) -> u32 {
    iter::from_fn(|| local.pop()).map(|element| element.get()).sum()
}

fn steal(stealer: &Stealer<Arc<Tracked>>) -> u32 {
    let (mut mine, _) = ring();
    stealer.steal(&mut mine).map_or(0, |(first, _)| first.get() + drain(&mut mine))
}

/// An owner that pushes and pops, and a thief.
#[test]
fn each_element_comes_out_once_with_a_thief() {
    crate::check(|| {
        let (mut local, stealer) = ring();
        let thief = thread::spawn(move || steal(&stealer));
        let mut got = 0;
        for bit in 0..3 {
            local.push(element(1 << bit)).unwrap();
        }
        got += drain(&mut local);
        got += thief.join().unwrap();
        got += drain(&mut local);
        assert_eq!(got, 0b111);
    });
}

/// The ring is full, so that slots are used again while a thief copies them.
#[test]
fn a_slot_that_is_copied_is_not_used_again_before() {
    crate::check(|| {
        let (mut local, stealer) = ring();
        (0..CAPACITY).for_each(|bit| local.push(element(1 << bit)).unwrap());
        let thief = thread::spawn(move || steal(&stealer));
        let mut got = 0;
        for bit in CAPACITY..CAPACITY + 2 {
            if let Err(back) = local.push(element(1 << bit)) {
                got += local.pop().map_or(0, |oldest| oldest.get());
                match local.push(back) {
                    Ok(()) => {}
                    Err(back) => got += back.get(),
                }
            }
        }
        got += thief.join().unwrap();
        got += drain(&mut local);
        assert_eq!(got, (1 << (CAPACITY + 2)) - 1);
    });
}

/// Two thieves and an owner.
#[test]
fn each_element_comes_out_once_with_two_thieves() {
    crate::check(|| {
        let (mut local, stealer) = ring();
        let stealer = Arc::new(stealer);
        (0..3).for_each(|bit| local.push(element(1 << bit)).unwrap());
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let stealer = Arc::clone(&stealer);
                thread::spawn(move || steal(&stealer))
            })
            .collect();
        let mut got = local.pop().map_or(0, |oldest| oldest.get());
        got += thieves.into_iter().map(|thief| thief.join().unwrap()).sum::<u32>();
        got += drain(&mut local);
        assert_eq!(got, 0b111);
    });
}

/// An owner that takes back what it pushed last, and pushes into the same slots again, while a thief copies them.
#[test]
fn what_is_taken_back_comes_out_once_with_a_thief() {
    crate::check(|| {
        let (mut local, stealer) = ring();
        let elements: Vec<_> = (0..3).map(|bit| element(1 << bit)).collect();
        let addresses: Vec<_> = elements.iter().map(|element| Arc::as_ptr(element).addr()).collect();
        let thief = thread::spawn(move || steal(&stealer));
        elements.into_iter().for_each(|element| local.push(element).unwrap());
        let mut got = 0;
        for bit in [2, 1] {
            got += local.pop_last(addresses[bit]).map_or(0, |last| last.get());
        }
        local.push(element(1 << 3)).unwrap();
        got += thief.join().unwrap();
        got += drain(&mut local);
        assert_eq!(got, 0b1111);
    });
}

/// As above with two thieves, of which one may copy before the other has moved `head`.
#[test]
fn what_is_taken_back_comes_out_once_with_two_thieves() {
    crate::check(|| {
        let (mut local, stealer) = ring();
        let stealer = Arc::new(stealer);
        let elements: Vec<_> = (0..3).map(|bit| element(1 << bit)).collect();
        let last = Arc::as_ptr(&elements[2]).addr();
        elements.into_iter().for_each(|element| local.push(element).unwrap());
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let stealer = Arc::clone(&stealer);
                thread::spawn(move || steal(&stealer))
            })
            .collect();
        let mut got = local.pop_last(last).map_or(0, |last| last.get());
        got += thieves.into_iter().map(|thief| thief.join().unwrap()).sum::<u32>();
        got += drain(&mut local);
        assert_eq!(got, 0b111);
    });
}

/// Who is next is run by the owner, or taken by a thief, or displaced.
#[test]
fn who_is_next_comes_out_once() {
    crate::check(|| {
        let slot = Arc::new(Slot::new());
        slot.put(element(1));
        let thieves = Arc::clone(&slot);
        let thief = thread::spawn(move || {
            let mark = thieves.mark();
            thieves.take_if(mark).map_or(0, |element| element.get())
        });
        let mut got = slot.put(element(2)).map_or(0, |displaced| displaced.get());
        got += slot.take().map_or(0, |next| next.get());
        got += thief.join().unwrap();
        got += slot.take().map_or(0, |next| next.get());
        assert_eq!(got, 3);
    });
}

/// The slot is empty when its owner puts one in: a thief that takes it sees it whole.
#[test]
fn who_is_put_into_an_empty_slot_is_seen_whole() {
    crate::check(|| {
        let slot = Arc::new(Slot::<Arc<Tracked>>::new());
        let thieves = Arc::clone(&slot);
        let thief = thread::spawn(move || {
            let mark = thieves.mark();
            thieves.take_if(mark).map_or(0, |element| element.get())
        });
        assert!(slot.put(element(1)).is_none());
        let got = slot.take().map_or(0, |next| next.get());
        assert_eq!(got + thief.join().unwrap(), 1);
    });
}
