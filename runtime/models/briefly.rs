//! The lock of short sections: one inside at a time, who sees what the last one wrote.

use crate::brief_lock::BriefLock;
use crate::primitives::Arc;
use crate::tracked::Tracked;
use loom::thread;

#[test]
fn two_are_inside_one_at_a_time() {
    crate::check(|| {
        let shared = Arc::new((BriefLock::new(), Tracked::new(0)));
        let enter = |(lock, count): &(BriefLock, Tracked)| {
            lock.lock();
            count.set(count.get() + 1);
            lock.unlock();
        };
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || enter(&theirs));
        enter(&shared);
        other.join().unwrap();
        assert_eq!(shared.1.get(), 2);
    });
}
