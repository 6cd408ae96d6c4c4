//! Where groups of our own can be made: a cgroup that we may write to, and whose children the CPU controller governs.
//!
//! Version 1: the tool's own group. Version 2 forbids controllers in the children of a group that has processes itself,
//! and the tool's own group has one, the tool. So, in this order:
//!
//! 1. the tool's own group, if its children have the controller already (the root of the machine);
//! 2. the tool's own group, if the tool is alone in it (`systemd-run --scope`, the first process of a container): the tool
//!    moves into a group below, and back at the end. With others in it that would move them too, so it is not done;
//! 3. a group above, if its children have the controller and no quota between is lost by it (root, without systemd-run).

use std::io;
use std::path::{Path, PathBuf};

use super::super::cgroup::{self, Version};
use super::group;
use super::hierarchy::Hierarchy;
use super::name::Owner;
use crate::measure::Error;

/// A group in which groups with a quota can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) version: Version,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The group below it into which the tool itself had to move.
    pub(super) moved_to: Option<PathBuf>,
}

/// The file of version 2 that says what governs the groups in a group.
const SUBTREE: &str = "cgroup.subtree_control";

/// Finds the room of this process, and clears away what killed tools left there. `root` is `/` but in tests.
///
/// # Errors
/// There is none, with the reason and the way out.
pub(super) fn find(hierarchy: &dyn Hierarchy, root: &Path) -> Result<Room, Error> {
    let owner = Owner::this().ok_or_else(|| refused("`/proc` does not show this process; mount it"))?;
    let (version, folders) = cgroup::groups(root, "self", "cpu").ok_or_else(|| {
        refused("no cgroups with a CPU controller are mounted here; in a container, mount `/sys/fs/cgroup`")
    })?;
    let own = folders.first().ok_or_else(|| refused("this process is in no cgroup"))?;
    match version {
        Version::V1 => {
            let folder = own.clone();
            probe(hierarchy, version, &folder, &owner).map_err(|error| may_not(&folder, &error))?;
            Ok(Room { version, folder, moved_to: None })
        }
        Version::V2 => find_in_version_2(hierarchy, root, &folders, &owner),
    }
}

fn find_in_version_2(
    hierarchy: &dyn Hierarchy,
    root: &Path,
    folders: &[PathBuf],
    owner: &Owner,
) -> Result<Room, Error> {
    let own = &folders[0];
    let room = |folder: &Path, moved_to| Room { version: Version::V2, folder: folder.to_owned(), moved_to };
    let probe = |folder: &Path| probe(hierarchy, Version::V2, folder, owner);
    let mut why = None;
    if governs_cpu(hierarchy, own) {
        match probe(own) {
            Ok(()) => return Ok(room(own, None)),
            Err(error) => why = Some(may_not(own, &error)),
        }
    } else {
        match open_up(hierarchy, own, owner) {
            Ok(moved_to) => return Ok(room(own, moved_to)),
            Err(error) => why = why.or(Some(error)),
        }
    }
    // A group above the one that sets the tightest quota would let the program out of it.
    let limit = cgroup::limit(root, "self").map(|limit| limit.folder);
    let above = folders[1..].iter().filter(|folder| {
        limit.as_ref().is_none_or(|limit| folder.starts_with(limit)) && governs_cpu(hierarchy, folder)
    });
    for folder in above {
        if probe(folder).is_ok() {
            return Ok(room(folder, None));
        }
    }
    Err(why.unwrap_or_else(|| refused("this process is in no cgroup")))
}

/// Whether the CPU controller governs the groups in a group.
fn governs_cpu(hierarchy: &dyn Hierarchy, folder: &Path) -> bool {
    has_cpu(hierarchy, &folder.join(SUBTREE))
}

fn has_cpu(hierarchy: &dyn Hierarchy, list: &Path) -> bool {
    hierarchy.read(list).is_ok_and(|names| names.split_ascii_whitespace().any(|name| name == "cpu"))
}

