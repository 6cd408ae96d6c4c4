//! `samples.csv`: the journal of a sweep, one row a sample, written as soon as it is measured.
//!
//! A row is written by one call, its newline last: whatever has no newline was torn by a crash. What was written before
//! stays as it is, whatever happens later.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use csv::{ReaderBuilder, StringRecord};

use super::fault::Fault;
use super::row::{COLUMNS, STATUSES, SampleRow, TEXT_COLUMNS};
use super::{Error, line};
use crate::plan::MOST_PROCS;
use crate::quote;
use crate::target::Procs;

/// Name of the file in a target's folder.
pub(super) const FILE: &str = "samples.csv";

/// Columns without which a row says nothing.
const NEEDED: [&str; 6] = ["target", "procs", "round", "order", "status", "throughput"];

/// Longest time that a written row may wait to be on the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The journal of a sweep that is being measured.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Bytes up to the end of the last whole row.
    whole_bytes: u64,
    synced: Instant,
}

impl Journal {
    /// A new journal in `folder`, with the header.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join(FILE))?;
        let mut journal = Self { file, whole_bytes: 0, synced: Instant::now() };
        journal.append_bytes(&line::fields_line(COLUMNS))?;
        Ok(journal)
    }

    /// The journal in `folder`, to be gone on with, and its rows. A torn last line is cut off.
    ///
    /// # Errors
    /// A row is unusable, or the columns are those of another version.
    pub(super) fn reopen(folder: &Path) -> Result<(Self, Vec<SampleRow>), Error> {
        let path = folder.join(FILE);
        let fail =
            |error: io::Error| Error::Input(format!("cannot go on with `{}`: {error}", quote::path(&path)));
        let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = open.map_err(fail)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(fail)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        text.truncate(whole);
        let rows = parse(&path, &text)?;
        let header = line::fields_line(COLUMNS);
        if !text.is_empty() && !text.starts_with(&header) {
            let path = quote::path(&path);
            return Err(Error::Input(format!(
                "cannot go on with `{path}`: its columns are those of another version; leave out `--resume`"
            )));
        }
        file.set_len(whole as u64).map_err(fail)?;
        let mut journal = Self { file, whole_bytes: whole as u64, synced: Instant::now() };
        if text.is_empty() {
            journal.append_bytes(&header).map_err(fail)?;
        }
        Ok((journal, rows))
    }

    /// Writes one row at once, and has it on the disk within a second of the row before.
    ///
    /// # Errors
    /// The system's; the rows before are kept.
    pub(super) fn append(&mut self, row: &SampleRow) -> io::Result<()> {
        self.append_bytes(&line::encode(row))?;
        if self.synced.elapsed() >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Has everything on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data()
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // A full disk may have taken part of the row. If even that cannot be undone, reading drops it.
            let _ = self.file.set_len(self.whole_bytes);
            return Err(error);
        }
        self.whole_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Reads the journal of a saved sweep.
///
/// # Errors
/// It cannot be read, or a row is unusable.
pub(super) fn read(folder: &Path) -> Result<Vec<SampleRow>, Error> {
    let path = folder.join(FILE);
    match std::fs::read(&path) {
        Ok(text) => parse(&path, &text),
        Err(error) => Err(Error::Input(format!("cannot read `{}`: {error}", quote::path(&path)))),
    }
}

/// The rows of a journal. A last line that has no newline and too few fields, or one that is none, was torn and is left out.
fn parse(path: &Path, text: &[u8]) -> Result<Vec<SampleRow>, Error> {
    if !text.contains(&b'\n') {
        return Ok(Vec::new());
    }
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(text);
    let header = reader.headers().map_err(|error| Fault::of(&error).at(path, text, 0))?.clone();
    if let Some(column) = NEEDED.iter().find(|needed| !header.iter().any(|column| column == **needed)) {
        return Err(Fault::whole_row(format!("there is no column `{column}`")).at(path, text, 0));
    }
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let start = reader.position().byte();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => {}
            Err(error) => return Err(Fault::of(&error).at(path, text, start)),
        }
        let is_last = reader.position().byte() == text.len() as u64;
        let may_be_torn = is_last && !text.ends_with(b"\n");
        if record.len() < header.len() && may_be_torn {
            return Ok(rows);
        }
        match row(&header, &record) {
            Ok(row) => rows.push(row),
            // Torn within its last number, as `1.2e-` of `1.2e-7`.
            Err(_torn) if may_be_torn => return Ok(rows),
            Err(fault) => return Err(fault.at(path, text, start)),
        }
    }
}

