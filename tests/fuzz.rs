//! Readers of what others write, fed with what nobody would: no panic, and one line for whatever is refused.
//!
//! A mutation of the inputs in `tests/corpus`, for a few hundred inputs a reader; for `COREFIT_FUZZ_S` seconds in all where
//! that is set (`scripts/fuzz`). What fails is kept as `tests/corpus/<reader>/failed-…` and printed with its seed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corefit::cli;
use corefit::plan::{Policy, ProcsSpec, Rounds, parse_duration};
use corefit::quote::one_line;
use corefit::results::{self, Columns};

/// Inputs for each reader without a time.
const CASES: u32 = 100;
/// Inputs between two looks at the clock.
const BATCH: u32 = 50;
/// Longest input, bytes.
const LONGEST: usize = 4096;

/// A reader: its name, which is that of its corpus, and what reads an input in an empty folder and gives what it says of
/// it, if it refuses it.
type Reader = (&'static str, fn(&[u8], &Path) -> Option<String>);

const READERS: [Reader; 9] = [
    ("args", args),
    ("config", config),
    ("table", table),
    ("journal", journal),
    ("manifest", manifest),
    ("result", result),
    ("procs", |bytes, _| text(bytes).parse::<ProcsSpec>().err().map(|error| one_line(&error.to_string()))),
    ("policy", |bytes, _| text(bytes).parse::<Policy>().err().map(|error| one_line(&error.to_string()))),
    ("number", number),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line an argument.
fn args(bytes: &[u8], _: &Path) -> Option<String> {
    let words = bytes.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    // A file that never ends, or waits for a writer, is read elsewhere.
    let words = words.filter(|word| !word.to_string_lossy().contains("config"));
    said(cli::parse_from(&[OsString::from("corefit")].into_iter().chain(words).collect::<Vec<_>>()))
}

fn config(bytes: &[u8], folder: &Path) -> Option<String> {
    let file = folder.join("corefit.toml");
    fs::write(&file, bytes).expect("the folder can be written");
    let words =
        ["corefit", "sweep", "--config"].map(OsString::from).into_iter().chain([file.into_os_string()]);
    said(cli::parse_from(&words.collect::<Vec<_>>()))
}

fn said(parsed: Result<cli::Cli, cli::Error>) -> Option<String> {
    match parsed.err()? {
        cli::Error::Clap(error) => error.use_stderr().then(|| cli::usage_line(&error)),
        cli::Error::Config(line) => Some(line),
    }
}

fn table(bytes: &[u8], folder: &Path) -> Option<String> {
    let file = folder.join("t.csv");
    fs::write(&file, bytes).expect("the folder can be written");
    let columns = Columns {
        procs: "procs".to_owned(),
        throughput: "throughput".to_owned(),
        latency: Some("p99".to_owned()),
    };
    results::table(&file, &columns).err().map(|error| error.to_string())
}

fn journal(bytes: &[u8], folder: &Path) -> Option<String> {
    let manifest = fs::read(corpus("manifest").join("usual.json")).expect("the corpus has it");
    fs::write(folder.join("sweep.json"), manifest).expect("the folder can be written");
    fs::write(folder.join("samples.csv"), bytes).expect("the folder can be written");
    results::load(folder).err().map(|error| error.to_string())
}

fn manifest(bytes: &[u8], folder: &Path) -> Option<String> {
    fs::write(folder.join("sweep.json"), bytes).expect("the folder can be written");
    fs::write(folder.join("samples.csv"), "").expect("the folder can be written");
    results::load(folder).err().map(|error| error.to_string())
}

fn result(bytes: &[u8], _: &Path) -> Option<String> {
    let mut remarks = Vec::new();
    if let Some(report) = corefit::measure::read_report(bytes, &mut remarks) {
        let numbers = report.ops.into_iter().chain(report.elapsed_s);
        let numbers = numbers.chain(report.latency_s.into_values()).chain(report.runtime.into_values());
        numbers.for_each(|number| assert!(number.is_finite() && number >= 0.0, "{number}"));
    }
    (!remarks.is_empty()).then(|| remarks.join(" "))
}

fn number(bytes: &[u8], _: &Path) -> Option<String> {
    let text = text(bytes);
    let rounds = text.parse::<Rounds>().err().map(|error| error.to_string());
    let duration = parse_duration(&text).err().map(|error| error.to_string());
    duration.and(rounds).map(|line| one_line(&line))
}

fn corpus(reader: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(reader)
}

/// The inputs kept for a reader, by name.
fn inputs(reader: &str) -> Vec<Vec<u8>> {
    let folder = corpus(reader);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a file of the corpus")).collect()
}

/// Words that readers look at.
const WORDS: [&str; 40] = [
    "--",
    "=",
    ",",
    "\n",
    "\"",
    "'",
    "{procs}",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "4096",
    "18446744073709551616",
    "..",
    "1..8",
    ":log2",
    "auto",
    "[[sweep]]",
    "command",
    "procs",
    "throughput",
    "status",
    "ok",
    "null",
    "{",
    "}",
    "[",
    "]",
    "{\"ops\":1}",
    "sweep",
    "--procs",
    "--metric",
    "ms",
    "knee=",
    "p99<=",
    "\u{1b}[31m",
    "\0",
    "é",
    "\u{feff}",
];

/// One to eight changes of `input`, each of a byte, a part, or by a word or a part of `other`.
fn mutated(input: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..=8) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..16)).min(bytes.len());
        match random.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].bytes())),
            4 => drop(bytes.splice(at..end, WORDS[random.usize(..WORDS.len())].bytes())),
            5 => {
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..64)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Feeds `input` to the reader; keeps it and fails if that panics or says more than a line.
fn feed((name, read): Reader, input: &[u8], folder: &Path, seed: u64) {
    let said = panic::catch_unwind(AssertUnwindSafe(|| read(input, folder)));
    let is_fine = match &said {
        Ok(said) => said.as_ref().is_none_or(|line| !line.contains(|c: char| c.is_control())),
        Err(_) => false,
    };
    if !is_fine {
        let kept = corpus(name).join(format!("failed-{seed}"));
        fs::write(&kept, input).expect("the corpus can be written");
        panic!("`{name}` fails on {} (seed {seed}): {:?}", kept.display(), said.ok());
    }
}

