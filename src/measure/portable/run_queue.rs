//! How long threads wait for a CPU: no system but Linux says so of another process's.

use std::time::Instant;

use super::blocked::BlockedThreads;
use super::tree::Root;

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunQueue {}

impl RunQueue {
    pub(super) fn new(_root: Root, _now: Instant) -> Option<Self> {
        None
    }

    pub(super) fn from_now(_root: Root, _now: Instant) -> Option<Self> {
        None
    }

    pub(super) fn due(&self) -> Instant {
        match *self {}
    }

    pub(super) fn poll(&mut self, _now: Instant) {
        match *self {}
    }

    pub(super) fn wait_s(&self) -> Option<f64> {
        match *self {}
    }

    pub(super) fn into_blocked(self) -> Option<BlockedThreads> {
        match self {}
    }

    pub(super) fn busiest_share(&self) -> Option<f64> {
        match *self {}
    }
}
