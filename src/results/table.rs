//! Any CSV, or what hyperfine exports, as a table of worker counts and throughputs.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::Error;
use super::fault::Fault;
use super::hyperfine;
use crate::quote;
use crate::target::Procs;

/// Which columns hold what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The worker count.
    pub procs: String,
    /// The throughput.
    pub throughput: String,
    /// The latency, seconds, if one is asked for.
    pub latency: Option<String>,
}

/// The usable rows of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What the column `target` says; `None` without that column.
    pub target: Option<String>,
    /// Its rows, in the order of the file; not empty.
    pub rows: Vec<TableRow>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableRow {
    /// Worker count or average concurrency; positive and finite. `None`: none was set, as `default` in the column says.
    pub procs: Option<f64>,
    /// Positive and finite.
    pub throughput: f64,
    /// Seconds, positive and finite; `None` without that column or where the field is empty.
    pub latency_s: Option<f64>,
    /// What the column `round` says; `None` without that column or where the field is empty.
    pub round: Option<u32>,
}

/// Reads the CSV at `path`: one table for each value of a column `target`, in the order they appear; one in all without
/// that column. Never empty.
///
/// What `hyperfine --export-json` wrote is read too: a run is one operation, the parameter is the worker count.
///
/// Rows whose `status` is not `ok`, where there is such a column, and rows without a throughput are skipped.
///
/// # Errors
/// [`Error::Input`]: the file cannot be read, a column is missing (the text names those there are), no row is left, or
/// a row is unusable: the text names file, line and column.
pub fn table(path: &Path, columns: &Columns) -> Result<Vec<Table>, Error> {
    let fail = |why: String| Error::Input(format!("cannot use `{}`: {why}", quote::path(path)));
    let text = read_to(MOST_BYTES, path).map_err(|error| fail(error.to_string()))?;
    if hyperfine::is_json(&text) {
        return hyperfine::tables(&text, columns).map_err(fail);
    }
    let mut reader = ReaderBuilder::new().from_reader(text.as_slice());
    let header = reader.byte_headers().map_err(|error| Fault::of(&error).at(path, &text, 0))?.clone();
    let places = Places::find(&header, columns).map_err(fail)?;

    let mut tables = Tables::default();
    let mut record = ByteRecord::new();
    loop {
        let start = reader.position().byte();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(Fault::of(&error).at(path, &text, start)),
        }
        let row = places.row(&record, columns).map_err(|fault| fault.at(path, &text, start))?;
        if let Some(row) = row {
            tables.add(places.target.map(|place| field(&record, place)), row);
        }
    }
    if tables.tables.is_empty() {
        return Err(fail("no row has a throughput".to_owned()));
    }
    Ok(tables.tables)
}

/// Most bytes of a table, about 15 million rows: a device that never ends must not take all memory.
const MOST_BYTES: u64 = 512 << 20;

fn read_to(most: u64, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut text = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(most)).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {} MiB; take fewer rows", most >> 20)));
    }
    Ok(text)
}

/// The tables by target, in the order they appear.
#[derive(Default)]
struct Tables {
    tables: Vec<Table>,
    /// By what the column says (nothing without one), the place in `tables`.
    places: HashMap<Vec<u8>, usize>,
}

impl Tables {
    fn add(&mut self, target: Option<&[u8]>, row: TableRow) {
        let key = target.unwrap_or_default();
        if let Some(place) = self.places.get(key) {
            self.tables[*place].rows.push(row);
            return;
        }
        self.places.insert(key.to_owned(), self.tables.len());
        let target = target.map(|target| String::from_utf8_lossy(target).into_owned());
        self.tables.push(Table { target, rows: vec![row] });
    }
}

/// Where in a record each column is.
struct Places {
    procs: usize,
    throughput: usize,
    latency: Option<usize>,
    status: Option<usize>,
    round: Option<usize>,
    target: Option<usize>,
}

