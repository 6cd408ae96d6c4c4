//! CPU quotas: only Linux has cgroups, which set them.

use std::io;
use std::path::Path;

use super::Error;

/// The right to set quotas: nobody has it.
#[derive(Clone, Copy, Debug)]
pub enum Quotas {}

impl Quotas {
    /// Says why there are none.
    ///
    /// # Errors
    /// Always.
    pub fn find() -> Result<Self, Error> {
        Err(Error::Quota(
            "cannot set a CPU quota: this system has no cgroups; measure on Linux, or leave the quota out"
                .to_owned(),
        ))
    }

    /// A quota of `cpus`.
    ///
    /// # Errors
    /// Never: there is nobody to ask.
    pub fn of(&self, _cpus: f64) -> Result<Quota, Error> {
        match *self {}
    }

    /// The cgroup in which the groups are made.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match *self {}
    }

    /// Version of the cgroup interface.
    #[must_use]
    pub fn version(&self) -> u8 {
        match *self {}
    }
}

/// A CPU quota for samples: there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Quota {}

impl Quota {
    /// The quota, in CPUs.
    #[must_use]
    pub fn cpus(&self) -> f64 {
        match *self {}
    }

    pub(super) fn group(&self) -> Result<Group, Error> {
        match *self {}
    }
}

/// The group of a sample under way: there is none.
#[derive(Debug)]
pub(super) enum Group {}

impl Group {
    pub(super) fn folder(&self) -> &Path {
        match *self {}
    }

    pub(super) fn kill(&self) {
        match *self {}
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        match *self {}
    }
}
