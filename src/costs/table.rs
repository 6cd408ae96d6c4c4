//! The answers, gathered over rounds: one row a kind and count.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Deed, Kind, Question};

/// A figure over the rounds. All in the figure's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Spread {
    /// The middle one; between the two middle ones of an even number.
    pub median: f64,
    /// Where the middle half begins.
    pub lower_quartile: f64,
    /// Where it ends.
    pub upper_quartile: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of `values`, in any order; `None` of none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let is_odd = !sorted.len().is_multiple_of(2);
        let median = if is_odd { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        let quarter = sorted.len() / 4;
        let (lower_quartile, upper_quartile) = (sorted[quarter], sorted[sorted.len() - 1 - quarter]);
        Some(Self { median, lower_quartile, upper_quartile, min, max })
    }

    /// Half of what the middle half spans, over the median.
    #[must_use]
    pub fn half_span(&self) -> f64 {
        (self.upper_quartile - self.lower_quartile) / 2.0 / self.median
    }
}

/// What one of `count` costs. `None`: not measured.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Row {
    /// Of what.
    pub kind: Kind,
    /// How many at once.
    pub count: u64,
    /// Resident memory of the process, bytes each.
    pub resident_bytes: Option<Spread>,
    /// Its page tables, bytes each.
    pub page_table_bytes: Option<Spread>,
    /// Kernel stacks and unreclaimable slabs, bytes each: known of the whole machine, so only where there are many.
    pub kernel_bytes: Option<Spread>,
    /// Address space, bytes each.
    pub address_bytes: Option<Spread>,
    /// From the first start to the last that runs, seconds each, on memory that was never used.
    pub create_s: Option<Spread>,
    /// From letting them go to the last join, seconds each.
    pub end_s: Option<Spread>,
    /// Started and joined in batches of `count`, again and again, seconds each.
    pub spawn_join_s: Option<Spread>,
    /// From one to the next by yielding on one CPU, seconds; of two where `count` is 1.
    pub switch_s: Option<Spread>,
    /// Threads of the process while all are alive.
    pub os_threads: Option<Spread>,
}

impl Row {
    /// Resident memory, page tables and what is known of the kernel's own, bytes each.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<f64> {
        let known = |spread: Option<Spread>| spread.map_or(0.0, |spread| spread.median);
        Some(self.resident_bytes?.median + known(self.page_table_bytes) + known(self.kernel_bytes))
    }
}

/// All rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Table {
    /// Goroutines first, then threads; the counts upwards.
    pub rows: Vec<Row>,
}

impl Table {
    /// The row of `kind` with the most at once of those that have what `figure` looks for.
    #[must_use]
    pub fn most(&self, kind: Kind, figure: impl Fn(&Row) -> Option<Spread>) -> Option<&Row> {
        let found = self.rows.iter().filter(|row| row.kind == kind && figure(row).is_some());
        found.max_by_key(|row| row.count)
    }

    /// The rows of both kinds with the most at once of what both have measured by `figure`: like against like.
    #[must_use]
    pub fn most_alike(&self, figure: impl Fn(&Row) -> Option<Spread>) -> Option<(&Row, &Row)> {
        let of = |kind| self.rows.iter().filter(move |row| row.kind == kind);
        let pairs = of(Kind::Goroutine).flat_map(|row| of(Kind::Thread).map(move |other| (row, other)));
        pairs
            .filter(|(row, other)| {
                row.count == other.count && figure(row).is_some() && figure(other).is_some()
            })
            .max_by_key(|(row, _)| row.count)
    }
}

/// Figures as they come in, round by round.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<(Kind, u64), BTreeMap<String, Vec<f64>>>);

impl Answers {
    /// One more answer to `question`.
    pub fn add(&mut self, question: &Question, figures: &BTreeMap<String, f64>) {
        let row = self.0.entry((question.kind, question.count)).or_default();
        for (name, value) in figures {
            row.entry(name.clone()).or_default().push(*value);
        }
    }

    /// The rows of the questions that were asked, answered or not.
    #[must_use]
    pub fn table(&self, questions: &[Question]) -> Table {
        let asked = questions.iter().filter(|question| question.deed == Deed::Live);
        let mut rows: Vec<Row> = asked.map(|question| self.row(question.kind, question.count)).collect();
        rows.sort_by_key(|row| (row.kind, row.count));
        Table { rows }
    }

    fn row(&self, kind: Kind, count: u64) -> Row {
        let figure = |name: &str| Spread::of(self.0.get(&(kind, count))?.get(name)?);
        Row {
            kind,
            count,
            resident_bytes: figure("resident_bytes"),
            page_table_bytes: figure("page_table_bytes"),
            kernel_bytes: figure("kernel_bytes"),
            address_bytes: figure("address_bytes"),
            create_s: figure("create_s"),
            end_s: figure("end_s"),
            spawn_join_s: figure("spawn_join_s"),
            switch_s: figure("switch_s"),
            os_threads: figure("os_threads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_of_what_was_asked_and_empty_where_nothing_came() {
        let ask = |kind, count| Question { kind, count, deed: Deed::Live };
        let questions = [ask(Kind::Thread, 1), ask(Kind::Goroutine, 1000), ask(Kind::Goroutine, 1)];
        let mut answers = Answers::default();
        for value in [3.0, 1.0, 2.0] {
            answers.add(&questions[1], &BTreeMap::from([("resident_bytes".to_owned(), value)]));
        }
        let table = answers.table(&questions);
        let order: Vec<_> = table.rows.iter().map(|row| (row.kind, row.count)).collect();
        assert_eq!(order, [(Kind::Goroutine, 1), (Kind::Goroutine, 1000), (Kind::Thread, 1)]);
        assert_eq!(table.rows[1].resident_bytes, Spread::of(&[1.0, 2.0, 3.0]));
        let spread = Spread::of(&[9.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!((spread.median, spread.lower_quartile, spread.upper_quartile), (3.0, 2.0, 4.0));
        assert_eq!((spread.min, spread.max), (1.0, 9.0));
        assert_eq!(table.rows[1].memory_bytes(), Some(2.0));
        assert_eq!((table.rows[0].resident_bytes, table.rows[0].memory_bytes()), (None, None));
        let most =
            |figure: fn(&Row) -> Option<Spread>| table.most(Kind::Goroutine, figure).map(|row| row.count);
        assert_eq!((most(|row| row.resident_bytes), most(|row| row.switch_s)), (Some(1000), None));
        assert_eq!(table.most_alike(|row| row.resident_bytes), None, "no thread was measured");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_median_lies_between_least_and_most(values in proptest::collection::vec(0.1..1e6_f64, 1..9)) {
            let spread = Spread::of(&values).unwrap();
            prop_assert!(spread.min <= spread.lower_quartile && spread.lower_quartile <= spread.median);
            prop_assert!(spread.median <= spread.upper_quartile && spread.upper_quartile <= spread.max);
            let below = values.iter().filter(|value| **value <= spread.median).count();
            prop_assert!(2 * below >= values.len());
            prop_assert!(spread.half_span() >= 0.0);
        }
    }
}
