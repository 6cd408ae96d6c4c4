//! Tables on a terminal: 80 columns where the width is unknown, no lines but a rule under the head.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

/// Columns assumed where standard output is not a terminal.
const DEFAULT_WIDTH: u16 = 80;

/// An empty table with these column heads.
#[must_use]
pub fn plain<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(heads.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    table.enforce_styling();
    if table.width().is_none() {
        table.set_width(DEFAULT_WIDTH);
    }
    table
}

/// Aligns column `index` (from 0) to the right.
pub fn right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
