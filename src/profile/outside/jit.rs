//! Names of code that was made at run time: the list `/tmp/perf-PID.map` that a just-in-time compiler writes when asked to
//! (`node --perf-basic-prof`, `java` with perf-map-agent, `python -X perf`).
//!
//! A line is `START SIZE name`, both numbers hexadecimal. Later lines win: code is moved and its memory used again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::name::bare;

/// What is read of a list: one of 100,000 functions has about 10 MB.
const MOST_BYTES: u64 = 256 << 20;

/// The names of the functions of process `pid` at these addresses, which are sorted; one entry an address. `None` if there is
/// no list.
pub(super) fn names(pid: u32, addresses: &[u64]) -> Option<Vec<Option<String>>> {
    let file = paths(pid).iter().find_map(|path| open(path))?;
    Some(names_in(BufReader::new(file.take(MOST_BYTES)), addresses))
}

/// Anyone may put anything under such a name into `/tmp`, a pipe to which nobody writes for one.
fn open(path: &Path) -> Option<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

/// Where the list may be: in `/tmp`, by the process's number here, or by that in its container, in the container's `/tmp`.
fn paths(pid: u32) -> Vec<PathBuf> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let own = numbers.split_whitespace().next_back().and_then(|own| own.parse().ok()).unwrap_or(pid);
    vec![format!("/tmp/perf-{pid}.map").into(), format!("/proc/{pid}/root/tmp/perf-{own}.map").into()]
}

fn names_in(list: impl BufRead, addresses: &[u64]) -> Vec<Option<String>> {
    let mut names = vec![None; addresses.len()];
    for line in list.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let Some((start, end, name)) = function(&line) else {
            continue;
        };
        let first = addresses.partition_point(|&address| address < start);
        let last = addresses.partition_point(|&address| address < end);
        for found in names.get_mut(first..last).into_iter().flatten() {
            *found = Some(bare(name));
        }
    }
    names
}

fn function(line: &str) -> Option<(u64, u64, &str)> {
    let mut fields = line.trim().splitn(3, ' ');
    let mut number = || u64::from_str_radix(fields.next()?.trim_start_matches("0x"), 16).ok();
    let (start, size) = (number()?, number()?);
    Some((start, start.checked_add(size)?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_name_of_the_last_function_there() {
        let list = "1000 10 old\nnonsense\n1008 8 LazyCompile:*work a;b.js:1\n0x2000 0x10 py::f:/a b.py\n";
        let names = names_in(list.as_bytes(), &[0xfff, 0x1007, 0x1008, 0x1010, 0x200f]);
        let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        assert_eq!(
            names,
            [None, Some("old"), Some("LazyCompile:*work a:b.js:1"), None, Some("py::f:/a b.py")]
        );
    }

    #[test]
    fn a_size_that_leads_beyond_all_memory_is_ignored() {
        assert_eq!(names_in(&b"ffffffffffffffff 10 f\n"[..], &[u64::MAX]), [None]);
    }

    #[test]
    fn what_is_no_file_is_no_list_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("perf-1.map");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open(&pipe).is_none() && open(folder.path()).is_none());
    }

    #[test]
    fn lines_of_anything_give_no_names() {
        let list = b"\xff\xfe\n\n10\n10 20\n 30 \nzz 10 f\n10 zz f\n-5 10 f\n0 0 f\n40 8 \x01\n40 8 g";
        assert_eq!(names_in(&list[..], &[0, 0x10, 0x40]), [None, None, Some("g".into())]);
    }

    #[test]
    fn no_list_gives_no_names() {
        assert_eq!(names(u32::MAX, &[1, 2]), None);
    }
}
