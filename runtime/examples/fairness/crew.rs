//! Goroutines that do one thing again and again until time is up, and the account of what each of them got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use corefit_runtime::{JoinHandle, checkpoint, go, time};

/// One operation of a member: how long it waited, or `None` when there is nothing left to do.
type Deed = Box<dyn FnMut() -> Option<Duration> + Send>;

/// The members of a scenario, by group.
#[derive(Default)]
pub(crate) struct Crew(Vec<(&'static str, Deed)>);

impl Crew {
    /// One more member of `group`, which does `deed`.
    pub(crate) fn add(
        &mut self,
        group: &'static str,
        deed: impl FnMut() -> Option<Duration> + Send + 'static,
    ) {
        self.0.push((group, Box::new(deed)));
    }

    /// Has all work until `time` is up, in the current runtime; one account a group.
    pub(crate) fn work(self, time: Duration) -> Vec<Group> {
        let is_over = Arc::new(AtomicBool::new(false));
        let members: Vec<(&str, JoinHandle<Account>)> = self
            .0
            .into_iter()
            .map(|(group, deed)| {
                let is_over = Arc::clone(&is_over);
                (group, go(move || member(deed, &is_over)))
            })
            .collect();
        time::sleep(time);
        is_over.store(true, Relaxed);
        let mut groups: Vec<Group> = Vec::new();
        for (name, member) in members {
            let account = member.join().expect("it does not panic");
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.accounts.push(account),
                None => groups.push(Group { name, accounts: vec![account] }),
            }
        }
        groups
    }
}

/// What a member owns ends with it, so that others do not wait for it: channels close.
fn member(mut deed: Deed, is_over: &AtomicBool) -> Account {
    let mut account = Account::default();
    while !is_over.load(Relaxed) {
        let Some(waited) = deed() else { break };
        account.add(waited);
        checkpoint();
    }
    account
}

/// Runs `deed` and says how long it took.
pub(crate) fn timed<T>(deed: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = deed();
    (result, begun.elapsed())
}

/// Buckets an octave of the histogram of waits.
const STEPS: u32 = 8;

/// What one member did: how often, and its waits in buckets of an eighth of an octave.
struct Account {
    done: u64,
    longest: Duration,
    waits: Vec<u64>,
}

impl Default for Account {
    fn default() -> Self {
        Self { done: 0, longest: Duration::ZERO, waits: vec![0; (u64::BITS * STEPS) as usize] }
    }
}

impl Account {
    fn add(&mut self, waited: Duration) {
        self.done += 1;
        self.longest = self.longest.max(waited);
        let ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX).max(STEPS.into());
        let octave = ns.ilog2();
        let step = (ns >> (octave - STEPS.ilog2())) as u32 % STEPS;
        self.waits[(octave * STEPS + step) as usize] += 1;
    }
}

/// The least wait that falls into the bucket after `bucket`, ns.
fn end_of(bucket: usize) -> f64 {
    let (octave, step) = (bucket as u32 / STEPS, bucket as u32 % STEPS);
    f64::from(octave).exp2() * (1.0 + f64::from(step + 1) / f64::from(STEPS))
}

/// The members of one kind.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    accounts: Vec<Account>,
}

impl Group {
    /// `members=… per_s=… worst=… best=… p50_us=… p99_us=… max_us=…`.
    pub(crate) fn line(&self, seconds: f64) -> String {
        let done: Vec<u64> = self.accounts.iter().map(|account| account.done).collect();
        let all: u64 = done.iter().sum();
        let mean = all as f64 / done.len() as f64;
        let share = |done: Option<&u64>| done.map_or(0.0, |done| *done as f64 / mean.max(f64::MIN_POSITIVE));
        let longest = self.accounts.iter().map(|account| account.longest).max().unwrap_or_default();
        format!(
            "members={} per_s={:.0} worst={:.3} best={:.3} p50_us={:.2} p99_us={:.2} max_us={:.2}",
            done.len(),
            all as f64 / seconds,
            share(done.iter().min()),
            share(done.iter().max()),
            self.quantile_us(0.50),
            self.quantile_us(0.99),
            longest.as_secs_f64() * 1e6
        )
    }

    fn quantile_us(&self, share: f64) -> f64 {
        let buckets = self.accounts[0].waits.len();
        let at = |bucket: usize| self.accounts.iter().map(|account| account.waits[bucket]).sum::<u64>();
        let all: u64 = (0..buckets).map(at).sum();
        let mut left = (all as f64 * share).ceil();
        for bucket in 0..buckets {
            left -= at(bucket) as f64;
            if left <= 0.0 {
                return end_of(bucket) / 1e3;
            }
        }
        0.0
    }
}
