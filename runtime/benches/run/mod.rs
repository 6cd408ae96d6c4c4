//! Benches whose sample is a whole run of many operations inside a fresh runtime.

use corefit_runtime::Config;
use divan::Bencher;
use divan::counter::ItemsCount;

/// Processors.
pub(crate) const PROCS: [usize; 2] = [1, 2];

/// Times `work`, which does `ops` operations, as the main goroutine of a runtime.
pub(crate) fn bench(
    bencher: Bencher<'_, '_>,
    procs: usize,
    ops: usize,
    work: impl Fn() + Copy + Send + Sync + 'static,
) {
    bencher.counter(ItemsCount::new(ops)).bench_local(|| Config::new().procs(procs).run(work));
}
