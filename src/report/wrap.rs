//! Sentences on a terminal: wrapped at its width, later lines indented under the first.

/// Columns where the width is unknown; no wider than that is comfortable to read.
const WIDTH: usize = 80;

/// `text` behind `lead`, wrapped at 80 columns, indented by the lead's width. Ends with a line end.
#[must_use]
pub fn paragraph(lead: &str, text: &str) -> String {
    let indent = lead.chars().count();
    let mut lines = String::from(lead);
    let mut column = indent;
    for (index, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
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
        let wrapped = paragraph("  why: ", &text);
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH), "{wrapped}");
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("       word")), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().filter(|word| *word == "word").count(), 40);
    }

    #[test]
    fn a_word_longer_than_the_line_is_kept_whole() {
        let long = "x".repeat(100);
        assert!(paragraph("", &format!("a {long} b")).contains(&long));
    }
}
