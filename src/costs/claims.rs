//! What is said of goroutines, beside what was measured here. Pure: a table in, verdicts out.

use serde::Serialize;

use super::{Kind, Row, Spread, Table};
use crate::report::number::{bytes, seconds};

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Claim {
    /// What is said.
    pub claim: &'static str,
    /// Whether it holds here.
    pub verdict: Verdict,
    /// The numbers that say so, or why nothing can be said.
    pub measured: String,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Holds,
    /// The numbers are others.
    Differs,
    /// It was not measured.
    Unknown,
}

/// A figure that is claimed may be off by this factor and still hold.
const CLOSE: f64 = 1.5;
/// "Cheap" is ten times cheaper.
const CHEAP: f64 = 10.0;
/// "Few" threads are one in a hundred goroutines.
const FEW: f64 = 100.0;

/// Bytes of a goroutine's first stack, by the claim.
const CLAIMED_GOROUTINE_BYTES: f64 = 2048.0;
/// Bytes of a thread's stack, by the claim.
const CLAIMED_THREAD_BYTES: f64 = 1048576.0;

/// Every claim, judged by the row with the most at once; where both kinds are compared, by those of equal count.
#[must_use]
pub fn judge(table: &Table) -> Vec<Claim> {
    let one = |kind, figure: fn(&Row) -> Option<Spread>| table.most(kind, figure);
    let of_goroutine = one(Kind::Goroutine, |row| row.resident_bytes).and_then(small_stack);
    let of_thread = one(Kind::Thread, |row| row.resident_bytes).and_then(large_stack);
    let on_threads = one(Kind::Goroutine, |row| row.os_threads).and_then(multiplexed);
    vec![
        claim("a goroutine starts with a stack of 2 kB, which grows", of_goroutine),
        claim("a thread takes 1 MB, with a guard page", of_thread),
        claim(
            "goroutines are cheap to create and to destroy",
            table.most_alike(|row| row.spawn_join_s).and_then(cheap),
        ),
        claim(
            "a switch saves three registers, not all of them",
            table.most_alike(|row| row.switch_s).and_then(switch),
        ),
        claim("many goroutines are multiplexed on a few threads", on_threads),
    ]
}

fn claim(claim: &'static str, found: Option<(bool, String)>) -> Claim {
    let (verdict, measured) = match found {
        Some((true, measured)) => (Verdict::Holds, measured),
        Some((false, measured)) => (Verdict::Differs, measured),
        None => (Verdict::Unknown, "not measured here".to_owned()),
    };
    Claim { claim, verdict, measured }
}

fn is_close(measured: f64, claimed: f64) -> bool {
    (claimed / CLOSE..=claimed * CLOSE).contains(&measured)
}

fn small_stack(row: &Row) -> Option<(bool, String)> {
    let each = row.memory_bytes()?;
    let text = format!(
        "{} a goroutine, of {}: the one page it touches, its share of page tables, its record. A native stack cannot \
         move, so it cannot grow from 2 kB: it has 64 KiB of address space from the start, of which each further page \
         costs memory once it is touched",
        bytes(each as u64),
        grouped(row.count)
    );
    Some((is_close(each, CLAIMED_GOROUTINE_BYTES), text))
}

fn large_stack(row: &Row) -> Option<(bool, String)> {
    let (address, each) = (row.address_bytes?.median, row.memory_bytes()?);
    let kernel = if row.kernel_bytes.is_some() { ", kernel stack and records included" } else { "" };
    let text = format!(
        "{} of address space a thread, guard page included (Rust asks for 2 MiB, C for `ulimit -s`), of which {} is \
         memory, of {}{kernel}",
        bytes(address as u64),
        bytes(each as u64),
        grouped(row.count)
    );
    Some((is_close(address, CLAIMED_THREAD_BYTES), text))
}

fn cheap((goroutine, thread): (&Row, &Row)) -> Option<(bool, String)> {
    let (ours, theirs) = (goroutine.spawn_join_s?.median, thread.spawn_join_s?.median);
    let text = format!(
        "{} to start and join one, {} for a thread: {:.0} times as much, in batches of {}",
        seconds(ours),
        seconds(theirs),
        theirs / ours,
        grouped(goroutine.count)
    );
    Some((theirs >= CHEAP * ours, text))
}

/// What the switch of this runtime saves itself; the compiler saves whatever else is in use, and most often nothing is.
/// Keep in step with `runtime/src/fiber/switch.rs`.
const SAVED: Option<(usize, &str)> = if cfg!(target_arch = "x86_64") {
    Some((4, "instruction pointer, stack pointer, rbp, rbx"))
} else {
    None
};

fn switch((goroutine, thread): (&Row, &Row)) -> Option<(bool, String)> {
    let (ours, theirs) = (goroutine.switch_s?.median, thread.switch_s?.median);
    let (registers, names) = SAVED?;
    let text = format!(
        "{registers} ({names}), and whatever else the compiler has in use there; {} a switch, {} for a thread, which \
         enters the kernel: {:.0} times as much, of {}",
        seconds(ours),
        seconds(theirs),
        theirs / ours,
        grouped(goroutine.count)
    );
    Some((registers == 3, text))
}

fn multiplexed(row: &Row) -> Option<(bool, String)> {
    let threads = row.os_threads?.median;
    let text = format!("{} goroutines alive on {threads:.0} threads of the process", grouped(row.count));
    Some((row.count as f64 >= FEW * threads, text))
}

/// A count with its thousands apart: `100,000`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, count: u64, resident: f64, time: f64) -> Row {
        let spread = |value| Spread::of(&[value]);
        Row {
            kind,
            count,
            resident_bytes: spread(resident),
            page_table_bytes: None,
            kernel_bytes: None,
            address_bytes: spread(2.0 * CLAIMED_THREAD_BYTES),
            create_s: spread(time),
            end_s: spread(time),
            spawn_join_s: spread(time),
            switch_s: spread(time),
            os_threads: spread(4.0),
        }
    }

    fn verdicts(rows: Vec<Row>) -> Vec<Verdict> {
        judge(&Table { rows }).iter().map(|claim| claim.verdict).collect()
    }

    #[test]
    fn each_claim_is_judged_by_its_number() {
        use Verdict::{Differs, Holds};
        let rows = vec![
            row(Kind::Goroutine, 1000, 4400.0, 1e-7),
            row(Kind::Goroutine, 100_000, 4400.0, 1e-5),
            row(Kind::Thread, 1000, 9e3, 2e-5),
            row(Kind::Thread, 16_000, 9e3, 2e-5),
        ];
        let judged = verdicts(rows);
        assert_eq!((judged[0], judged[1], judged[2], judged[4]), (Differs, Differs, Holds, Holds));
        let rows = vec![row(Kind::Goroutine, 100, 2500.0, 1e-5), row(Kind::Thread, 100, 9e3, 2e-5)];
        let judged = verdicts(rows);
        assert_eq!((judged[0], judged[2], judged[4]), (Holds, Differs, Differs));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(verdicts(Vec::new()), [Verdict::Unknown; 5]);
        let judged = verdicts(vec![row(Kind::Goroutine, 1000, 4400.0, 1e-7)]);
        assert_eq!(judged[2], Verdict::Unknown);
    }

    #[test]
    fn thousands_stand_apart() {
        for (count, text) in [(1, "1"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
