//! What is done to a hierarchy of cgroups: behind a trait, since version 2 with its rules has to be tested on machines
//! that have version 1.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::Access;

/// A hierarchy of cgroups: groups are folders, settings are files in them.
pub(super) trait Hierarchy {
    /// Makes a group; its files are there at once.
    fn make(&self, group: &Path) -> io::Result<()>;
    /// Removes a group that has no process and no group in it.
    fn remove(&self, group: &Path) -> io::Result<()>;
    /// The contents of a file.
    fn read(&self, file: &Path) -> io::Result<String>;
    /// Writes into a file that is there.
    fn write(&self, file: &Path, text: &str) -> io::Result<()>;
    /// Whether a file may be written.
    ///
    /// # Errors
    /// Why not.
    fn may_write(&self, file: &Path) -> io::Result<()>;
    /// Names of the groups in a group, in no order.
    fn groups(&self, group: &Path) -> Vec<String>;
}

/// The kernel's, through its file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel;

impl Hierarchy for Kernel {
    fn make(&self, group: &Path) -> io::Result<()> {
        fs::create_dir(group)
    }

    fn remove(&self, group: &Path) -> io::Result<()> {
        fs::remove_dir(group)
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        fs::read_to_string(file)
    }

    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        // One call of `write` is one order to the kernel; a file that is not there must not be made.
        OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
    }

    fn may_write(&self, file: &Path) -> io::Result<()> {
        Ok(rustix::fs::access(file, Access::WRITE_OK)?)
    }

    fn groups(&self, group: &Path) -> Vec<String> {
        let entries = fs::read_dir(group).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

#[cfg(test)]
pub(super) mod fake {
    //! Version 2 as its documentation describes it (`Documentation/admin-guide/cgroup-v2.rst`), in a folder.

    use std::cell::RefCell;
    use std::path::PathBuf;

    use rustix::io::Errno;

    use super::*;

    /// A hierarchy of version 2 in a temporary folder. Processes are numbers in `cgroup.procs`.
    pub(in crate::measure::quota) struct Fake {
        /// The mount point, below which everything is.
        pub(in crate::measure::quota) top: PathBuf,
        /// Groups that may not be written to, nor anything in them.
        pub(in crate::measure::quota) locked: Vec<PathBuf>,
        /// Every order that was carried out, for tests: `make G`, `write FILE TEXT`, `remove G`.
        pub(in crate::measure::quota) orders: RefCell<Vec<String>>,
    }

    impl Fake {
        pub(in crate::measure::quota) fn new(top: PathBuf) -> Self {
            Self { top, locked: Vec::new(), orders: RefCell::default() }
        }

        fn refuse_locked(&self, path: &Path) -> io::Result<()> {
            let is_locked = self.locked.iter().any(|locked| path.starts_with(locked));
            if is_locked { Err(Errno::ACCESS.into()) } else { Ok(()) }
        }

        fn note(&self, order: &str, path: &Path, text: &str) {
            let path = path.strip_prefix(&self.top).unwrap_or(path).display();
            self.orders.borrow_mut().push(format!("{order} {path} {text}").trim_end().to_owned());
        }

        fn words(&self, file: &Path) -> Vec<String> {
            let text = self.read(file).unwrap_or_default();
            text.split_ascii_whitespace().map(str::to_owned).collect()
        }

        /// Who is in a group, or below it.
        fn is_populated(&self, group: &Path) -> bool {
            !self.words(&group.join("cgroup.procs")).is_empty()
                || self.groups(group).iter().any(|name| self.is_populated(&group.join(name)))
        }

        /// Takes the process out of wherever it is.
        fn take_out(&self, group: &Path, pid: &str) {
            let file = group.join("cgroup.procs");
            let others: Vec<String> = self.words(&file).into_iter().filter(|other| other != pid).collect();
            fs::write(&file, others.join("\n")).unwrap();
            for name in self.groups(group) {
                self.take_out(&group.join(name), pid);
            }
        }

        fn enable(&self, group: &Path, text: &str) -> io::Result<()> {
            let file = group.join("cgroup.subtree_control");
            let mut enabled = self.words(&file);
            match text.split_at(1) {
                ("+", name) => {
                    if !self.words(&group.join("cgroup.controllers")).iter().any(|has| has == name) {
                        return Err(Errno::NOENT.into());
                    }
                    // The rule of no internal processes; the root is exempt.
                    if group != self.top && !self.words(&group.join("cgroup.procs")).is_empty() {
                        return Err(Errno::BUSY.into());
                    }
                    enabled.push(name.to_owned());
                }
                (_, name) => enabled.retain(|has| has != name),
            }
            fs::write(&file, enabled.join(" "))?;
            for name in self.groups(group) {
                self.furnish(&group.join(name), &enabled)?;
            }
            Ok(())
        }

        fn furnish(&self, group: &Path, controllers: &[String]) -> io::Result<()> {
            fs::write(group.join("cgroup.controllers"), controllers.join(" "))?;
            if controllers.iter().any(|name| name == "cpu") {
                fs::write(group.join("cpu.max"), "max 100000\n")?;
            } else {
                let _ = fs::remove_file(group.join("cpu.max"));
            }
            Ok(())
        }

        fn kill(&self, group: &Path) {
            fs::write(group.join("cgroup.procs"), "").unwrap();
            for name in self.groups(group) {
                self.kill(&group.join(name));
            }
        }
    }

    impl Hierarchy for Fake {
        fn make(&self, group: &Path) -> io::Result<()> {
            self.refuse_locked(group.parent().unwrap())?;
            fs::create_dir(group)?;
            for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cpu.stat"] {
                fs::write(group.join(file), "")?;
            }
            self.furnish(group, &self.words(&group.parent().unwrap().join("cgroup.subtree_control")))?;
            self.note("make", group, "");
            Ok(())
        }

        fn remove(&self, group: &Path) -> io::Result<()> {
            self.refuse_locked(group)?;
            if self.is_populated(group) || !self.groups(group).is_empty() {
                return Err(Errno::BUSY.into());
            }
            self.note("remove", group, "");
            fs::remove_dir_all(group)
        }

        fn read(&self, file: &Path) -> io::Result<String> {
            fs::read_to_string(file)
        }

        fn write(&self, file: &Path, text: &str) -> io::Result<()> {
            self.refuse_locked(file)?;
            fs::metadata(file)?;
            let group = file.parent().unwrap();
            match file.file_name().unwrap().to_str().unwrap() {
                "cgroup.procs" => {
                    if group != self.top && !self.words(&group.join("cgroup.subtree_control")).is_empty() {
                        return Err(Errno::BUSY.into());
                    }
                    self.take_out(&self.top, text);
                    let mut members = self.words(file);
                    members.push(text.to_owned());
                    fs::write(file, members.join("\n"))?;
                }
                "cgroup.subtree_control" => self.enable(group, text)?,
                "cgroup.kill" => self.kill(group),
                _ => fs::write(file, text)?,
            }
            self.note("write", file, text);
            Ok(())
        }

        fn may_write(&self, file: &Path) -> io::Result<()> {
            self.refuse_locked(file)
        }

        fn groups(&self, group: &Path) -> Vec<String> {
            Kernel.groups(group)
        }
    }
}
