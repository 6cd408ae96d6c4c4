//! A sweep that is being measured, for people: the curve as it grows, who is still in play. Pure: rows in, lines out.

use super::number::{bar, percent, quantity};
use crate::results::SampleRow;
use crate::stats;
use crate::target::Procs;

/// Cells of the longest bar.
const BAR_WIDTH: usize = 24;
/// Points shown at most: more are no curve to look at.
const MOST_LINES: usize = 16;

/// How a target stands after some of its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    target: String,
    unit: String,
    round: u32,
    samples: usize,
    spots: Vec<Spot>,
}

/// One point so far.
#[derive(Clone, Debug, PartialEq)]
struct Spot {
    procs: Procs,
    /// Median; `None` if no sample succeeded.
    throughput: Option<f64>,
    samples: usize,
    failed: usize,
    /// The newest rounds visited it.
    in_play: bool,
}

impl Standing {
    /// After `rows`, in the order they were measured.
    #[must_use]
    pub fn of(target: &str, unit: &str, rows: &[SampleRow]) -> Self {
        let round = rows.iter().map(|row| row.round).max().unwrap_or(0);
        let mut points: Vec<Procs> = rows.iter().map(|row| row.procs).collect();
        points.sort_unstable();
        points.dedup();
        let spot = |procs: Procs| {
            let of_point = || rows.iter().filter(move |row| row.procs == procs);
            let mut throughputs: Vec<f64> =
                of_point().filter(|row| row.is_ok()).filter_map(|row| row.throughput).collect();
            let samples = of_point().count();
            Spot {
                procs,
                samples,
                failed: samples - throughputs.len(),
                throughput: stats::median(&mut throughputs),
                // The round that is being measured has not visited everybody yet.
                in_play: of_point().any(|row| row.round + 1 >= round),
            }
        };
        Self {
            target: target.to_owned(),
            unit: unit.to_owned(),
            round,
            samples: rows.len(),
            spots: points.into_iter().map(spot).collect(),
        }
    }

    /// How many points have been measured.
    #[must_use]
    pub fn points(&self) -> usize {
        self.spots.len()
    }

    /// The newest round.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.round
    }

    /// All in a line: `sort · round 7 · 21 samples · best so far 2 procs: 9.87 Mops/s · in play: 2, 4`.
    #[must_use]
    pub fn line(&self) -> String {
        let best = self.best().map_or_else(String::new, |best| {
            let throughput = quantity(best.throughput.unwrap_or_default(), &self.unit);
            format!(" · best so far {}: {throughput}", best.procs.phrase())
        });
        let playing: Vec<String> =
            self.spots.iter().filter(|spot| spot.in_play).map(|spot| spot.procs.to_string()).collect();
        let playing = match playing.len() {
            0 => String::new(),
            1..=8 => format!(" · in play: {}", playing.join(", ")),
            many => format!(" · {many} in play"),
        };
        format!("{} · round {} · {} samples{best}{playing}", self.target, self.round, self.samples)
    }

    /// The line above, then the curve: at most `height` lines of less than `width` columns, so that no terminal wraps them.
    #[must_use]
    pub fn view(&self, width: usize, height: usize) -> Vec<String> {
        let best = self.best();
        let most = best.and_then(|best| best.throughput).unwrap_or(1.0);
        let curve = self.shown(height.saturating_sub(1).min(MOST_LINES)).into_iter().map(|spot| {
            let mark = if best.is_some_and(|best| best.procs == spot.procs) { '→' } else { ' ' };
            let throughput = spot.throughput.map_or_else(|| "–".to_owned(), |value| quantity(value, ""));
            let bar = bar(spot.throughput.unwrap_or_default() / most, BAR_WIDTH);
            format!(
                "{mark} {:>7} {throughput:>9} {bar:<BAR_WIDTH$} {}",
                spot.procs.to_string(),
                remark(spot, most)
            )
        });
        std::iter::once(self.line()).chain(curve).take(height).map(|line| cut(&line, width)).collect()
    }

    /// The point of the highest throughput.
    fn best(&self) -> Option<&Spot> {
        let measured = self.spots.iter().filter(|spot| spot.throughput.is_some());
        measured.max_by(|a, b| a.throughput.unwrap_or_default().total_cmp(&b.throughput.unwrap_or_default()))
    }

    /// At most about `lines` points: all, or the best and an even choice.
    fn shown(&self, lines: usize) -> Vec<&Spot> {
        let stride = self.spots.len().div_ceil(lines.max(1)).max(1);
        let last = self.spots.len().saturating_sub(1);
        let best = self.best().map(|best| best.procs);
        let spots = self.spots.iter().enumerate();
        let chosen = spots.filter(|(place, spot)| {
            place.is_multiple_of(stride) || *place == last || Some(spot.procs) == best
        });
        chosen.map(|(_, spot)| spot).collect()
    }
}