#[test]
fn what_is_usual_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, read) in READERS {
        for input in inputs(name).iter().filter(|input| !input.starts_with(b"{\"ops\":1}")) {
            let said = read(input, folder.path());
            assert_eq!(said, None, "`{name}`: {}", String::from_utf8_lossy(input));
        }
    }
}

#[test]
fn no_reader_panics_whatever_it_is_given() {
    let seconds: Option<u64> =
        std::env::var("COREFIT_FUZZ_S").ok().map(|text| text.parse().expect("seconds"));
    let seed = seconds.map_or(1, |_| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let begun = Instant::now();
    let corpora: Vec<Vec<Vec<u8>>> = READERS.iter().map(|(name, _)| inputs(name)).collect();
    for (reader, inputs) in READERS.into_iter().zip(&corpora) {
        assert!(!inputs.is_empty(), "{} has a corpus", reader.0);
        inputs.iter().for_each(|input| feed(reader, input, folder.path(), seed));
    }
    let mut cases = 0u64;
    loop {
        for (reader, inputs) in READERS.into_iter().zip(&corpora) {
            for _ in 0..BATCH {
                let [one, other] = [0; 2].map(|_| &inputs[random.usize(..inputs.len())]);
                feed(reader, &mutated(one, other, &mut random), folder.path(), seed);
                cases += 1;
            }
        }
        let is_enough = match seconds {
            Some(seconds) => begun.elapsed() >= Duration::from_secs(seconds),
            None => cases >= u64::from(CASES) * READERS.len() as u64,
        };
        if is_enough {
            break;
        }
    }
    println!("{cases} inputs in {:.0} s, seed {seed}: no panic", begun.elapsed().as_secs_f64());
}