fn row(header: &StringRecord, record: &StringRecord) -> Result<SampleRow, Fault> {
    if record.len() != header.len() {
        return Err(Fault::whole_row(format!(
            "{} fields where the header has {}",
            record.len(),
            header.len()
        )));
    }
    for (column, field) in header.iter().zip(record) {
        if column == "procs" {
            check_procs(field).map_err(|why| Fault::in_column(column, why))?;
            continue;
        }
        let is_number = || field.is_empty() || field.parse().is_ok_and(f64::is_finite);
        if COLUMNS.contains(&column) && !TEXT_COLUMNS.contains(&column) && !is_number() {
            return Err(Fault::in_column(column, format!("`{}` is not a number", quote::one_line(field))));
        }
    }
    let row: SampleRow = record.deserialize(Some(header)).map_err(|error| {
        let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return Fault::of(&error) };
        let place = err.field().and_then(|place| usize::try_from(place).ok());
        let column = place.and_then(|place| header.get(place)).unwrap_or("?");
        Fault::in_column(column, err.kind().to_string())
    })?;
    if !STATUSES.contains(&row.status.as_str()) {
        return Err(Fault::in_column("status", format!("`{}` is no status", quote::one_line(&row.status))));
    }
    if row.throughput.is_some_and(|throughput| throughput <= 0.0) {
        return Err(Fault::in_column("throughput", "it is not positive".to_owned()));
    }
    Ok(row)
}

/// Whether `field` is a point of a sweep.
fn check_procs(field: &str) -> Result<(), String> {
    let procs: Procs = field.parse().map_err(|why| format!("`{}`: {why}", quote::one_line(field)))?;
    match procs.count() {
        Some(count) if !(1..=MOST_PROCS).contains(&count) => {
            Err(format!("{count} is not within 1..{MOST_PROCS}"))
        }
        _ => Ok(()),
    }
}