impl Places {
    fn find(header: &ByteRecord, columns: &Columns) -> Result<Self, String> {
        let find = |name: &str| header.iter().position(|column| column.trim_ascii() == name.as_bytes());
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                let name = quote::one_line(name);
                if header.is_empty() {
                    "it is empty".to_owned()
                } else {
                    format!("no column `{name}`; {}{}", known(header), separator(header))
                }
            })
        };
        for name in [Some(&columns.procs), Some(&columns.throughput), columns.latency.as_ref()] {
            let Some(name) = name else { continue };
            if header.iter().filter(|column| column.trim_ascii() == name.as_bytes()).count() > 1 {
                return Err(format!("more than one column is called `{}`", quote::one_line(name)));
            }
        }
        Ok(Self {
            procs: need(&columns.procs)?,
            throughput: need(&columns.throughput)?,
            latency: columns.latency.as_deref().map(need).transpose()?,
            status: find("status"),
            round: find("round"),
            target: find("target"),
        })
    }

    /// The sample in `record`; `None` if the row is to be skipped.
    fn row(&self, record: &ByteRecord, columns: &Columns) -> Result<Option<TableRow>, Fault> {
        let throughput = field(record, self.throughput);
        if throughput.is_empty() || self.status.is_some_and(|place| field(record, place) != b"ok") {
            return Ok(None);
        }
        let round = self.round.map(|place| field(record, place)).filter(|round| !round.is_empty());
        let latency = columns.latency.as_deref().zip(self.latency.map(|place| field(record, place)));
        Ok(Some(TableRow {
            procs: match field(record, self.procs) {
                name if Procs::is_default_name(name) => None,
                count => Some(positive(&columns.procs, count)?),
            },
            throughput: positive(&columns.throughput, throughput)?,
            latency_s: latency
                .filter(|(_, latency)| !latency.is_empty())
                .map(|(column, latency)| positive(column, latency))
                .transpose()?,
            round: round.map(whole).transpose()?,
        }))
    }
}

/// The columns there are, as far as they are worth reading.
fn known(header: &ByteRecord) -> String {
    const SHOWN: usize = 20;
    let names = header
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", quote::one_line(&String::from_utf8_lossy(name))));
    let names: Vec<String> = names.collect();
    let more = if header.len() > SHOWN { " and more" } else { "" };
    format!("it has {}{more}", quote::one_line(&names.join(", ")))
}

/// What to do about a header that other separators cut.
fn separator(header: &ByteRecord) -> &'static str {
    let is_other = |column: &[u8]| column.contains(&b';') || column.contains(&b'\t');
    if header.len() == 1 && header.iter().any(is_other) { "; separate the fields by commas" } else { "" }
}

/// A field without the blanks around it.
fn field(record: &ByteRecord, place: usize) -> &[u8] {
    record.get(place).unwrap_or_default().trim_ascii()
}

fn positive(column: &str, field: &[u8]) -> Result<f64, Fault> {
    let number = std::str::from_utf8(field).ok().and_then(|text| text.parse::<f64>().ok());
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| not_a("positive number", column, field))
}

fn whole(field: &[u8]) -> Result<u32, Fault> {
    let number = std::str::from_utf8(field).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| not_a("whole number", "round", field))
}

