//! What code a process has mapped where: turns an address into a place in a file, which stays right after the process ended.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::image::is_anonymous;
use super::record::Region;

/// Number of a module in [`Modules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ModuleId(u32);

impl ModuleId {
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// A file, or named memory, with code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// The file, or a name such as `[vdso]` or `//anon`.
    pub(super) path: PathBuf,
    /// The file's inode; 0 if it is not known. The process that made it, of code that was made at run time.
    pub(super) inode: u64,
    /// A process that has mapped it, and where: the way to a file that is deleted or seen by that process alone.
    pub(super) seen_in: (u32, std::ops::Range<u64>),
}

/// All modules that were ever mapped, each once.
#[derive(Debug, Default)]
pub(super) struct Modules {
    list: Vec<Module>,
    by_file: HashMap<(PathBuf, u64), ModuleId>,
}

impl Modules {
    fn intern(&mut self, pid: u32, region: Region) -> ModuleId {
        let range = region.start..region.start.saturating_add(region.length);
        let list = &mut self.list;
        let number = u32::try_from(list.len()).expect("fewer modules than would fit in memory");
        *self.by_file.entry((region.path, region.inode)).or_insert_with_key(|(path, inode)| {
            list.push(Module { path: path.clone(), inode: *inode, seen_in: (pid, range) });
            ModuleId(number)
        })
    }

    /// A module that is only a name, which frames bear that stand for no code: in brackets.
    pub(super) fn label(&mut self, text: &str) -> ModuleId {
        let path = PathBuf::from(format!("[{}]", text.replace('/', "|")));
        self.intern(0, Region { start: 0, length: 0, offset: 0, path, inode: 0 })
    }

    /// The module of that number.
    pub(super) fn get(&self, id: ModuleId) -> &Module {
        &self.list[id.0 as usize]
    }
}

/// The executable mappings of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    /// By first address; no two overlap.
    mappings: BTreeMap<u64, Mapping>,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    end: u64,
    /// Position in the file of the mapping's first byte.
    offset: u64,
    module: ModuleId,
}

impl Space {
    /// The mappings of a running process, from `/proc`; none if it is gone or not ours to read.
    pub(super) fn of_process(pid: u32, modules: &mut Modules) -> Self {
        let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mut space = Self::default();
        for region in text.split(|&byte| byte == b'\n').filter_map(executable_region) {
            space.map(pid, region, modules);
        }
        space
    }

    /// Adds a mapping; what it covers of older ones is gone.
    pub(super) fn map(&mut self, pid: u32, mut region: Region, modules: &mut Modules) {
        if is_anonymous(&region.path) {
            // Code made at run time: no file says what it is, but the process may (`jit`), by address.
            (region.offset, region.inode) = (region.start, u64::from(pid));
        }
        let (start, end) = (region.start, region.start.saturating_add(region.length));
        if start == end {
            return;
        }
        let covered: Vec<u64> = self
            .mappings
            .range(..end)
            .rev()
            .take_while(|(_, old)| old.end > start)
            .map(|(&at, _)| at)
            .collect();
        for at in covered {
            let old = self.mappings.remove(&at).expect("the key was found just now");
            if at < start {
                self.mappings.insert(at, Mapping { end: start, ..old });
            }
            if old.end > end {
                self.mappings.insert(end, Mapping { offset: old.offset.wrapping_add(end - at), ..old });
            }
        }
        let offset = region.offset;
        let module = modules.intern(pid, region);
        self.mappings.insert(start, Mapping { end, offset, module });
    }

    /// Forgets all mappings: the process executes another program.
    pub(super) fn clear(&mut self) {
        self.mappings.clear();
    }

    /// The module that holds the code at `address`, and where in its file; `None` outside all executable mappings.
    pub(super) fn locate(&self, address: u64) -> Option<(ModuleId, u64)> {
        let (start, mapping) = self.mappings.range(..=address).next_back()?;
        (address < mapping.end).then(|| (mapping.module, mapping.offset.wrapping_add(address - start)))
    }
}

