//! Files written and read back.
//!
//! - **Models**: caches, uploads, spill files: calls that block their thread, with some compute on what was read.
//! - **Op**: one file of 64 KiB: made, written, read back, checked and let go. Unit: `files/s`.
//! - **Expected**: little to gain: a blocking call holds no processor, so even one keeps many in flight; what scales is
//!   the compute in between. With `sync=true` the disk alone decides.
//! - **Blocks on**: file calls, through `blocking`. Latency: of one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use corefit_runtime::{blocking, go};

use crate::chain;
use crate::crew::{cannot, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::settings::is_flag;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const SYNC: Parameter = Parameter {
    name: "sync",
    default: "false",
    about: "true waits for the disk after each file is written",
    accepts: is_flag,
};

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
const FILES: u64 = 70;
/// Numbers of 8 bytes in a file: 64 KiB, of which each takes one step of a chain to make and one to check.
const FILE_NUMBERS: usize = 8192;
/// Names that are tried for a file. More than one, because a process may run the workload twice at a time, and because
/// one that was killed at the wrong moment may have left a name behind.
const ATTEMPTS: u32 = 100;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let sync = settings.read(&SYNC)?;
    let files = settings.scaled(FILES, 1);
    let folder: Arc<Path> = std::env::temp_dir().into();
    let watch = Stopwatch::start();
    let crew: Vec<_> = (0..GOROUTINES)
        .map(|goroutine| {
            let folder = Arc::clone(&folder);
            go(move || use_files(&folder, goroutine, files, sync))
        })
        .collect();
    let latencies_ns = join_all(crew)?;
    let timed = watch.stop();
    let ops = GOROUTINES * files;
    Ok(Outcome { ops, timed, latency_ns: Some(histogram(latencies_ns.into_iter().flatten())) })
}

/// One goroutine's files, one after the other; how long each took, in nanoseconds.
fn use_files(folder: &Path, goroutine: u64, files: u64, sync: bool) -> Result<Vec<u64>, Failure> {
    let mut latencies_ns = Vec::with_capacity(files as usize);
    for file in 0..files {
        let seed = goroutine * files + file;
        let start = Instant::now();
        let content = make_content(seed);
        let file = blocking(|| make_nameless(folder, goroutine)).map_err(cannot("make a temporary file"))?;
        blocking(|| write_file(&file, &content, sync)).map_err(cannot("write a temporary file"))?;
        let found = blocking(|| read_back(file)).map_err(cannot("read a temporary file"))?;
        check_content(seed, &found)?;
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
    std::iter::successors(Some(seed), |value| Some(chain::step(*value))).take(FILE_NUMBERS)
}

/// A file whose name is removed at once, so that nothing of it is left even if the process is killed.
#[inline(never)]
fn make_nameless(folder: &Path, goroutine: u64) -> io::Result<File> {
    let process = std::process::id();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    for attempt in 0..ATTEMPTS {
        let path = folder.join(format!("corefit-file_io-{process}-{goroutine}-{attempt}"));
        match options.open(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[inline(never)]
fn write_file(mut file: &File, content: &[u8], sync: bool) -> io::Result<()> {
    file.write_all(content)?;
    if sync { file.sync_data() } else { Ok(()) }
}

/// All that is in `file`, which is closed.
#[inline(never)]
fn read_back(mut file: File) -> io::Result<Vec<u8>> {
    let mut found = Vec::with_capacity(FILE_NUMBERS * size_of::<u64>());
    file.rewind()?;
    file.read_to_end(&mut found)?;
    Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;
    use std::os::unix::fs::MetadataExt;

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
    fn files_have_no_name_and_are_not_confused() {
        let folder = std::env::temp_dir();
        let (one, other) = (make_nameless(&folder, 99).unwrap(), make_nameless(&folder, 99).unwrap());
        assert_eq!((one.metadata().unwrap().nlink(), other.metadata().unwrap().nlink()), (0, 0));
        write_file(&one, b"one", false).unwrap();
        write_file(&other, b"other", true).unwrap();
        assert_eq!(
            (read_back(one).unwrap(), read_back(other).unwrap()),
            (b"one".to_vec(), b"other".to_vec())
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert_eq!(make_nameless(Path::new("/no/such/folder"), 0).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
