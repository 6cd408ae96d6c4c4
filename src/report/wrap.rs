//! Sentences on a terminal: wrapped at its width, later lines indented under the first.

use std::io::stdout;

/// Columns where the width is unknown; no wider than that is comfortable to read.
const WIDTH: usize = 80;
/// Columns that are taken whatever the terminal says.
const LEAST_WIDTH: usize = 40;

/// `text` behind `lead`, wrapped at 80 columns or at the terminal's, whichever is less, indented by the lead's width. Ends
/// with a line end.
#[must_use]
pub fn paragraph(lead: &str, text: &str) -> String {
    let terminal = rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
    let width = if terminal == 0 { WIDTH } else { terminal.clamp(LEAST_WIDTH, WIDTH) };
    wrapped(lead, text, width)
}

fn wrapped(lead: &str, text: &str, limit: usize) -> String {
    let indent = lead.chars().count();
    let mut lines = String::from(lead);
    let mut column = indent;
    let mut words = text.split_whitespace().peekable();
    let mut is_first = true;
    while let Some(word) = words.next() {
        let width = word.chars().count();
        // A figure and its per cent sign stay together.
        let sign =
            words.peek().filter(|next| next.starts_with('%')).map_or(0, |next| 1 + next.chars().count());
        if !is_first && column + 1 + width + sign > limit {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
        is_first = false;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width_and_the_indent() {
        let text = "word ".repeat(40);
        let wrapped = wrapped("  why: ", &text, 60);
        assert!(wrapped.lines().all(|line| line.chars().count() <= 60), "{wrapped}");
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("       word")), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().filter(|word| *word == "word").count(), 40);
    }

    #[test]
    fn a_figure_is_not_parted_from_its_sign() {
        assert_eq!(wrapped("", "about 17 %, or so", 9), "about\n17 %, or\nso\n");
    }

    #[test]
    fn a_word_longer_than_the_line_is_kept_whole() {
        let long = "x".repeat(100);
        assert!(paragraph("", &format!("a {long} b")).contains(&long));
    }
}
