//! From values to places in a picture, and the values that an axis names.

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// Equal differences are equally far.
    Even,
    /// Equal ratios are equally far: values are positive.
    Log,
}

/// From values to places, in the picture's own pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) spread: Spread,
    /// The values at both ends.
    pub(super) values: [f64; 2],
    /// Their places.
    pub(super) places: [f64; 2],
}

impl Scale {
    /// Values from `low` to `high` over `places`; where both are the same there is room around them.
    pub(super) fn new(spread: Spread, [low, high]: [f64; 2], places: [f64; 2]) -> Self {
        let values = match spread {
            _ if low < high => [low, high],
            Spread::Even => [low - 0.5, low + 0.5],
            Spread::Log => [low / 1.5, low * 1.5],
        };
        Self { spread, values, places }
    }

    /// The place of `value`. What lies beyond the ends lies beyond the places.
    pub(super) fn at(&self, value: f64) -> f64 {
        let [low, high] = self.values.map(|end| self.flat(end));
        let share = (self.flat(value) - low) / (high - low);
        self.places[0] + share * (self.places[1] - self.places[0])
    }

    /// The value at a share of the way from one end to the other.
    pub(super) fn value(&self, share: f64) -> f64 {
        let [low, high] = self.values.map(|end| self.flat(end));
        let flat = low + share * (high - low);
        match self.spread {
            Spread::Even => flat,
            Spread::Log => flat.exp2(),
        }
    }

    /// Factor and shift that bring places of `original`, which has the same values, to places of this.
    pub(super) fn onto(&self, original: &Self) -> (f64, f64) {
        let ([from, to], [first, last]) = (self.places, original.places);
        let factor = (to - from) / (last - first);
        (factor, from - first * factor)
    }

    /// Name of the spread, for the script that shows values.
    pub(super) fn name(&self) -> &'static str {
        match self.spread {
            Spread::Even => "even",
            Spread::Log => "log",
        }
    }

    fn flat(&self, value: f64) -> f64 {
        match self.spread {
            Spread::Even => value,
            Spread::Log => value.max(f64::MIN_POSITIVE).log2(),
        }
    }

    /// About `count` round values between the ends, ascending.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let [low, high] = self.values;
        match self.spread {
            Spread::Even => even_ticks(low, high, count),
            Spread::Log => log_ticks(low, high),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn even_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(raw);
    if !(step.is_normal() && (high - low) / step < 1000.0) {
        return Vec::new();
    }
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// 1, 2 and 5 of each decade; only the decades where there are many.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let of_decade: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let all = (first..=last).flat_map(|power| of_decade.iter().map(move |digit| digit * 10f64.powi(power)));
    all.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
}

/// Worker counts that an axis names: all if they are few, else round ones between the ends.
pub(super) fn procs_ticks(scale: &Scale, counts: &[f64], most: usize) -> Vec<f64> {
    if counts.len() <= most {
        return counts.to_vec();
    }
    if scale.spread == Spread::Even {
        let mut ticks = scale.ticks(most.min(8));
        ticks.retain(|tick| tick.fract() == 0.0 && *tick > 0.0);
        return ticks;
    }
    let [low, high] = scale.values;
    let powers = (low.log2().ceil() as i32)..=(high.log2().floor() as i32);
    powers.map(|power| 2f64.powi(power)).collect()
}

/// A value of an axis with as many digits as the distance to its neighbours needs.
pub(super) fn label(value: f64, ticks: &[f64], factor: f64) -> String {
    let scaled = value / factor;
    let step = ticks.windows(2).map(|pair| (pair[1] - pair[0]) / factor).fold(f64::INFINITY, f64::min);
    let step = if step.is_finite() { step } else { scaled.abs() };
    let digits = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    if scaled.abs() >= 1e6 {
        return format!("{scaled:.1e}");
    }
    let text = format!("{scaled:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_their_places_and_back() {
        for spread in [Spread::Even, Spread::Log] {
            let scale = Scale::new(spread, [1.0, 64.0], [100.0, 700.0]);
            assert_eq!((scale.at(1.0), scale.at(64.0)), (100.0, 700.0));
            for share in [0.0, 0.3, 1.0] {
                let place = 100.0 + 600.0 * share;
                assert!((scale.at(scale.value(share)) - place).abs() < 1e-9, "{spread:?}");
            }
        }
        assert_eq!(Scale::new(Spread::Log, [1.0, 64.0], [0.0, 600.0]).at(8.0), 300.0);
    }

    #[test]
    fn places_of_one_picture_go_to_those_of_another() {
        let wide = Scale::new(Spread::Log, [1.0, 64.0], [100.0, 1000.0]);
        let narrow = Scale { places: [40.0, 390.0], ..wide };
        let (factor, shift) = narrow.onto(&wide);
        assert!((wide.at(13.0) * factor + shift - narrow.at(13.0)).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_room_around_it() {
        for spread in [Spread::Even, Spread::Log] {
            assert!((Scale::new(spread, [3.0, 3.0], [0.0, 10.0]).at(3.0) - 5.0).abs() < 1e-9);
        }
    }

    #[test]
    fn ticks_are_round() {
        let scale = |values| Scale::new(Spread::Even, values, [0.0, 1.0]);
        assert_eq!(scale([0.0, 73.0]).ticks(5), [0.0, 20.0, 40.0, 60.0]);
        let log = Scale::new(Spread::Log, [3e-6, 2.5e-4], [0.0, 1.0]);
        let ticks = log.ticks(5);
        assert!(ticks.len() == 6 && (ticks[0] - 5e-6).abs() < 1e-12, "{ticks:?}");
        let procs = Scale::new(Spread::Log, [1.0, 64.0], [0.0, 1.0]);
        let all: Vec<f64> = (1..=64).map(f64::from).collect();
        assert_eq!(procs_ticks(&procs, &all, 12), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
    }

    #[test]
    fn no_values_ask_for_ticks_without_end() {
        for values in [[0.0, 1e308], [0.0, 5e-324], [1e300, 1.0000000000000002e300]] {
            assert!(Scale::new(Spread::Even, values, [0.0, 1.0]).ticks(5).len() < 1000);
        }
    }

    #[test]
    fn labels_have_the_digits_that_they_need() {
        assert_eq!(label(1_500_000.0, &[0.0, 500_000.0], 1e6), "1.5");
        assert_eq!(label(40.0, &[0.0, 20.0, 40.0], 1.0), "40");
        assert_eq!(label(0.02, &[0.0, 0.02], 1.0), "0.02");
    }
}
