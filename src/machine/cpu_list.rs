//! A set of CPUs, written as the kernel writes it: `0-3,8`.

use std::fmt;
use std::str::FromStr;

/// CPUs by number, ascending, each once; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CpuList(Vec<u32>);

impl CpuList {
    /// These CPUs; `None` if there are none.
    #[must_use]
    pub fn new(cpus: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut cpus: Vec<u32> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// Their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Whether `cpu` is among them.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.binary_search(&cpu).is_ok()
    }

    /// How many they are, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the two have a CPU in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.iter().any(|cpu| other.contains(cpu))
    }
}

/// More CPUs than any machine has: a longer list is a mistake, and is not expanded.
const MOST_CPUS: u32 = 1 << 16;

impl FromStr for CpuList {
    type Err = String;

    /// # Errors
    /// It is no list of numbers and ranges, or names a CPU beyond all machines.
    fn from_str(text: &str) -> Result<Self, String> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && last < MOST_CPUS).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let cpus = ranges.and_then(|ranges| Self::new(ranges.into_iter().flatten()));
        cpus.ok_or_else(|| format!("`{}` is no list of CPUs, as in `0-3,8`", crate::quote::one_line(text)))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_slice();
        while let Some(first) = rest.first() {
            let run = rest.iter().zip(*first..).take_while(|(cpu, expected)| *cpu == expected).count();
            let comma = if rest.len() == self.0.len() { "" } else { "," };
            match run {
                1 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{}", rest[run - 1])?,
            }
            rest = &rest[run..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_does() {
        let list: CpuList = "8,0-3,2".parse().unwrap();
        assert_eq!((list.to_string().as_str(), list.count()), ("0-3,8", 5));
        assert!(list.contains(8) && !list.contains(4));
        assert!(list.overlaps(&"3-5".parse().unwrap()) && !list.overlaps(&"4-7".parse().unwrap()));
        for nonsense in ["", "3-1", "a", "0-4294967295", "1-", "1,,2", "-1"] {
            assert!(nonsense.parse::<CpuList>().is_err(), "{nonsense}");
        }
        assert_eq!(CpuList::new([]), None);
    }

    #[test]
    fn a_list_of_cpus_has_ranges_and_single_ones() {
        let cpu_list = |text: &str| text.parse::<CpuList>().map(|list| list.iter().collect::<Vec<_>>());
        assert_eq!(cpu_list("0-2,5,7-8\n").unwrap(), [0, 1, 2, 5, 7, 8]);
        assert_eq!(cpu_list("0\n").unwrap(), [0]);
        assert!(cpu_list("\n").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_written_list_reads_back(cpus in proptest::collection::vec(0_u32..200, 1..40)) {
            let list = CpuList::new(cpus).unwrap();
            prop_assert_eq!(list.to_string().parse::<CpuList>(), Ok(list));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<CpuList>();
        }
    }
}