fn not_a(what: &str, column: &str, field: &[u8]) -> Fault {
    Fault::in_column(
        column,
        format!("`{}` is not a {what}", quote::one_line(&String::from_utf8_lossy(field))),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        refused(b"procs,throughput,throughput\n1,5,7\n", &["more than one column", "`throughput`"]);
    }

    #[test]
    fn other_separators_are_refused_with_advice() {
        refused(b"procs;throughput\n1;5\n", &["no column `procs`", "separate the fields by commas"]);
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_after_what_fits() {
        let error = read_to(1 << 20, Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 1 MiB; take fewer rows");
    }

    fn read(text: &[u8], columns: &Columns) -> Result<Vec<Table>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        table(file.path(), columns)
    }

    fn columns(procs: &str, throughput: &str, latency: Option<&str>) -> Columns {
        Columns {
            procs: procs.to_owned(),
            throughput: throughput.to_owned(),
            latency: latency.map(str::to_owned),
        }
    }

    fn usual() -> Columns {
        columns("procs", "throughput", None)
    }

    /// Worker counts and throughputs of the one table in `text`.
    #[track_caller]
    fn check(text: &[u8], expected: &[(f64, f64)]) {
        let tables = read(text, &usual()).unwrap();
        assert_eq!(tables.len(), 1);
        let rows: Vec<(f64, f64)> =
            tables[0].rows.iter().map(|row| (row.procs.unwrap(), row.throughput)).collect();
        assert_eq!(rows, expected);
    }

    #[track_caller]
    fn refused(text: &[u8], parts: &[&str]) {
        let error = read(text, &usual()).expect_err("it has to be refused");
        let line = error.to_string();
        assert!(
            error.exit_code() == 2 && !line.contains('\n') && parts.iter().all(|part| line.contains(part)),
            "{line}"
        );
    }

    #[test]
    fn any_positive_number_is_a_worker_count_and_equal_ones_are_samples() {
        check(b"procs,throughput\n1,100\n1,110\n2.5,1e3\n", &[(1.0, 100.0), (1.0, 110.0), (2.5, 1000.0)]);
    }

    #[test]
    fn what_spreadsheets_and_other_systems_write_is_read() {
        check(b"\xef\xbb\xbfprocs,throughput\r\n1,100\r\n\r\n2,190\r\n", &[(1.0, 100.0), (2.0, 190.0)]);
        check(b" procs , throughput \n 1 ,\"100\"\n2,190", &[(1.0, 100.0), (2.0, 190.0)]);
        check(b"name,throughput,procs\n\xff\xfe,100,1\n", &[(1.0, 100.0)]);
    }

    #[test]
    fn a_row_without_a_worker_count_says_default() {
        let tables = read(b"procs,throughput\n1,1\ndefault,2\n", &usual()).unwrap();
        let procs: Vec<Option<f64>> = tables[0].rows.iter().map(|row| row.procs).collect();
        assert_eq!(procs, [Some(1.0), None]);
        refused(b"procs,throughput\nDefault,1\n", &["line 2", "`procs`", "`Default`"]);
    }

    #[test]
    fn failed_samples_and_empty_throughputs_are_skipped() {
        let text = b"procs,status,throughput\n1,ok,100\n2,failed,\n3,timeout,x\n4,ok,\n";
        check(text, &[(1.0, 100.0)]);
    }

    #[test]
    fn an_unusable_row_is_refused_with_file_line_and_column() {
        refused(b"procs,throughput\n1,abc\n", &["line 2", "`throughput`", "`abc`"]);
        refused(b"procs,throughput\n1,1\n\n0,1\n", &["line 4", "`procs`", "`0`"]);
        for bad in ["-1", "nan", "inf", "1e999", "", "1 000", "0x1"] {
            refused(format!("procs,throughput\n{bad},1\n").as_bytes(), &["line 2", "`procs`"]);
        }
        refused(b"procs,throughput\r\n1,1\r\n0,1\r\n", &["line 3", "`procs`"]);
        refused(b"procs,throughput\n1,1\n2\n", &["line 3", "1 fields where the header has 2"]);
        refused(b"procs,throughput\n1,1,1\n", &["line 2", "3 fields"]);
        refused(b"procs,throughput\n1,\xff\n", &["line 2", "`throughput`"]);
        refused(b"procs,throughput,round\n1,1,x\n", &["line 2", "`round`"]);
    }

    #[test]
    fn a_missing_column_is_an_error_that_names_those_there_are() {
        refused(b"threads,rps\n1,1\n", &["`procs`", "`threads`, `rps`"]);
        refused(b"procs;throughput\n1;1\n", &["`procs;throughput`"]);
        refused(&b"a\x1b[31m\n".repeat(3), &["\\u{1b}"]);
        refused(&[0; 10_000], &["no column"]);
        refused(&b"x,".repeat(5000), &["and more"]);
        refused(b"", &["empty"]);
        refused(b"procs,throughput\n", &["no row"]);
        refused(b"procs,throughput\n1,\n", &["no row"]);
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        for path in ["/no/such.csv", "/"] {
            let error = table(Path::new(path), &usual()).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn columns_go_by_the_names_that_are_given() {
        let columns = columns("load", "rate", Some("p99"));
        let tables = read(b"rate,load,p99,round\n50,0.5,0.01,1\n60,1,,2\n", &columns).unwrap();
        let expected = [
            TableRow { procs: Some(0.5), throughput: 50.0, latency_s: Some(0.01), round: Some(1) },
            TableRow { procs: Some(1.0), throughput: 60.0, latency_s: None, round: Some(2) },
        ];
        assert_eq!(tables, [Table { target: None, rows: expected.to_vec() }]);
    }

    #[test]
    fn targets_are_tables_of_their_own() {
        let tables = read(b"target,procs,throughput\nb,1,1\na,1,2\nb,2,3\n", &usual()).unwrap();
        let shape: Vec<(Option<&str>, usize)> =
            tables.iter().map(|table| (table.target.as_deref(), table.rows.len())).collect();
        assert_eq!(shape, [(Some("b"), 2), (Some("a"), 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_file_panics(text in prop::collection::vec(any::<u8>(), 0..200), is_table in any::<bool>()) {
            let head: &[u8] = if is_table { b"procs,throughput\n" } else { b"" };
            if let Err(error) = read(&[head, &text].concat(), &usual()) {
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }
}
