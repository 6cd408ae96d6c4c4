//! Locks and meeting points for goroutines. All of them park the goroutine that waits, never its thread; all of them
//! also work between plain threads, and between threads and goroutines. None poisons: a panic releases what is held.

mod barrier;
#[cfg_attr(loom, path = "../../models/brief_lock.rs")]
pub(crate) mod brief_lock;
pub(crate) mod claim;
mod condvar;
pub(crate) mod crowd;
pub(crate) mod line;
mod mutex;
mod once;
mod raw_mutex;
mod raw_rwlock;
mod rwlock;
mod semaphore;
mod wait_group;
mod wait_list;

pub use barrier::Barrier;
pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
pub use wait_group::WaitGroup;
