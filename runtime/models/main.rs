//! Models of the runtime's protocols, for loom: every interleaving of a few threads (with at most
//! `LOOM_MAX_PREEMPTIONS` preemptions, 3 if not said), and every value that the memory model lets a load see.
//!
//! Run them with `scripts/loom`. They are built from the library's own files, with loom's types behind
//! `primitives.rs` and a model's `park.rs`; the library itself is empty under `cfg(loom)`. Each model states a law of
//! conservation. That each ordering is needed is shown by `scripts/weaken`; its table is in `docs/soundness.md`.
#![cfg(loom)]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "files of the library, of which models drive a part"
)]

#[path = "../src/sync/brief_lock.rs"]
mod brief_lock;
#[path = "../src/chan/mod.rs"]
pub mod chan;
mod current;
#[path = "../src/earliest.rs"]
mod earliest;
mod goroutine;
#[path = "../src/packet.rs"]
mod packet;
mod park;
#[path = "../src/pieces.rs"]
mod pieces;
#[path = "../src/primitives.rs"]
mod primitives;
#[path = "../src/queue.rs"]
mod queue;
#[path = "../src/readiness.rs"]
mod readiness;
#[path = "../src/sync/mod.rs"]
pub mod sync;
#[path = "../src/goroutine/ties.rs"]
mod ties;
#[path = "../src/token.rs"]
mod token;
mod trace;
mod tracked;
#[path = "../src/wakeups.rs"]
mod wakeups;

#[path = "fences.rs"]
mod fences;

mod briefly;
mod channels;
mod deadlines;
mod descriptors;
mod locks;
mod packets;
mod pledges;
mod queues;
mod tokens;
mod wakeup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Preemptions of a thread at most, if `LOOM_MAX_PREEMPTIONS` does not say.
const PREEMPTIONS: usize = 3;

/// Checks every run of `model`.
fn check(model: impl Fn() + Send + Sync + 'static) {
    check_with_clock(Duration::ZERO, model);
}

/// The same, with a clock that each look puts forward by `step`.
fn check_with_clock(step: Duration, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    let runs = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&runs);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        primitives::set_step(step);
        model();
    });
    println!("{} runs", runs.load(Relaxed));
}
