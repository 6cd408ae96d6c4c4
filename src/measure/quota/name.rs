//! Names of the groups that we make: they tell whose they are, so that the next tool can clear away after one that was
//! killed.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::super::tree::Process;

/// How they begin.
const PREFIX: &str = "corefit-";

/// How many names this process has given.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A process, for as long as the machine runs: ids are given again, an id with its start is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    born: u64,
    /// The namespace in which the id counts, where the kernel says.
    namespace: Option<String>,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Option<Self> {
        let process = Process::look(std::process::id())?;
        Some(Self { pid: process.pid, born: process.born(), namespace: namespace() })
    }

    /// A name that this process has not given before, such as `corefit-4242-99-ns4026531836-1`.
    pub(super) fn name(&self) -> String {
        // ORDERING: Relaxed; each caller gets another number, and nothing else is published by it.
        let number = GIVEN.fetch_add(1, Relaxed) + 1;
        let namespace = self.namespace.as_deref().map_or_else(String::new, |name| format!("-ns{name}"));
        format!("{PREFIX}{}-{}{namespace}-{number}", self.pid, self.born)
    }

    /// Whose a group of this name is; `None` if none of ours.
    pub(super) fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('-');
        let (pid, born) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let namespace = parts.next().and_then(|part| part.strip_prefix("ns")).map(str::to_owned);
        Some(Self { pid, born, namespace })
    }

    /// Whether it has ended. A process of another namespace cannot be looked up, and is taken to live.
    pub(super) fn is_gone(&self) -> bool {
        let is_elsewhere = self.namespace.is_some() && self.namespace != namespace();
        !is_elsewhere && Process::look(self.pid).is_none_or(|process| process.born() != self.born)
    }
}

/// Number of the namespace of process ids that this process is in.
fn namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let number = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    Some(number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner_and_no_two_are_alike() {
        let this = Owner::this().unwrap();
        let [first, second] = [this.name(), this.name()];
        assert_ne!(first, second);
        assert_eq!(Owner::of(&first), Some(this.clone()));
        assert!(!this.is_gone());
    }

    #[test]
    fn an_id_that_was_given_again_is_somebody_else() {
        let this = Owner::this().unwrap();
        assert!(Owner { born: this.born + 1, ..this.clone() }.is_gone());
        assert!(Owner { pid: u32::MAX, ..this.clone() }.is_gone());
        let elsewhere = Owner { pid: u32::MAX, namespace: Some("1".to_owned()), ..this };
        assert!(!elsewhere.is_gone());
    }

    #[test]
    fn what_is_not_ours_has_no_owner() {
        for name in ["user.slice", "corefit-", "corefit-x-1", "corefit-1", "corefit-test-1", "my-corefit-1-2"]
        {
            assert_eq!(Owner::of(name), None, "{name}");
        }
        assert!(Owner::of("corefit-1-2").is_some_and(|owner| owner.namespace.is_none()));
    }
}
