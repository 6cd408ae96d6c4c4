//! A first-in, first-out list whose links lie in its members, so that joining and leaving, also from the middle, take
//! constant time and no memory. Raw: `line` makes it safe.
#![allow(unsafe_code, reason = "a list through nodes that their owners hold")]

use std::cell::UnsafeCell;
use std::marker::PhantomPinned;
use std::ptr::NonNull;

/// One member: the links, and `E`, which the list does not look at.
#[derive(Debug)]
pub(super) struct Node<E> {
    links: UnsafeCell<Links<E>>,
    pub(super) entry: E,
    /// The list has pointers to it.
    _pinned: PhantomPinned,
}

#[derive(Debug)]
struct Links<E> {
    prev: Option<NonNull<Node<E>>>,
    next: Option<NonNull<Node<E>>>,
    is_queued: bool,
}

/// The list. Every node in it is alive and does not move, and nobody touches the links of a node but the methods below,
/// which take the list the node belongs to: that is what the callers of `push` promise.
#[derive(Debug)]
pub(super) struct WaitList<E> {
    head: Option<NonNull<Node<E>>>,
    tail: Option<NonNull<Node<E>>>,
}

impl<E> Node<E> {
    pub(super) const fn new(entry: E) -> Self {
        let links = Links { prev: None, next: None, is_queued: false };
        Self { links: UnsafeCell::new(links), entry, _pinned: PhantomPinned }
    }
}

impl<E> WaitList<E> {
    pub(super) const fn new() -> Self {
        Self { head: None, tail: None }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn front(&self) -> Option<NonNull<Node<E>>> {
        self.head
    }

    /// Who comes behind `node`.
    ///
    /// # Safety
    /// As for [`remove`](Self::remove).
    pub(super) unsafe fn after(&self, node: NonNull<Node<E>>) -> Option<NonNull<Node<E>>> {
        // SAFETY: alive, as our caller promises.
        let links = unsafe { node.as_ref() }.links.get();
        // SAFETY: only methods of this list touch the links, and those that change them take it by `&mut`.
        unsafe { (*links).next }
    }

    /// Joins the end of the queue.
    ///
    /// # Safety
    /// The node is in no list, and stays where it is until it has left this one, by `pop_front` or `remove`. From the first
    /// `push` on it belongs to this list: it is never given to another.
    #[inline]
    pub(super) unsafe fn push_back(&mut self, node: NonNull<Node<E>>) {
        let links = Links { prev: self.tail, next: None, is_queued: true };
        *self.links(node) = links;
        match self.tail.replace(node) {
            Some(tail) => self.links(tail).next = Some(node),
            None => self.head = Some(node),
        }
    }

    /// Joins in front of all.
    ///
    /// # Safety
    /// As for [`push_back`](Self::push_back).
    pub(super) unsafe fn push_front(&mut self, node: NonNull<Node<E>>) {
        let links = Links { prev: None, next: self.head, is_queued: true };
        *self.links(node) = links;
        match self.head.replace(node) {
            Some(head) => self.links(head).prev = Some(node),
            None => self.tail = Some(node),
        }
    }

    /// Takes the first out.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<NonNull<Node<E>>> {
        let first = self.head?;
        let links = self.links(first);
        links.is_queued = false;
        let next = links.next;
        self.head = next;
        match next {
            Some(next) => self.links(next).prev = None,
            None => self.tail = None,
        }
        Some(first)
    }

    /// Takes `node` out if it is in, wherever it stands.
    ///
    /// # Safety
    /// The node is alive, and has never been in another list.
    pub(super) unsafe fn remove(&mut self, node: NonNull<Node<E>>) {
        let links = self.links(node);
        if !std::mem::replace(&mut links.is_queued, false) {
            return;
        }
        let (prev, next) = (links.prev, links.next);
        match prev {
            Some(prev) => self.links(prev).next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => self.links(next).prev = prev,
            None => self.tail = prev,
        }
    }

    /// The links of a node that is in the list, or that the caller was given as one that belongs to it.
    #[inline]
    fn links(&mut self, node: NonNull<Node<E>>) -> &mut Links<E> {
        // SAFETY: private to this module, whose methods pass nodes that are in the list, which are alive by the contract of
        // `push`, or the one they were given under the same contract.
        let links = unsafe { node.as_ref() }.links.get();
        // SAFETY: only methods of the list that the node belongs to touch its links; this one holds that list by `&mut`, and
        // so does the result.
        unsafe { &mut *links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    type Boxed = Box<Node<u64>>;

    fn at(node: &Boxed) -> NonNull<Node<u64>> {
        NonNull::from(&**node)
    }

    fn all(list: &WaitList<u64>) -> Vec<u64> {
        let mut next = list.front();
        std::iter::from_fn(|| {
            let node = next?;
            // SAFETY: in the list, so alive (`it_is_a_queue_that_can_be_left` keeps the boxes).
            next = unsafe { list.after(node) };
            // SAFETY: as above.
            Some(unsafe { node.as_ref() }.entry)
        })
        .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

        /// The list behaves as a `VecDeque` whose members can leave from the middle.
        #[test]
        fn it_is_a_queue_that_can_be_left(steps in proptest::collection::vec((0..5_u8, any::<usize>()), 0..80)) {
            let mut list = WaitList::new();
            let mut nodes: Vec<Boxed> = Vec::new();
            let mut model: VecDeque<u64> = VecDeque::new();
            for (n, (step, pick)) in (0_u64..).zip(steps) {
                match step {
                    0..3 => {
                        let node = Box::new(Node::new(n));
                        if step < 2 {
                            // SAFETY: the box leaves `nodes` only after it has left the list.
                            unsafe { list.push_back(at(&node)) };
                            model.push_back(n);
                        } else {
                            // SAFETY: as above.
                            unsafe { list.push_front(at(&node)) };
                            model.push_front(n);
                        }
                        nodes.push(node);
                    }
                    3 => {
                        let popped = list.pop_front();
                        // SAFETY: it was in the list, and its box is still in `nodes`.
                        let popped = popped.map(|node| unsafe { node.as_ref() }.entry);
                        prop_assert_eq!(popped, model.pop_front());
                    }
                    _ if nodes.is_empty() => {}
                    _ => {
                        let node = nodes.swap_remove(pick % nodes.len());
                        // SAFETY: alive, and there is only one list.
                        unsafe { list.remove(at(&node)) };
                        model.retain(|other| *other != node.entry);
                    }
                }
                prop_assert!(all(&list).iter().eq(model.iter()));
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
