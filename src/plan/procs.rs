//! Which worker counts are measured: what `--procs` takes, and what `auto` means on a machine.

use std::fmt;
use std::str::FromStr;

use super::{Error, whole};
use crate::machine::Machine;

/// Largest worker count.
pub const MOST_PROCS: u32 = 4096;

/// Which worker counts were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcsSpec {
    /// Chosen from the machine.
    Auto,
    /// These.
    List(Range),
}

/// Worker counts that may be measured, and those that are measured first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Ascending, each once; not empty.
    pub procs: Vec<u32>,
    /// Those of the first round, ascending, if not all are.
    pub grid: Vec<u32>,
}

impl Range {
    /// Adds worker counts that are measured from the first round on.
    pub fn include(&mut self, more: &[u32]) {
        if !self.grid.is_empty() {
            self.grid = ascending([&self.grid, more].concat());
        }
        self.procs = ascending([&self.procs, more].concat());
    }
}

/// Values of a range `A..B` up to which all are measured; of longer ones only a grid at first.
const WHOLE: usize = 8;

/// CPUs up to which `auto` is a list of its own; for more it is the grid of a range. Below, what lies between two of its
/// values is hardly worth a look.
const AUTO_WHOLE_CPUS: u32 = 4;

impl ProcsSpec {
    /// The worker counts to measure on `machine`, ascending, each once.
    ///
    /// With C the CPUs that a program can use at once (affinity and quota, rounded up), `auto` is the powers of two
    /// below C, then C and 2C, and 1, 2, 3 for C = 1; under a quota also the host's CPU count, which is what programs
    /// take that do not know of the quota. With more than 4 CPUs these are the grid of the range 1..2C.
    #[must_use]
    pub fn resolve(&self, machine: &Machine) -> Range {
        let Self::List(range) = self else {
            let quota = machine.quota_cpus.filter(|quota| *quota > 0.0);
            // A float becomes an integer by saturation, so that a senseless quota cannot do harm.
            let quota_cpus = quota.map_or(MOST_PROCS, |quota| quota.ceil() as u32);
            let cpus = machine.cpus_allowed.min(quota_cpus).clamp(1, MOST_PROCS / 2);
            let mut procs: Vec<u32> = powers_of_two(1).take_while(|n| *n < cpus).collect();
            procs.extend([cpus, 2 * cpus]);
            if cpus == 1 {
                procs.push(3);
            }
            if quota.is_some() {
                procs.push(machine.cpus_online.clamp(1, MOST_PROCS));
            }
            let grid = ascending(procs);
            if cpus <= AUTO_WHOLE_CPUS {
                return Range { procs: grid, grid: Vec::new() };
            }
            return Range { procs: ascending((1..=2 * cpus).chain(grid.iter().copied()).collect()), grid };
        };
        range.clone()
    }
}

impl FromStr for ProcsSpec {
    type Err = Error;

    /// Reads `auto`, or items separated by commas: `4`, `1..8` (both ends included), `1..64:log2` (both ends, and the
    /// powers of two between them). Repeated values count once. A range of more than 8 values has a grid of both ends and the
    /// powers of two between them; whatever else is listed is measured from the first round on.
    ///
    /// # Errors
    /// An item is something else, or not within 1..4096; the text names it.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let (mut procs, mut grid) = (Vec::new(), Vec::new());
        for item in text.split(',').map(str::trim) {
            let values = parse_item(item)
                .map_err(|why| Error::Invalid(format!("`{item}` in `{text}` is no worker count: {why}")))?;
            grid.extend(if values.len() > WHOLE && !item.ends_with(":log2") {
                ends_and_powers(values[0], values[values.len() - 1])
            } else {
                values.clone()
            });
            procs.extend(values);
        }
        let (procs, grid) = (ascending(procs), ascending(grid));
        let is_whole = grid.len() == procs.len();
        Ok(Self::List(Range { grid: if is_whole { Vec::new() } else { grid }, procs }))
    }
}

impl fmt::Display for ProcsSpec {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::List(range) => {
                let list: Vec<String> = range.procs.iter().map(u32::to_string).collect();
                f.write_str(&list.join(","))
            }
        }
    }
}

/// The worker counts of one item, or why it has none.
fn parse_item(item: &str) -> Result<Vec<u32>, &'static str> {
    let Some((low, high)) = item.split_once("..") else {
        return Ok(vec![parse_count(item)?]);
    };
    let (high, is_log2) = match high.strip_suffix(":log2") {
        Some(high) => (high, true),
        None => (high, false),
    };
    if low.is_empty() || high.is_empty() {
        return Err("a range has both ends, as in `1..8`");
    }
    let (low, high) = (parse_count(low)?, parse_count(high)?);
    if high < low {
        return Err("a range goes up");
    }
    if !is_log2 {
        return Ok((low..=high).collect());
    }
    Ok(ends_and_powers(low, high))
}

/// Both ends of a range, and the powers of two between them.
fn ends_and_powers(low: u32, high: u32) -> Vec<u32> {
    let between = powers_of_two(low.next_power_of_two()).take_while(|n| *n < high);
    [low].into_iter().chain(between).chain([high]).collect()
}

/// One worker count, or why it is none.
fn parse_count(text: &str) -> Result<u32, &'static str> {
    match whole(text) {
        Some(n) if (1..=MOST_PROCS).contains(&n) => Ok(n),
        Some(_) => Err("it has to be 1 to 4096"),
        None if text == "auto" => Err("`auto` stands alone"),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("it has to be 1 to 4096")
        }
        None => Err("write `4`, `1,2,4`, `1..8`, `1..64:log2` or `auto`"),
    }
}