/// A line of `/proc/PID/maps`: `start-end perms offset device inode path`; `None` if it is not executable.
fn executable_region(line: &[u8]) -> Option<Region> {
    let line = line.trim_ascii_end();
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = text()?.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let permissions = text()?;
    let offset = u64::from_str_radix(text()?, 16).ok()?;
    let _device = text()?;
    let inode = text()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let path = if path.is_empty() { b"//anon" } else { path };
    let path = Path::new(OsStr::from_bytes(path)).to_path_buf();
    let length = end.checked_sub(start)?;
    permissions.contains('x').then_some(Region { start, length, offset, path, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, length: u64, offset: u64, path: &str) -> Region {
        Region { start, length, offset, path: path.into(), inode: 1 }
    }

    fn named(space: &Space, modules: &Modules, address: u64) -> Option<(String, u64)> {
        let (module, offset) = space.locate(address)?;
        Some((modules.get(module).path.display().to_string(), offset))
    }

    #[test]
    fn an_address_is_a_place_in_the_mapped_file() {
        let (mut space, mut modules) = (Space::default(), Modules::default());
        space.map(1, region(0x1000, 0x1000, 0x400, "/bin/a"), &mut modules);
        assert_eq!(named(&space, &modules, 0x1010), Some(("/bin/a".into(), 0x410)));
        assert_eq!(named(&space, &modules, 0x0fff), None);
        assert_eq!(named(&space, &modules, 0x2000), None);
    }

    #[test]
    fn a_newer_mapping_covers_the_middle_of_an_older_one() {
        let (mut space, mut modules) = (Space::default(), Modules::default());
        space.map(1, region(0x1000, 0x3000, 0, "/bin/a"), &mut modules);
        space.map(1, region(0x2000, 0x1000, 0x70, "/bin/b"), &mut modules);
        assert_eq!(named(&space, &modules, 0x1fff), Some(("/bin/a".into(), 0xfff)));
        assert_eq!(named(&space, &modules, 0x2000), Some(("/bin/b".into(), 0x70)));
        assert_eq!(named(&space, &modules, 0x3000), Some(("/bin/a".into(), 0x2000)));
    }

    #[test]
    fn one_file_in_two_processes_is_one_module() {
        let mut modules = Modules::default();
        let (mut first, mut second) = (Space::default(), Space::default());
        first.map(1, region(0x1000, 0x1000, 0, "/bin/a"), &mut modules);
        second.map(2, region(0x9000, 0x1000, 0, "/bin/a"), &mut modules);
        assert_eq!(first.locate(0x1004), second.locate(0x9004));
    }

    #[test]
    fn code_made_at_run_time_is_that_of_its_process_and_keeps_its_address() {
        let mut modules = Modules::default();
        let (mut first, mut second) = (Space::default(), Space::default());
        first.map(1, region(0x1000, 0x1000, 0, "//anon"), &mut modules);
        second.map(2, region(0x1000, 0x1000, 0, "//anon"), &mut modules);
        assert_ne!(first.locate(0x1004), second.locate(0x1004));
        assert_eq!(first.locate(0x1004).unwrap().1, 0x1004);
        assert_eq!(first.clone().locate(0x1004), first.locate(0x1004), "a child runs its parent's code");
    }

    #[test]
    fn only_executable_lines_of_proc_count_and_paths_may_hold_spaces() {
        let line = b"7f00-8f00 r-xp 00000100 fe:00 77                         /opt/my app/bin (deleted)";
        let expected = Region {
            start: 0x7f00,
            length: 0x1000,
            offset: 0x100,
            path: "/opt/my app/bin (deleted)".into(),
            inode: 77,
        };
        assert_eq!(executable_region(line), Some(expected));
        assert_eq!(executable_region(b"7f00-8f00 rw-p 00000000 00:00 0 [heap]"), None);
        assert_eq!(executable_region(b"7f00-8f00 r-xp 0 00:00 0 ").unwrap().path, Path::new("//anon"));
        assert_eq!(executable_region(b"garbage"), None);
        assert_eq!(executable_region(b""), None);
    }

    #[test]
    fn this_process_maps_its_own_code() {
        let mut modules = Modules::default();
        let space = Space::of_process(std::process::id(), &mut modules);
        let here = this_process_maps_its_own_code as *const () as u64;
        let (module, _) = space.locate(here).unwrap();
        assert_eq!(modules.get(module).path, std::env::current_exe().unwrap());
    }
}