/// Where the journal of `folder` is, for messages.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::results::fixtures;

    fn journal_of(rows: &[SampleRow]) -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path()).unwrap();
        rows.iter().for_each(|row| journal.append(row).unwrap());
        let text = fs::read(folder.path().join(FILE)).unwrap();
        (folder, text)
    }

    #[test]
    fn the_header_is_the_contract_s_and_a_row_is_readable() {
        let (_folder, text) = journal_of(&[fixtures::row("sort", 2, 1)]);
        let text = String::from_utf8(text).unwrap();
        let (header, row) = text.split_once('\n').unwrap();
        let contract = "target,procs,round,order,status,wall_s,ops,throughput,latency_p50_s,latency_p90_s,\
            latency_p99_s,latency_p999_s,latency_max_s,user_s,sys_s,max_rss_bytes,cpu_quota,throttled_s,\
            run_queue_wait_s,task_clock_s,context_switches,cpu_migrations,page_faults,cycles,instructions,\
            cache_references,cache_misses,branches,branch_misses,goroutines,steals,parks,wakes,handoffs,preemptions,\
            sched_latency_p50_s,sched_latency_p99_s,started_unix_s,elapsed_s,exit_code,steal_s,machine,run_length_p50_s,\
            run_length_p99_s,throttled_periods,quota_periods,load_cpu_s,load_busiest_thread_s,timed_user_s,timed_sys_s,\
            timed_run_queue_wait_s,idle_lock_s,idle_channel_s,idle_io_s,idle_sleep_s,idle_slack_s,idle_critical_s,waking_s,\
            searching_s,outside_cpu_s,lock_waits,busiest_goroutine_s,goroutines_run_s,longest_run_s,\
            blocking_cpu_s,outside_wait_s";
        assert_eq!(header, contract);
        assert_eq!(row, format!("sort,2,1,1,ok,0.5,100,200{},m1,,{}\n", ",".repeat(33), ",".repeat(22)));
    }

    #[test]
    fn the_columns_are_the_fields_of_a_row() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(SampleRow::default()).unwrap();
        let text = writer.into_inner().unwrap();
        assert!(text.starts_with(&line::fields_line(COLUMNS)), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn a_row_torn_at_any_byte_is_dropped_and_cut_off() {
        let rows = [fixtures::row("sort", 1, 1), fixtures::row("sort", 2, 1)];
        let (folder, text) = journal_of(&rows);
        let (_, before) = journal_of(&rows[..1]);
        let path = folder.path().join(FILE);
        for torn in before.len()..text.len() {
            fs::write(&path, &text[..torn]).unwrap();
            let (mut journal, kept) = Journal::reopen(folder.path()).unwrap();
            assert_eq!(kept, rows[..1], "torn at {torn}");
            assert_eq!(fs::read(&path).unwrap(), before, "torn at {torn}");
            journal.append(&rows[1]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), text, "torn at {torn}");
        }
    }

    #[test]
    fn a_sample_of_the_default_is_a_row_that_reads_back() {
        let default = SampleRow { procs: Procs::Default, ..fixtures::row("sort", 1, 1) };
        let (folder, text) = journal_of(std::slice::from_ref(&default));
        assert!(String::from_utf8(text).unwrap().contains("\nsort,default,1,1,ok,"));
        assert_eq!(read(folder.path()).unwrap(), [default]);
    }

    #[test]
    fn a_torn_header_is_a_journal_without_rows() {
        let rows = [fixtures::row("sort", 1, 1)];
        let (folder, text) = journal_of(&rows);
        let header = line::fields_line(COLUMNS).len();
        for torn in 0..header {
            fs::write(folder.path().join(FILE), &text[..torn]).unwrap();
            assert_eq!(read(folder.path()).unwrap(), []);
            let (mut journal, kept) = Journal::reopen(folder.path()).unwrap();
            assert_eq!(kept, []);
            journal.append(&rows[0]).unwrap();
            assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), text, "torn at {torn}");
        }
    }

    #[test]
    fn reading_leaves_out_a_torn_row_but_not_one_that_only_lacks_its_newline() {
        let rows = [fixtures::row("sort", 1, 1), fixtures::row("sort", 2, 1)];
        let (folder, text) = journal_of(&rows);
        let path = folder.path().join(FILE);
        fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), rows);
        fs::write(&path, &text[..text.len() - 10]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), rows[..1]);
    }

    #[test]
    fn a_row_torn_at_any_byte_is_read_as_far_as_it_is_whole() {
        let last = SampleRow { run_length_p99_s: Some(1.25e-7), ..fixtures::row("sort", 2, 1) };
        let rows = [fixtures::row("sort", 1, 1), last];
        let (folder, text) = journal_of(&rows);
        let (_, before) = journal_of(&rows[..1]);
        for torn in before.len()..text.len() {
            fs::write(folder.path().join(FILE), &text[..torn]).unwrap();
            let kept = read(folder.path()).unwrap();
            assert!(kept.len() <= 2 && kept[0] == rows[0], "torn at {torn}");
        }
    }

    #[test]
    fn what_a_power_cut_left_as_zeros_is_cut_off() {
        let rows = [fixtures::row("sort", 1, 1)];
        let (folder, text) = journal_of(&rows);
        let path = folder.path().join(FILE);
        fs::write(&path, [text.as_slice(), &[0; 300]].concat()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), rows);
        let (_, kept) = Journal::reopen(folder.path()).unwrap();
        assert_eq!((kept.as_slice(), fs::read(&path).unwrap()), (&rows[..], text));
    }

    #[test]
    fn a_row_that_does_not_fit_a_full_disk_is_an_error() {
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut journal = Journal { file: full, whole_bytes: 0, synced: Instant::now() };
        let error = journal.append(&fixtures::row("sort", 1, 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[track_caller]
    fn refused(change: impl Fn(&str) -> String, parts: &[&str]) {
        let (folder, text) = journal_of(&[fixtures::row("sort", 1, 1), fixtures::row("sort", 2, 1)]);
        let path = folder.path().join(FILE);
        fs::write(&path, change(&String::from_utf8(text).unwrap())).unwrap();
        let error = read(folder.path()).expect_err("it has to be refused");
        let line = error.to_string();
        assert!(error.exit_code() == 2 && !line.contains('\n') && line.contains(FILE), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }

    #[test]
    fn an_unusable_row_is_refused_with_file_line_and_column() {
        let change = |from: &'static str, to: &'static str| move |text: &str| text.replace(from, to);
        refused(
            change("sort,2,1,1,ok,0.5,100,200", "sort,2,1,1,ok,0.5,100,abc"),
            &["line 3", "`throughput`", "`abc`"],
        );
        refused(change("sort,2,1,1,ok,0.5,100,200", "sort,2,1,1,ok,0.5,100,-1"), &["line 3", "`throughput`"]);
        refused(change("sort,2,1,1,ok,0.5,100,200", "sort,2,1,1,ok,1e999,100,200"), &["line 3", "`wall_s`"]);
        refused(change("sort,2,1,1,ok", "sort,2.5,1,1,ok"), &["line 3", "`procs`"]);
        refused(change("sort,2,1,1,ok", "sort,0,1,1,ok"), &["line 3", "`procs`"]);
        refused(change("sort,2,1,1,ok", "sort,none,1,1,ok"), &["line 3", "`procs`", "`none`"]);
        refused(change("sort,1,1,1,ok", "sort,1,1,1,fine"), &["line 2", "`status`", "`fine`"]);
        refused(
            change("sort,1,1,1,ok,", "sort,1,1,1,ok,,"),
            &["line 2", &format!("{} fields", COLUMNS.len() + 1)],
        );
        refused(
            change("sort,1,1,1,ok,", "sort,1,1,1,"),
            &["line 2", &format!("{} fields", COLUMNS.len() - 1)],
        );
        refused(change("target,procs", "target,threads"), &["line 1", "`procs`"]);
    }

    #[test]
    fn columns_of_other_versions_are_read_but_not_gone_on_with() {
        let (folder, text) = journal_of(&[fixtures::row("sort", 1, 1)]);
        let text = String::from_utf8(text).unwrap();
        let later: String =
            text.lines().zip(["new", "7"]).map(|(line, more)| format!("{line},{more}\n")).collect();
        let path = folder.path().join(FILE);
        fs::write(&path, later).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [fixtures::row("sort", 1, 1)]);
        assert!(Journal::reopen(folder.path()).unwrap_err().to_string().contains("another version"));
        fs::write(&path, "target,procs,round,order,status,throughput\nsort,1,1,1,ok,200\n").unwrap();
        assert_eq!(read(folder.path()).unwrap()[0].throughput, Some(200.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_number_reads_back_bit_for_bit(rows in prop::collection::vec(fixtures::any_row(), 1..5)) {
            let (folder, _) = journal_of(&rows);
            let again = read(folder.path()).unwrap();
            // The text of a float tells every bit of it, the sign of zero included.
            prop_assert_eq!(format!("{again:?}"), format!("{rows:?}"));
        }

        #[test]
        fn no_file_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let head = line::fields_line(COLUMNS);
            for text in [text.clone(), [head, text].concat()] {
                if let Err(error) = parse(Path::new("x"), &text) {
                    prop_assert!(!error.to_string().contains('\n'), "{}", error);
                }
            }
        }
    }
}
