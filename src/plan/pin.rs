//! Which CPUs a sample runs on where it is pinned: procs of them for what is measured, and others for what loads it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::machine::{Cpu, CpuList};

/// In which order CPUs are given to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// Neighbours first: all CPUs of a core, then the next core of the same node.
    #[default]
    Compact,
    /// Far apart first: one CPU of each core, packages and nodes in turn, and the cores' other CPUs last.
    Scatter,
}

impl Pin {
    fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Scatter => "scatter",
        }
    }

    /// `cpus` in the order in which workers get them. Faster cores go first in both orders.
    fn order(self, cpus: &[Cpu]) -> Vec<Cpu> {
        let mut order = cpus.to_vec();
        match self {
            Self::Compact => {
                order.sort_by_key(|cpu| (cpu.slowness, cpu.package, cpu.node, cpu.core, cpu.id));
            }
            Self::Scatter => {
                let keys = scatter_keys(cpus);
                order.sort_by_key(|cpu| keys[&cpu.id]);
            }
        }
        order
    }
}

/// By CPU: its place on its core, its kind, its core's place on its node, its node's place on its package, its package. The
/// order of these visits every package, then every node, then every core before it comes to a core again.
fn scatter_keys(cpus: &[Cpu]) -> HashMap<u32, [usize; 5]> {
    let distinct = |numbers: Vec<u32>| {
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let rank = |numbers: Vec<u32>, of: u32| distinct(numbers).partition_point(|number| *number < of);
    let those = |is_near: &dyn Fn(&Cpu) -> bool, number: fn(&Cpu) -> u32| -> Vec<u32> {
        cpus.iter().filter(|cpu| is_near(cpu)).map(number).collect()
    };
    let key = |cpu: &Cpu| {
        let is_like = |other: &Cpu| {
            (other.package, other.node, other.slowness) == (cpu.package, cpu.node, cpu.slowness)
        };
        [
            rank(those(&|other| other.core == cpu.core, |other| other.id), cpu.id),
            rank(those(&|_| true, |other| other.slowness), cpu.slowness),
            rank(those(&is_like, |other| other.core), cpu.core),
            rank(those(&|other| other.package == cpu.package, |other| other.node), cpu.node),
            rank(those(&|_| true, |other| other.package), cpu.package),
        ]
    };
    cpus.iter().map(|cpu| (cpu.id, key(cpu))).collect()
}

impl FromStr for Pin {
    type Err = Error;

    /// # Errors
    /// It is neither of the two names.
    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Compact, Self::Scatter]
            .into_iter()
            .find(|pin| pin.name() == text)
            .ok_or_else(|| Error::Invalid(format!("`{text}` is no way to pin: write `compact` or `scatter`")))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who runs where, for a whole sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinning {
    /// All CPUs, in the order in which workers get them; at least one.
    order: Vec<u32>,
    /// Those of the load generator, the same at every worker count, so that it is the same load; `None` if it may use all.
    load: Option<CpuList>,
}

impl Pinning {
    /// Of a sweep over `procs` on `cpus`; `None` if there are no CPUs.
    ///
    /// The load generator gets what the largest worker count that leaves anything leaves; of that only whole cores, if there
    /// are any.
    #[must_use]
    pub fn new(pin: Pin, cpus: &[Cpu], procs: &[u32]) -> Option<Self> {
        let order = pin.order(cpus);
        let counts = procs.iter().filter_map(|procs| usize::try_from(*procs).ok());
        let taken = counts.filter(|procs| *procs < order.len()).max();
        let load = taken.and_then(|taken| {
            let (taken, left) = order.split_at(taken);
            let is_shared = |cpu: &&Cpu| taken.iter().any(|other| other.core == cpu.core);
            let whole = left.iter().filter(|cpu| !is_shared(cpu)).map(|cpu| cpu.id);
            CpuList::new(whole).or_else(|| CpuList::new(left.iter().map(|cpu| cpu.id)))
        });
        (!order.is_empty()).then(|| Self { order: order.iter().map(|cpu| cpu.id).collect(), load })
    }

    /// Those of what is measured at `procs`: as many, or all there are.
    #[must_use]
    pub fn main(&self, procs: u32) -> CpuList {
        let count = usize::try_from(procs).unwrap_or(usize::MAX).clamp(1, self.order.len());
        CpuList::new(self.order[..count].iter().copied()).expect("there is a CPU, and one at least is taken")
    }

    /// Those of the load generator; `None` if it may use all.
    #[must_use]
    pub fn load(&self) -> Option<&CpuList> {
        self.load.as_ref()
    }

    /// Whether load generator and what is measured have a CPU in common at `procs`.
    #[must_use]
    pub fn is_shared(&self, procs: u32) -> bool {
        self.load.as_ref().is_none_or(|load| load.overlaps(&self.main(procs)))
    }

    /// How many CPUs there are.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `id core package node slowness` of each.
    fn cpus(table: &[[u32; 5]]) -> Vec<Cpu> {
        let cpu = |[id, core, package, node, slowness]: &[u32; 5]| Cpu {
            id: *id,
            core: *core,
            package: *package,
            node: *node,
            slowness: *slowness,
        };
        table.iter().map(cpu).collect()
    }

    /// Two packages of two nodes, each of two cores of two threads, numbered as Linux does: all first threads first.
    fn numa() -> Vec<Cpu> {
        let cpu = |id: u32| {
            let core = id % 8;
            Cpu { id, core, package: core / 4, node: core / 2, slowness: 0 }
        };
        (0..16).map(cpu).collect()
    }

    /// Two fast cores of two threads and four slow ones of one, as on a laptop.
    fn hybrid() -> Vec<Cpu> {
        let fast = [[0, 0], [1, 0], [2, 2], [3, 2]].map(|[id, core]| [id, core, 0, 0, 0]);
        let slow = [4, 5, 6, 7].map(|id| [id, id, 0, 0, 1]);
        cpus(&[fast, slow].concat())
    }

    #[track_caller]
    fn check(pin: Pin, cpus: &[Cpu], expected: &[u32]) {
        let order: Vec<u32> = pin.order(cpus).iter().map(|cpu| cpu.id).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn compact_fills_cores_then_nodes_then_packages() {
        check(Pin::Compact, &numa(), &[0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]);
    }

    #[test]
    fn scatter_visits_packages_then_nodes_then_cores_and_second_threads_last() {
        check(Pin::Scatter, &numa(), &[0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15]);
    }

    #[test]
    fn fast_cores_go_before_slow_ones_and_second_threads_after_all() {
        check(Pin::Compact, &hybrid(), &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(Pin::Scatter, &hybrid(), &[0, 2, 4, 5, 6, 7, 1, 3]);
    }

    #[test]
    fn slow_cpus_with_the_low_numbers_go_last_all_the_same() {
        let big_little = cpus(&[[0, 0, 0, 0, 578], [1, 1, 0, 0, 578], [2, 2, 0, 0, 0], [3, 3, 0, 0, 0]]);
        check(Pin::Compact, &big_little, &[2, 3, 0, 1]);
        check(Pin::Scatter, &big_little, &[2, 3, 0, 1]);
    }

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    #[test]
    fn the_load_gets_whole_cores_that_are_never_taken() {
        let pinning = Pinning::new(Pin::Compact, &numa(), &[1, 2, 5]).unwrap();
        assert_eq!((pinning.main(1), pinning.main(5)), (list("0"), list("0-2,8-9")));
        assert_eq!(pinning.load(), Some(&list("3-7,11-15")), "not 10, whose core has a worker");
        assert!(!pinning.is_shared(5));
        let pinning = Pinning::new(Pin::Scatter, &numa(), &[8]).unwrap();
        assert_eq!(pinning.load(), Some(&list("8-15")), "no whole core is left");
    }

    #[test]
    fn beyond_the_cpus_all_are_taken_and_the_load_keeps_its_own() {
        let two = cpus(&[[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]);
        let pinning = Pinning::new(Pin::Compact, &two, &[1, 2, 4]).unwrap();
        assert_eq!(
            (pinning.main(1), pinning.main(2), pinning.main(4)),
            (list("0"), list("0-1"), list("0-1"))
        );
        assert_eq!(pinning.load(), Some(&list("1")));
        assert_eq!([1, 2, 4].map(|procs| pinning.is_shared(procs)), [false, true, true]);
        let pinning = Pinning::new(Pin::Compact, &two, &[2, 4]).unwrap();
        assert_eq!((pinning.load(), pinning.is_shared(2)), (None, true), "nothing is ever left");
        assert_eq!(Pinning::new(Pin::Compact, &[], &[1]), None);
    }

    #[test]
    fn the_names_read_back_and_others_are_refused() {
        for pin in [Pin::Compact, Pin::Scatter] {
            assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        }
        assert!("dense".parse::<Pin>().unwrap_err().to_string().contains("`dense`"));
    }
}
