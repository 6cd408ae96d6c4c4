//! Draws folded stacks as interactive SVG flame graphs, and the difference of two as one. The same input gives the same bytes.

use std::collections::BTreeMap;

use inferno::flamegraph::color::BasicPalette;
use inferno::flamegraph::{self, Options, Palette};

use super::{Error, Event, Folded, Profile, Unit};
use crate::target::Procs;

/// The two lines above a flame graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// What was measured, such as `mandelbrot at 4 procs`.
    pub title: String,
    /// How it was measured.
    pub subtitle: String,
    /// What the counts are.
    pub unit: Unit,
}

impl Title {
    /// The title of one profile: target, procs (a number or `default`), event, frequency, samples, losses.
    #[must_use]
    pub fn of(target: &str, procs: &str, profile: &Profile) -> Self {
        let word = procs.parse().map_or("procs", Procs::word);
        Self::of_any(&format!("{target} at {procs} {word}"), profile)
    }

    /// The title of a profile of `what`.
    #[must_use]
    pub fn of_any(what: &str, profile: &Profile) -> Self {
        let title = match (profile.event, profile.event.unit()) {
            (_, Unit::Samples) => what.to_owned(),
            (Event::GoroutineTrace, _) => format!("{what}: where its goroutines wait, in µs"),
            (_, Unit::Microseconds) => format!("{what}: where its threads wait, in µs"),
        };
        Self { title, subtitle: profile.provenance(), unit: profile.event.unit() }
    }

    /// The title of a differential graph.
    #[must_use]
    pub fn of_difference(target: &str, before: &str, after: &str, unit: Unit, scale: Scale) -> Self {
        let counts = match unit {
            Unit::Samples => "samples",
            Unit::Microseconds => "µs of waiting",
        };
        let scale = match scale {
            Scale::Totals => format!("both scaled to the same number of {counts}"),
            Scale::PerOp { .. } => "per op: scaled to the same number of ops".to_owned(),
        };
        Self {
            title: format!("{target}: procs from {before} to {after}"),
            subtitle: format!(
                "width: {counts} at procs {after}; red: more than at procs {before}, blue: less; {scale}"
            ),
            unit,
        }
    }
}

/// What makes two profiles comparable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Both count as the same number of samples: how the time is divided.
    Totals,
    /// Both count per operation: how the cost of one has changed.
    PerOp {
        /// Operations done while the first profile was taken.
        before_ops: f64,
        /// Operations done while the second was taken.
        after_ops: f64,
    },
}

impl Scale {
    /// Per operation where the operations of both are known, else by totals.
    #[must_use]
    pub fn of(before_ops: Option<f64>, after_ops: Option<f64>) -> Self {
        match (before_ops, after_ops) {
            (Some(before_ops), Some(after_ops)) => Self::PerOp { before_ops, after_ops },
            _ => Self::Totals,
        }
    }

    /// Factor on the counts of `before`; `None` if the numbers allow none.
    fn factor(self, before: &Folded, after: &Folded) -> Option<f64> {
        let factor = match self {
            Self::Totals => after.total() as f64 / before.total() as f64,
            Self::PerOp { before_ops, after_ops } => after_ops / before_ops,
        };
        (factor.is_finite() && factor > 0.0).then_some(factor)
    }
}

/// A flame graph as an SVG document.
///
/// # Errors
/// [`Error::NothingToDraw`] if there is no stack.
pub fn svg(folded: &Folded, title: &Title) -> Result<Vec<u8>, Error> {
    if folded.is_empty() {
        return Err(Error::NothingToDraw);
    }
    let lines = folded.iter().map(|(frames, count)| format!("{} {count}", frames.join(";"))).collect();
    draw(lines, title)
}

/// A differential flame graph: frames as wide as in `after`, red where it has more samples than `before`, blue where less.
///
/// # Errors
/// [`Error::NothingToDraw`] if one of the two has no stack; [`Error::NoScale`] if the operations are not positive numbers.
pub fn diff_svg(before: &Folded, after: &Folded, scale: Scale, title: &Title) -> Result<Vec<u8>, Error> {
    if before.is_empty() || after.is_empty() {
        return Err(Error::NothingToDraw);
    }
    let factor = scale.factor(before, after).ok_or(Error::NoScale)?;
    draw(differences(before, after, factor), title)
}

/// Both profiles in one text: lines `stack before after` with the counts as they are, as `difffolded.pl` writes them.
#[must_use]
pub fn diff_folded(before: &Folded, after: &Folded) -> String {
    differences(before, after, 1.0).into_iter().map(|line| line + "\n").collect()
}

/// Lines `stack before after`, sorted by frames, the counts of `before` multiplied by `factor`.
///
/// Counts are whole, and rounding each would lose the many stacks seen once or twice. So what is rounded is the sum of all counts
/// up to each stack: as the stacks of a frame are neighbours, the count of every frame is right to within one sample.
fn differences(before: &Folded, after: &Folded, factor: f64) -> Vec<String> {
    let mut both = BTreeMap::<&[String], (u64, u64)>::new();
    for (frames, count) in before.iter() {
        both.entry(frames).or_default().0 = count;
    }
    for (frames, count) in after.iter() {
        both.entry(frames).or_default().1 = count;
    }
    let mut seen = 0;
    both.into_iter()
        .map(|(frames, (first, second))| {
            let begin = scaled(seen, factor);
            seen += first;
            format!("{} {} {second}", frames.join(";"), scaled(seen, factor) - begin)
        })
        .collect()
}

