//! A row as one line of CSV.

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use serde::Serialize;

/// `row` as one line, newline included; `row`'s first field is text.
///
/// A number is written with the fewest digits that read back to the same bits, a whole one without `.0`, nothing
/// measured as nothing.
pub(super) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    let mut writer = WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row).expect("a row is flat and memory takes it");
    let line = writer.into_inner().expect("memory takes it");

    let mut record = ByteRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
    reader.read_byte_record(&mut record).expect("what was just written can be read");
    let fields = record.iter().enumerate();
    fields_line(
        fields.map(
            |(place, field)| if place == 0 { field } else { field.strip_suffix(b".0").unwrap_or(field) },
        ),
    )
}

/// `fields` as one line, newline included.
pub(super) fn fields_line<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(fields).expect("memory takes it");
    writer.into_inner().expect("memory takes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_nothing_is_nothing() {
        let row = ("1.0", Some(12.0), None::<f64>, 0.1, 1e-7, 1e300, -3, "a,b");
        assert_eq!(encode(&row), b"1.0,12,,0.1,1e-7,1e300,-3,\"a,b\"\n");
    }
}
