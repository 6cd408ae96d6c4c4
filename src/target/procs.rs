//! A point of a sweep: a worker count, or the target as it runs when nobody sets one.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// What a point without a worker count is called, in every file and table.
const DEFAULT: &str = "default";

/// What a sample's target is given as its worker count. Written as the number, or as `default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Procs {
    /// This many workers.
    Count(u32),
    /// Nothing: the variables that would set it are left as the user's environment has them.
    #[default]
    Default,
}

impl Procs {
    /// The worker count, if one is set.
    #[must_use]
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Count(count) => Some(count),
            Self::Default => None,
        }
    }

    /// The point in a phrase: `1 processor`, `4 procs`, `the default`.
    #[must_use]
    pub fn phrase(self) -> String {
        match self {
            Self::Count(count) => format!("{count} {}", Self::word(count.into())),
            Self::Default => "the default".to_owned(),
        }
    }

    /// The word after a worker count in a sentence: `1 processor`, `2 procs`.
    #[must_use]
    pub fn word(count: f64) -> &'static str {
        if count == 1.0 { "processor" } else { "procs" }
    }

    /// Whether `field` of a table means the point without a worker count.
    #[must_use]
    pub fn is_default_name(field: &[u8]) -> bool {
        field == DEFAULT.as_bytes()
    }
}

impl From<u32> for Procs {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

impl PartialEq<u32> for Procs {
    fn eq(&self, count: &u32) -> bool {
        *self == Self::Count(*count)
    }
}

impl fmt::Display for Procs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Default => DEFAULT.fmt(f),
        }
    }
}

impl FromStr for Procs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == DEFAULT {
            return Ok(Self::Default);
        }
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = is_digits.then(|| text.parse().ok()).flatten();
        count.map(Self::Count).ok_or_else(|| format!("it is no worker count and not `{DEFAULT}`"))
    }
}

impl JsonSchema for Procs {
    fn schema_name() -> Cow<'static, str> {
        "Procs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A worker count, or `default`: none was set.",
            "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": DEFAULT }],
        })
    }
}

impl Serialize for Procs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Default => serializer.serialize_str(DEFAULT),
        }
    }
}

impl<'de> Deserialize<'de> for Procs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Takes a number or text, whichever the format has.
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Procs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a worker count or `{DEFAULT}`")
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Procs, E> {
                u32::try_from(count).map(Procs::Count).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Procs, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_count_is_a_number_and_none_is_default() {
        let json = serde_json::to_string(&[Procs::Count(4), Procs::Default]).unwrap();
        assert_eq!(json, r#"[4,"default"]"#);
        assert_eq!(serde_json::from_str::<[Procs; 2]>(&json).unwrap(), [Procs::Count(4), Procs::Default]);
        for wrong in ["-1", "1.5", "\"x\"", "99999999999", "null", "[]", "\"\""] {
            assert!(serde_json::from_str::<Procs>(wrong).is_err(), "{wrong}");
        }
        assert!(Procs::Count(u32::MAX) < Procs::Default, "it stands last in a list");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_printed_reads_back(count in any::<Option<u32>>()) {
            let procs = count.map_or(Procs::Default, Procs::Count);
            prop_assert_eq!(procs.to_string().parse::<Procs>(), Ok(procs));
            let json = serde_json::to_string(&procs).unwrap();
            prop_assert_eq!(serde_json::from_str::<Procs>(&json).unwrap(), procs);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Procs>();
        }
    }
}