/// Rounded; a number too large for the integer becomes its largest value.
fn scaled(count: u64, factor: f64) -> u64 {
    (count as f64 * factor).round() as u64
}

/// Draws lines that are sorted by frames.
fn draw(mut lines: Vec<String>, title: &Title) -> Result<Vec<u8>, Error> {
    let mut options = Options::default();
    options.title.clone_from(&title.title);
    options.subtitle = Some(title.subtitle.clone());
    options.count_name = title.unit.name().into();
    if title.unit == Unit::Microseconds {
        // Cold colours for time off the CPU, as is the custom.
        options.colors = Palette::Basic(BasicPalette::Aqua);
    }
    // Colours by name, not by chance.
    options.deterministic = true;
    // inferno would sort by characters, where `fold1` comes between `fold` and `fold;push`, and draw the frame `fold` twice. As a
    // flame chart it keeps the order, but takes it backwards.
    options.flame_chart = true;
    lines.reverse();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(|source| Error::Draw { source })?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title() -> Title {
        Title { title: "sort at 2 procs".into(), subtitle: "cpu-clock at 997 Hz".into(), unit: Unit::Samples }
    }

    fn text(svg: Result<Vec<u8>, Error>) -> String {
        String::from_utf8(svg.unwrap()).unwrap()
    }

    /// The `<title>` texts of the frames, which the viewer shows on hovering.
    fn frames(svg: &str) -> Vec<&str> {
        svg.split("<title>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</title>"))
            .map(|(title, _)| title)
            .collect()
    }

    fn colour<'a>(svg: &'a str, name: &str) -> &'a str {
        let (_, rest) = svg.split_once(&format!("<title>{name} (")).unwrap();
        let (_, rest) = rest.split_once("fill=\"rgb(").unwrap();
        rest.split_once(')').unwrap().0
    }

    #[test]
    fn a_graph_has_titles_names_and_counts() {
        let folded = Folded::parse("main;quick<T> 30\nmain;merge 10\n").unwrap();
        let svg = text(self::svg(&folded, &title()));
        assert!(svg.contains("sort at 2 procs") && svg.contains("cpu-clock at 997 Hz"));
        let frames = frames(&svg);
        assert!(frames.contains(&"quick&lt;T&gt; (30 samples, 75.00%)"), "{frames:?}");
        assert!(frames.contains(&"main (40 samples, 100.00%)"), "{frames:?}");
    }

    #[test]
    fn the_same_profile_is_drawn_with_the_same_bytes() {
        let folded = Folded::parse("main;a 3\nmain;b 1\n").unwrap();
        assert_eq!(text(svg(&folded, &title())), text(svg(&folded, &title())));
    }

    #[test]
    fn a_frame_is_drawn_once_though_another_name_sorts_between() {
        let folded = Folded::parse("a;c 1\na b 1\na 1\n").unwrap();
        let svg = text(self::svg(&folded, &title()));
        assert_eq!(frames(&svg).iter().filter(|frame| frame.starts_with("a (")).count(), 1);
    }

    #[test]
    fn no_stack_is_an_error_and_not_an_empty_graph() {
        assert!(matches!(svg(&Folded::default(), &title()), Err(Error::NothingToDraw)));
        let some = Folded::parse("a 1").unwrap();
        for (before, after) in [(&some, &Folded::default()), (&Folded::default(), &some)] {
            assert!(matches!(diff_svg(before, after, Scale::Totals, &title()), Err(Error::NothingToDraw)));
        }
    }

    #[test]
    fn growth_is_red_and_shrinking_is_blue() {
        let before = Folded::parse("main;lock 10\nmain;work 90\n").unwrap();
        let after = Folded::parse("main;lock 60\nmain;work 40\n").unwrap();
        let svg = text(diff_svg(&before, &after, Scale::Totals, &title()));
        assert!(colour(&svg, "lock").starts_with("255,"), "{}", colour(&svg, "lock"));
        assert!(colour(&svg, "work").ends_with(",255"), "{}", colour(&svg, "work"));
        assert!(
            frames(&svg).iter().any(|frame| frame.starts_with("lock (60 samples, 60.00%; +50.00%")),
            "{svg}"
        );
    }

    #[test]
    fn twice_the_samples_for_twice_the_ops_are_no_change() {
        let before = Folded::parse("main;work 7\n").unwrap();
        let after = Folded::parse("main;work 14\n").unwrap();
        let scale = Scale::PerOp { before_ops: 1000.0, after_ops: 2000.0 };
        assert_eq!(differences(&before, &after, scale.factor(&before, &after).unwrap()), ["main;work 14 14"]);
    }

    #[test]
    fn many_rare_stacks_keep_their_sum_when_scaled_down() {
        let mut before = Folded::default();
        for name in 'a'..='j' {
            before.add(vec!["main".into(), "rare".into(), name.into()], 1);
        }
        let after = Folded::parse("main;rare;a 4").unwrap();
        let lines = differences(&before, &after, Scale::Totals.factor(&before, &after).unwrap());
        let kept: u64 =
            lines.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(kept, 4);
    }

    #[test]
    fn ops_that_are_no_numbers_are_refused() {
        let some = Folded::parse("a 1").unwrap();
        for (before_ops, after_ops) in [(0.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let scale = Scale::PerOp { before_ops, after_ops };
            assert!(matches!(diff_svg(&some, &some, scale, &title()), Err(Error::NoScale)));
        }
    }
}
