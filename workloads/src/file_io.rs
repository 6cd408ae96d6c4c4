//! Files written, read back and removed.
//!
//! - **Models**: caches, uploads, builds: calls that block their thread, with some compute on what was read.
//! - **Op**: one file of 64 KiB: made, written, read back, checked and removed. Unit: `files/s`.
//! - **Expected**: little to gain: a blocking call holds no processor, so even one keeps many in flight; what scales is
//!   the compute in between. With `sync=true` the disk alone decides.
//! - **Blocks on**: file calls, through `blocking`. Latency: of one file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use corefit_runtime::{blocking, go};

use crate::chain;
use crate::crew::{cannot, expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const SYNC: Parameter =
    Parameter { name: "sync", default: "false", about: "true waits for the disk after each file is written" };

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "file_io",
    about: "files written and read by blocking calls",
    scaling: "little gain: blocking calls hold no processor",
    unit: "files/s",
    policy: None,
    parameters: &[SYNC],
    run,
};

/// Goroutines, each with one file at a time.
const GOROUTINES: u64 = 32;
/// Files of each goroutine at scale 1.
const FILES: u64 = 100;
/// Numbers of 8 bytes in a file: 64 KiB, of which each takes one step of a chain to make and one to check.
const FILE_NUMBERS: u64 = 8192;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let sync = settings.read(&SYNC)?;
    let files = settings.scaled(FILES, 1);
    let folder = Arc::new(Folder::create().map_err(cannot("make a temporary folder"))?);
    let start = Instant::now();
    let crew: Vec<_> = (0..GOROUTINES)
        .map(|goroutine| {
            let folder = Arc::clone(&folder);
            go(move || use_files(folder.path(), goroutine, files, sync))
        })
        .collect();
    let latencies_ns = join_all(crew)?;
    let elapsed = start.elapsed();
    let left = fs::read_dir(folder.path()).map_err(cannot("list the temporary folder"))?.count();
    expect_equal("the number of files left behind", left, 0)?;
    let ops = GOROUTINES * files;
    Ok(Outcome { ops, elapsed, latency_ns: Some(histogram(latencies_ns.into_iter().flatten())) })
}

/// One goroutine's files, one after the other; how long each took, in nanoseconds.
fn use_files(folder: &Path, goroutine: u64, files: u64, sync: bool) -> Result<Vec<u64>, Failure> {
    let path = folder.join(goroutine.to_string());
    let mut latencies_ns = Vec::with_capacity(files as usize);
    for file in 0..files {
        let seed = goroutine * files + file;
        let start = Instant::now();
        let content = make_content(seed);
        blocking(|| write_file(&path, &content, sync)).map_err(cannot("write a temporary file"))?;
        let found = blocking(|| fs::read(&path)).map_err(cannot("read a temporary file"))?;
        check_content(seed, &found)?;
        blocking(|| fs::remove_file(&path)).map_err(cannot("remove a temporary file"))?;
        latencies_ns.push(nanoseconds(start.elapsed()));
    }
    Ok(latencies_ns)
}

/// The bytes of file number `seed`: a chain from there.
#[inline(never)]
fn make_content(seed: u64) -> Vec<u8> {
    numbers(seed).flat_map(u64::to_le_bytes).collect()
}

fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |value| Some(chain::step(*value))).take(FILE_NUMBERS as usize)
}

#[inline(never)]
fn write_file(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    if sync { file.sync_data() } else { Ok(()) }
}

/// Compares a file with the chain that it was made from.
#[inline(never)]
fn check_content(seed: u64, found: &[u8]) -> Result<(), Failure> {
    let (found, rest) = found.as_chunks();
    if rest.is_empty() && found.iter().map(|bytes| u64::from_le_bytes(*bytes)).eq(numbers(seed)) {
        return Ok(());
    }
    Err(Failure(format!("wrong result: file {seed} does not hold what was written to it")))
}

/// A temporary folder, removed with all that is in it when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Names that are tried: others may be left over from processes that were killed.
    const NAMES: u32 = 10_000;

    fn create() -> io::Result<Self> {
        let process = std::process::id();
        for name in 0..Self::NAMES {
            let path = std::env::temp_dir().join(format!("corefit-file_io-{process}-{name}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays: a destructor has nobody to tell, and the result is right all the same.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(GOROUTINES);
    }

    #[test]
    fn it_can_wait_for_the_disk() {
        Trial::of(&WORKLOAD).set("sync", "true").expect_ops(GOROUTINES);
    }

    #[test]
    fn a_changed_a_missing_and_a_surplus_byte_are_noticed() {
        let mut content = make_content(5);
        check_content(5, &content).unwrap();
        assert!(check_content(6, &content).is_err());
        assert!(check_content(5, &content[1..]).is_err());
        assert!(check_content(5, &[&content[..], &[0; 8]].concat()).is_err());
        content[60_000] ^= 1;
        assert!(check_content(5, &content).is_err());
    }

    #[test]
    fn folders_differ_and_are_removed() {
        let (one, other) = (Folder::create().unwrap(), Folder::create().unwrap());
        assert_ne!(one.path(), other.path());
        let left = one.path().join("left");
        fs::write(&left, "behind").unwrap();
        drop(one);
        // The file, because another test may have a folder of the same name by now.
        assert!(!left.exists() && other.path().exists());
    }
}
