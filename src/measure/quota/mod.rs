//! CPU quotas that we set: each sample in a cgroup of its own, which goes away with it.
//!
//! The group's name tells whose it is (`corefit-<pid>-<start>-…`): a tool that was killed leaves its group, and the next
//! one that sets a quota there kills what is in it and removes it.

mod group;
mod hierarchy;
mod name;
mod room;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::cgroup::{self, Version};
use hierarchy::Kernel;
use name::Owner;
use room::Room;

/// The right to set quotas: where their groups are made. Dropping it undoes what had to be rearranged for that.
#[derive(Debug)]
pub struct Quotas {
    room: Room,
    /// The quota that this process is under already.
    in_force_cpus: Option<f64>,
}

impl Quotas {
    /// Finds out whether and where this process may set quotas, by doing it once.
    ///
    /// # Errors
    /// It may not; the text says why, and the way out.
    pub fn find() -> Result<Self, Error> {
        let root = Path::new("/");
        let in_force_cpus = cgroup::limit(root, "self").map(|limit| limit.cpus);
        Ok(Self { room: room::find(&Kernel, root)?, in_force_cpus })
    }

    /// A quota of `cpus`.
    ///
    /// # Errors
    /// It is more than this process is allowed itself.
    pub fn of(&self, cpus: f64) -> Result<Quota, Error> {
        match self.in_force_cpus.filter(|in_force| cpus > in_force * (1.0 + ROUNDING)) {
            Some(in_force) => Err(Error::Quota(format!(
                "cannot set a CPU quota of {cpus}: this process is allowed {in_force} CPUs itself; give at most that"
            ))),
            None => Ok(Quota { version: self.room.version, room: self.room.folder.clone(), cpus }),
        }
    }

    /// The cgroup in which the groups are made.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.room.folder
    }

    /// Version of the cgroup interface: 1 or 2.
    #[must_use]
    pub fn version(&self) -> u8 {
        match self.room.version {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// The kernel keeps whole microseconds of 100 ms.
const ROUNDING: f64 = 1e-4;

impl Drop for Quotas {
    fn drop(&mut self) {
        room::close(&Kernel, &self.room.folder, self.room.moved_to.as_deref());
    }
}

/// A CPU quota for samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    version: Version,
    room: PathBuf,
    cpus: f64,
}

impl Quota {
    /// The quota, in CPUs.
    #[must_use]
    pub fn cpus(&self) -> f64 {
        self.cpus
    }

    /// Makes the group of one sample.
    pub(super) fn group(&self) -> Result<Group, Error> {
        let owner = Owner::this();
        let name = owner.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)).map(|owner| owner.name());
        let made = name.and_then(|name| {
            let folder = self.room.join(name);
            group::make(&Kernel, self.version, &folder, self.cpus)?;
            Ok(Group { folder, is_there: true })
        });
        made.map_err(|source| Error::refused("make a cgroup for the quota", &source))
    }
}

/// The group of a sample under way. Dropping it kills what is in it and removes it.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    is_there: bool,
}

impl Group {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends SIGKILL to everything in it.
    pub(super) fn kill(&self) {
        group::kill(&Kernel, &self.folder);
    }

    /// Kills what is left in it and removes it; why not, if it cannot.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.is_there = false;
        group::clear_away(&Kernel, &self.folder)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_there {
            // The next tool tries again.
            let _ = self.end();
        }
    }
}