/// `first` and its doublings, without end below 2³¹.
fn powers_of_two(first: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(first), |n| n.checked_mul(2))
}

fn ascending(mut procs: Vec<u32>) -> Vec<u32> {
    procs.sort_unstable();
    procs.dedup();
    procs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &[u32]) {
        let ProcsSpec::List(range) = text.parse().unwrap() else { panic!("`{text}` is a list") };
        assert_eq!(range, Range { procs: expected.to_vec(), grid: Vec::new() }, "{text}");
    }

    #[test]
    fn items_are_values_ranges_and_powers_of_two() {
        check("4", &[4]);
        check("1,2,4", &[1, 2, 4]);
        check("1..8", &[1, 2, 3, 4, 5, 6, 7, 8]);
        check("3..3", &[3]);
        check("1..64:log2", &[1, 2, 4, 8, 16, 32, 64]);
        check("3..20:log2", &[3, 4, 8, 16, 20]);
        check("5..6:log2", &[5, 6]);
        check("1..1:log2", &[1]);
        check("1,2,8..10", &[1, 2, 8, 9, 10]);
        check("4, 2, 4,2..3", &[2, 3, 4]);
        check("4096", &[4096]);
    }

    #[test]
    fn of_a_long_range_only_a_grid_is_measured_first() {
        for (text, most, grid) in [
            ("1..64", 64, &[1, 2, 4, 8, 16, 32, 64][..]),
            ("1..9", 9, &[1, 2, 4, 8, 9]),
            ("3..40,5,7", 40, &[3, 4, 5, 7, 8, 16, 32, 40]),
            ("1..2,10..20", 20, &[1, 2, 10, 16, 20]),
        ] {
            let ProcsSpec::List(range) = text.parse().unwrap() else { panic!("`{text}` is a list") };
            assert_eq!((range.grid.as_slice(), range.procs.last()), (grid, Some(&most)), "{text}");
            assert!(range.procs.len() > range.grid.len());
        }
    }

    #[test]
    fn an_item_that_is_no_worker_count_is_refused_by_name_in_one_line() {
        for (text, item) in [
            ("0", "0"),
            ("8..1", "8..1"),
            ("1..", "1.."),
            ("..8", "..8"),
            ("..", ".."),
            ("", ""),
            ("1,,2", ""),
            ("1,", ""),
            ("x", "x"),
            ("1,x", "x"),
            ("-1", "-1"),
            ("+1", "+1"),
            ("1.5", "1.5"),
            ("4097", "4097"),
            ("99999999999999999999", "99999999999999999999"),
            ("0..4", "0..4"),
            ("1..5000", "1..5000"),
            ("1..8:log3", "1..8:log3"),
            ("1..:log2", "1..:log2"),
            ("4:log2", "4:log2"),
            ("1..=8", "1..=8"),
            ("1,auto", "auto"),
        ] {
            let error = text.parse::<ProcsSpec>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{item}` in `{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    #[track_caller]
    fn auto(cpus_allowed: u32, quota_cpus: Option<f64>, cpus_online: u32, expected: &[u32]) {
        let machine = Machine { cpus_allowed, quota_cpus, cpus_online, ..Machine::default() };
        let range = ProcsSpec::Auto.resolve(&machine);
        let first = if range.grid.is_empty() { &range.procs } else { &range.grid };
        assert_eq!(first, expected);
        let usable = quota_cpus.map_or(cpus_allowed, |quota| cpus_allowed.min(quota.ceil() as u32));
        assert_eq!(range.grid.is_empty(), usable <= 4, "{range:?}");
        assert!(first.iter().all(|n| range.procs.contains(n)) && range.procs.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn auto_brackets_the_cpus_a_program_can_use() {
        auto(1, None, 1, &[1, 2, 3]);
        auto(2, None, 2, &[1, 2, 4]);
        auto(3, None, 8, &[1, 2, 3, 6]);
        auto(8, None, 8, &[1, 2, 4, 8, 16]);
        auto(12, None, 64, &[1, 2, 4, 8, 12, 24]);
    }

    #[test]
    fn auto_under_a_quota_also_tries_what_the_host_suggests() {
        auto(8, Some(0.5), 8, &[1, 2, 3, 8]);
        auto(8, Some(1.5), 8, &[1, 2, 4, 8]);
        auto(2, Some(64.0), 2, &[1, 2, 4]);
    }

    #[test]
    fn auto_stays_within_bounds_on_any_machine() {
        auto(0, Some(-3.0), 0, &[1, 2, 3]);
        auto(100_000, None, 100_000, &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_printed_list_reads_back(list in prop::collection::btree_set(1u32..=MOST_PROCS, 1..20)) {
            let spec = ProcsSpec::List(Range { procs: list.into_iter().collect(), grid: Vec::new() });
            prop_assert_eq!(spec.to_string().parse::<ProcsSpec>().unwrap(), spec);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_ascending_and_in_range(text in "([0-9]{1,4}|,|\\.\\.|:log2|auto|.){0,6}") {
            if let Ok(ProcsSpec::List(Range { procs: list, grid })) = text.parse::<ProcsSpec>() {
                prop_assert!(grid.iter().all(|n| list.contains(n)));
                prop_assert!(!list.is_empty() && list.is_sorted_by(|a, b| a < b));
                prop_assert!(list[0] >= 1 && list[list.len() - 1] <= MOST_PROCS);
            }
        }
    }
}