/// How much is known of a point, and whether it has left.
fn remark(spot: &Spot, most: f64) -> String {
    let failed = if spot.failed > 0 { format!(", {} failed", spot.failed) } else { String::new() };
    let out = match spot.throughput {
        _ if spot.in_play => String::new(),
        Some(throughput) => format!(", out: {} below", percent(1.0 - throughput / most)),
        None => ", out".to_owned(),
    };
    let s = if spot.samples == 1 { "" } else { "s" };
    format!("{} sample{s}{failed}{out}", spot.samples)
}

/// The line with less than `width` characters.
fn cut(line: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    if line.chars().count() <= room {
        return line.trim_end().to_owned();
    }
    let kept: String = line.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(procs: u32, round: u32, throughput: Option<f64>) -> SampleRow {
        let status = if throughput.is_some() { "ok" } else { "failed" };
        SampleRow {
            procs: procs.into(),
            round,
            throughput,
            status: status.to_owned(),
            ..SampleRow::default()
        }
    }

    fn standing() -> Standing {
        let mut rows: Vec<SampleRow> =
            (1..=4).map(|procs| row(procs, 1, Some(100.0 * f64::from(procs)))).collect();
        rows.push(row(4, 2, Some(420.0)));
        rows.push(row(3, 2, None));
        rows.push(row(4, 3, Some(410.0)));
        Standing::of("app", "ops/s", &rows)
    }

    #[test]
    fn the_line_says_who_leads_and_who_is_left() {
        let expected = "app · round 3 · 7 samples · best so far 4 procs: 410 ops/s · in play: 3, 4";
        assert_eq!(standing().line(), expected);
        assert_eq!(Standing::of("app", "ops/s", &[]).line(), "app · round 0 · 0 samples");
    }

    #[test]
    fn the_curve_marks_the_best_and_says_who_is_out() {
        let view = standing().view(100, 20);
        let expected = [
            "        1       100 █████▉                   1 sample, out: 76 % below",
            "        2       200 ███████████▊             1 sample, out: 51 % below",
            "        3       300 █████████████████▌       2 samples, 1 failed",
            "→       4       410 ████████████████████████ 3 samples",
        ];
        assert_eq!(
            view[1..].iter().map(|line| line.trim_start_matches(' ')).collect::<Vec<_>>(),
            expected.map(|line| line.trim_start_matches(' '))
        );
    }

    #[test]
    fn nothing_is_wider_or_higher_than_the_terminal() {
        let rows: Vec<SampleRow> = (1..=256).map(|procs| row(procs, 1, Some(f64::from(procs)))).collect();
        let standing = Standing::of("a-target-of-a-long-name", "round trips/s", &rows);
        for (width, height) in [(1, 1), (20, 3), (50, 8), (200, 100)] {
            let view = standing.view(width, height);
            assert!(
                view.len() <= height && view.iter().all(|line| line.chars().count() < width.max(2)),
                "{view:?}"
            );
        }
        assert!(standing.view(80, 100).iter().any(|line| line.starts_with("→     256")));
    }
}
