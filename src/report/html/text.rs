//! Text and figures in HTML: whatever a target or a command is called stays text, and a figure carries its exact value.

use super::super::number;

/// `text` as HTML, in elements and in quoted attributes. Control characters, and those that turn the direction of writing,
/// are spelled out: a name is not to draw something else than it is.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.extend(c.escape_unicode()),
            c if c.is_control() => safe.extend(c.escape_debug()),
            c => safe.push(c),
        }
    }
    safe
}

/// JSON as it may stand in an element: what could end that, and what turns the direction of writing, is spelled otherwise and
/// reads the same.
pub(super) fn json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        match c {
            '<' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// `text`, which is written for a terminal, with what stands between backticks as code.
pub(super) fn sentence(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd backtick is one.
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let part = |(place, part): (usize, &&str)| match place % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(part).collect()
}

/// The same as a sentence of its own: with a capital, unless it begins with a name.
pub(super) fn statement(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_lowercase() && (second.is_lowercase() || second == ' ') => {
            sentence(&format!("{}{}", first.to_uppercase(), chars.as_str()))
        }
        _ => sentence(text),
    }
}

/// The fewest digits that read back to the same bits.
pub(super) fn exact(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:?}") }
}

/// A figure in a sentence: what people read, and the exact value of which column of `summary.csv` it is.
pub(super) fn figure(column: &str, value: f64, text: &str) -> String {
    format!("<data data-column=\"{column}\" value=\"{}\">{}</data>", exact(value), escape(text))
}

/// A cell of a table with a figure of `column`, or the dash of what was not measured.
pub(super) fn cell(column: &str, value: Option<f64>, unit: Unit<'_>) -> String {
    match value {
        Some(value) => format!(
            "<td data-column=\"{column}\" data-value=\"{}\">{}</td>",
            exact(value),
            escape(&unit.text(value))
        ),
        None => format!("<td class=\"none\" data-column=\"{column}\">–</td>"),
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit<'a> {
    /// This many of that a second, or whatever the target's unit is.
    Rate(&'a str),
    /// Seconds.
    Seconds,
    /// A share, shown as per cent.
    Share,
    /// A ratio, shown as `1.98×`.
    Times,
    /// Bytes.
    Bytes,
    /// CPUs.
    Cpus,
    /// A plain number of things that the label names.
    Count,
}

/// How an axis shows its values: divided by `factor`, under `label`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) factor: f64,
    pub(super) label: String,
}

impl Unit<'_> {
    /// The value with its unit.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Rate(unit) => number::quantity(value, unit),
            Self::Seconds => number::seconds(value),
            Self::Share => number::percent(value),
            Self::Times => number::times(value),
            Self::Bytes => number::bytes(value.max(0.0) as u64),
            Self::Cpus if value == 1.0 => "1 CPU".to_owned(),
            Self::Cpus => format!("{value} CPUs"),
            Self::Count => number::count(value),
        }
    }

    /// The axis for values up to `largest`.
    pub(super) fn axis(self, largest: f64) -> Axis {
        let (factor, label) = match self {
            Self::Rate(unit) => {
                let (factor, prefix) = number::prefix(largest);
                (factor, format!("{prefix}{unit}"))
            }
            Self::Seconds => {
                let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
                let fitting = units.into_iter().find(|(factor, _)| largest >= *factor);
                let (factor, unit) = fitting.unwrap_or((1e-9, "ns"));
                (factor, unit.to_owned())
            }
            Self::Share => (0.01, "%".to_owned()),
            Self::Times => (1.0, "×".to_owned()),
            Self::Bytes => (f64::from(1 << 20), "MiB".to_owned()),
            Self::Cpus => (1.0, "CPUs".to_owned()),
            Self::Count => (1.0, String::new()),
        };
        Axis { factor, label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escape("<script>'&\"</script>"), "&lt;script&gt;&#39;&amp;&quot;&lt;/script&gt;");
        assert_eq!(escape("a\u{1b}[31m\u{202e}b\nc"), "a\\u{1b}[31m\\u{202e}b\nc");
    }

    #[test]
    fn json_does_not_end_its_element_and_reads_the_same() {
        let text = json("[\"</script>\u{202e}é\"]");
        assert_eq!(text, "[\"\\u003c/script>\\u202eé\"]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), ["</script>\u{202e}é"]);
    }

    #[test]
    fn what_is_quoted_is_code_and_still_text() {
        assert_eq!(sentence("add `--x <y>` now"), "add <code>--x &lt;y&gt;</code> now");
        assert_eq!(sentence("an odd ` is one"), "an odd ` is one");
    }

    #[test]
    fn a_statement_begins_with_a_capital() {
        assert_eq!(statement("the load is 1"), "The load is 1");
        assert_eq!(statement("`x` is 1"), "<code>x</code> is 1");
        assert_eq!(statement("a b"), "A b");
        assert_eq!((statement(""), statement("µ")), (String::new(), "µ".to_owned()));
    }

    #[test]
    fn figures_keep_every_digit() {
        for value in [0.1, 67.0, 1e300, 1e-7, 44.192435131860506] {
            assert_eq!(exact(value).parse::<f64>().unwrap(), value);
        }
        assert_eq!(exact(67.0), "67");
    }

    #[test]
    fn an_axis_has_one_prefix_for_all() {
        let axis = Unit::Rate("ops/s").axis(1_500_000.0);
        assert_eq!(axis, Axis { factor: 1e6, label: "Mops/s".to_owned() });
        assert_eq!(Unit::Seconds.axis(0.002).label, "ms");
        assert_eq!(Unit::Seconds.axis(2e-9).label, "ns");
    }
}
