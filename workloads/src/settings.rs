//! Reading what a workload was set to.

use std::str::FromStr;

use crate::{Failure, Parameter, Settings};

/// For a parameter that is `true` or `false`.
pub(crate) fn is_flag(value: &str) -> bool {
    value.parse::<bool>().is_ok()
}

impl Settings {
    /// The amount of work that is `at_one` at scale 1; at least `least`.
    pub(crate) fn scaled(&self, at_one: u64, least: u64) -> u64 {
        // A float becomes the nearest integer that there is, so no scale overflows.
        ((at_one as f64 * self.scale).round() as u64).max(least)
    }

    /// The value of `parameter`: as given, or its default.
    ///
    /// # Errors
    /// It cannot be read as a `T`.
    pub(crate) fn read<T: FromStr>(&self, parameter: &Parameter) -> Result<T, Failure> {
        let Parameter { name, default, about, .. } = parameter;
        let given = self.params.get(*name).map_or(*default, String::as_str);
        let value = given.parse().ok().filter(|_| (parameter.accepts)(given));
        value.ok_or_else(|| Failure(format!("parameter `{name}` cannot be `{given}`: {about}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Parameter =
        Parameter { name: "size", default: "7", about: "a number", accepts: |value| value != "13" };

    fn settings(scale: f64, params: &[(&str, &str)]) -> Settings {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { scale, input: None, params }
    }

    #[test]
    fn work_follows_the_scale_down_to_the_least() {
        let sizes = [0.0, 0.01, 0.5, 1.0, 3.0].map(|scale| settings(scale, &[]).scaled(100, 2));
        assert_eq!(sizes, [2, 2, 50, 100, 300]);
        assert_eq!(settings(f64::INFINITY, &[]).scaled(100, 2), u64::MAX);
    }

    #[test]
    fn a_parameter_is_what_was_given_else_its_default() {
        assert_eq!(settings(1.0, &[]).read::<u8>(&SIZE).unwrap(), 7);
        assert_eq!(settings(1.0, &[("size", "9")]).read::<u8>(&SIZE).unwrap(), 9);
        let failure = settings(1.0, &[("size", "big")]).read::<u8>(&SIZE).unwrap_err();
        assert_eq!(failure.to_string(), "parameter `size` cannot be `big`: a number");
        assert!(
            settings(1.0, &[("size", "13")]).read::<u8>(&SIZE).is_err(),
            "a number that it does not accept"
        );
    }
}