/// Lets the CPU controller govern the groups in the tool's own group; gives the group into which the tool had to move.
fn open_up(hierarchy: &dyn Hierarchy, own: &Path, owner: &Owner) -> Result<Option<PathBuf>, Error> {
    if !has_cpu(hierarchy, &own.join("cgroup.controllers")) {
        return Err(refused(&format!(
            "the CPU controller is not delegated to this process's cgroup `{}`",
            own.display()
        )));
    }
    let refuse = |error: io::Error| may_not(own, &error);
    hierarchy.may_write(&own.join(SUBTREE)).map_err(refuse)?;
    let enable = || hierarchy.write(&own.join(SUBTREE), "+cpu");
    let moved_to = match enable() {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let others = group::members(hierarchy, own).into_iter().find(|pid| *pid != std::process::id());
            if let Some(pid) = others {
                return Err(refused(&format!(
                    "this process shares its cgroup `{}` with others (such as process {pid})",
                    own.display()
                )));
            }
            let below = own.join(owner.name());
            move_into(hierarchy, &below).map_err(refuse)?;
            enable().map_err(|error| {
                let _ = leave(hierarchy, own, &below);
                refuse(error)
            })?;
            Some(below)
        }
        Err(error) => return Err(refuse(error)),
    };
    probe(hierarchy, Version::V2, own, owner).map_err(|error| {
        close(hierarchy, own, moved_to.as_deref());
        refuse(error)
    })?;
    Ok(moved_to)
}

/// Makes the group `below` and moves the tool there.
fn move_into(hierarchy: &dyn Hierarchy, below: &Path) -> io::Result<()> {
    hierarchy.make(below)?;
    hierarchy.write(&group::procs(below), &std::process::id().to_string()).inspect_err(|_| {
        let _ = hierarchy.remove(below);
    })
}

/// Moves the tool back from the group `below`.
fn leave(hierarchy: &dyn Hierarchy, own: &Path, below: &Path) -> io::Result<()> {
    hierarchy.write(&group::procs(own), &std::process::id().to_string())?;
    hierarchy.remove(below)
}

/// Undoes [`open_up`]. What cannot be undone stays as it is: it does no harm, and the next tool finds room there.
pub(super) fn close(hierarchy: &dyn Hierarchy, own: &Path, moved_to: Option<&Path>) {
    if let Some(below) = moved_to
        && hierarchy.write(&own.join(SUBTREE), "-cpu").is_ok()
    {
        let _ = leave(hierarchy, own, below);
    }
}

/// Clears away leftovers in `folder`, then makes a group there, limits it and removes it.
fn probe(hierarchy: &dyn Hierarchy, version: Version, folder: &Path, owner: &Owner) -> io::Result<()> {
    clear_leftovers(hierarchy, folder);
    let trial = folder.join(owner.name());
    group::make(hierarchy, version, &trial, LEAST_CPUS)?;
    // Whoever moves a process writes to the group it goes to and to the one above both.
    let may_move =
        [&trial, folder].into_iter().try_for_each(|folder| hierarchy.may_write(&group::procs(folder)));
    hierarchy.remove(&trial)?;
    may_move
}

/// Quota of a trial: small enough for any quota above it.
const LEAST_CPUS: f64 = 0.01;

/// Removes the groups in `folder` whose tools were killed, and kills what is left in them.
fn clear_leftovers(hierarchy: &dyn Hierarchy, folder: &Path) {
    for name in hierarchy.groups(folder) {
        if Owner::of(&name).is_some_and(|owner| owner.is_gone()) {
            // Another tool may be clearing away the same; if it is nobody's to remove, it stays.
            let _ = group::clear_away(hierarchy, &folder.join(name));
        }
    }
}

/// The way out, whatever the reason.
const WAY_OUT: &str = "run `systemd-run --user --scope -p Delegate=yes corefit …`, start it alone in a cgroup that is \
                       delegated to you, or use sudo";

fn refused(why: &str) -> Error {
    Error::Quota(format!("cannot set a CPU quota: {why}; {WAY_OUT}"))
}

fn may_not(folder: &Path, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "it is mounted read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it has no file to set one (a kernel without CFS_BANDWIDTH)".to_owned(),
        _ => error.to_string(),
    };
    refused(&format!("corefit may not make cgroups in `{}`: {why}", folder.display()))
}
