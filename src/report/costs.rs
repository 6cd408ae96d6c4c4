//! What `costs` found, for people: memory, times, and the claims beside them.

use comfy_table::Table;
use owo_colors::OwoColorize;

use super::number::{bytes, seconds};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::costs::claims::grouped;
use crate::costs::{Claim, Kind, Row, Spread, Verdict};

/// The whole of it, measured in `rounds` rounds. Ends with a line end.
#[must_use]
pub fn text(rows: &[Row], claims: &[Claim], remarks: &[String], rounds: usize) -> String {
    let mut memory = plain(["memory", "alive", "resident", "page tables", "kernel", "address space"]);
    let mut time = plain(["time", "alive", "create", "end", "spawn + join", "switch"]);
    for (index, row) in rows.iter().enumerate() {
        let is_first = index == 0 || rows[index - 1].kind != row.kind;
        let name = if is_first { name(row.kind) } else { "" };
        memory.add_row(memory_cells(name, row));
        time.add_row(time_cells(name, row));
    }
    let mut text = String::new();
    for table in [&mut memory, &mut time] {
        push(&mut text, table);
    }
    text.push_str(&paragraph("", &how(rounds)));
    for remark in remarks {
        text.push_str(&paragraph("  - ", remark));
    }
    text.push_str(&format!("\n{}\n", "what is said, and what is so here".bold()));
    for claim in claims {
        text.push_str(&paragraph(verdict(claim.verdict), &format!("{}: {}", claim.claim, claim.measured)));
    }
    text
}

fn push(text: &mut String, table: &mut Table) {
    right(table, 1..=5);
    text.push_str(&table_text(table));
    text.push_str("\n\n");
}

fn how(rounds: usize) -> String {
    let runs = match rounds {
        1 => "One run, a process of its own for each figure".to_owned(),
        _ => format!(
            "Medians of {rounds} runs, each a process of its own; ± is half of what the middle half of the runs spans"
        ),
    };
    format!(
        "{runs}. `create` is on fresh memory, `spawn + join` on reused. \
         A switch is a yield on one CPU (of two where one is alive). The kernel's memory is read where many are alive; \
         all figures are for one of them, and alone, one pays for what all share."
    )
}

/// What a row is of.
#[must_use]
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Goroutine => "goroutines",
        Kind::Thread => "OS threads",
    }
}

fn memory_cells(name: &str, row: &Row) -> [String; 6] {
    let figure = |spread: Option<Spread>| {
        spread.map_or_else(|| "–".to_owned(), |spread| bytes(spread.median.round() as u64))
    };
    [
        name.to_owned(),
        grouped(row.count),
        figure(row.resident_bytes),
        figure(row.page_table_bytes),
        figure(row.kernel_bytes),
        figure(row.address_bytes),
    ]
}

fn time_cells(name: &str, row: &Row) -> [String; 6] {
    let figure = |spread: Option<Spread>| spread.map_or_else(|| "–".to_owned(), with_span);
    [
        name.to_owned(),
        grouped(row.count),
        figure(row.create_s),
        figure(row.end_s),
        figure(row.spawn_join_s),
        figure(row.switch_s),
    ]
}

/// The median and half the span of the middle half of the runs: `1.50 µs ±7%`; no span of a single run.
fn with_span(spread: Spread) -> String {
    let median = seconds(spread.median);
    if spread.min == spread.max {
        return median;
    }
    format!("{median} ±{:.0}%", spread.half_span() * 100.0)
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "  holds    ",
        Verdict::Differs => "  differs  ",
        Verdict::Unknown => "  unknown  ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, count: u64) -> Row {
        let spread = |values: &[f64]| Spread::of(values);
        Row {
            kind,
            count,
            resident_bytes: spread(&[4404.4]),
            page_table_bytes: spread(&[128.0]),
            kernel_bytes: None,
            address_bytes: spread(&[2_101_248.0]),
            create_s: spread(&[1.5e-6, 1.4e-6, 1.6e-6]),
            end_s: spread(&[1.234e-5]),
            spawn_join_s: spread(&[3e-5]),
            switch_s: None,
            os_threads: spread(&[4.0]),
        }
    }

    #[test]
    fn both_tables_and_the_claims_fit_80_columns_and_say_what_was_not_measured() {
        let rows = [
            row(Kind::Goroutine, 1),
            row(Kind::Goroutine, 100_000),
            row(Kind::Thread, 1),
            row(Kind::Thread, 16_000),
        ];
        let claims = [Claim { claim: "it is so", verdict: Verdict::Holds, measured: "3 of 3".to_owned() }];
        let text = text(&rows, &claims, &["OS threads stop at 16,000".to_owned()], 3);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
        assert!(
            plain.contains("4.30 KiB") && plain.contains("1.50 µs ±7%") && plain.contains('–'),
            "{plain}"
        );
        assert_eq!(plain.matches("OS threads ").count(), 3, "named once a table, and in the remark: {plain}");
        assert!(plain.contains("  holds    it is so: 3 of 3\n"), "{plain}");
    }
}
