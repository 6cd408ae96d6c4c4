//! Tables on a terminal: 80 columns where the width is unknown, no lines but a rule under the head.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

/// Columns assumed where standard output is not a terminal.
const DEFAULT_WIDTH: u16 = 80;

/// An empty table with these column heads.
#[must_use]
pub fn plain<H: Into<Cell>>(heads: impl IntoIterator<Item = H>) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(heads.into_iter().map(|head| head.into().add_attribute(Attribute::Bold)));
    table.enforce_styling();
    if table.width().is_none() {
        table.set_width(DEFAULT_WIDTH);
    }
    table
}

/// The table as text, without the blanks that fill its lines up to their end.
#[must_use]
pub fn text(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| without_fill(&line)).collect();
    lines.join("\n")
}

/// ANSI's end of all styles.
const RESET: &str = "\u{1b}[0m";

/// Styled cells hide their blanks between ANSI's sequences, an empty one between two.
fn without_fill(line: &str) -> String {
    let mut end = line.trim_end();
    let mut is_styled = false;
    while let Some(before) = without_last_style(end) {
        is_styled = true;
        end = before.trim_end();
    }
    if is_styled { format!("{end}{RESET}") } else { end.to_owned() }
}

/// `text` without the sequence that sets a style at its end; `None` if there is none.
fn without_last_style(text: &str) -> Option<&str> {
    let (before, style) = text.strip_suffix('m')?.rsplit_once("\u{1b}[")?;
    style.bytes().all(|byte| byte.is_ascii_digit() || byte == b';').then_some(before)
}

/// Aligns column `index` (from 0) to the right.
pub fn right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_their_text_ends() {
        assert_eq!(without_fill("  a  b   "), "  a  b");
        assert_eq!(without_fill("\u{1b}[1m a \u{1b}[0m\u{1b}[1m  \u{1b}[0m  "), "\u{1b}[1m a\u{1b}[0m");
        assert_eq!(without_fill(""), "");
        assert_eq!(without_fill("item"), "item");
    }
}
