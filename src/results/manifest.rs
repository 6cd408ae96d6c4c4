//! `sweep.json`: what was measured, how, where, and the answer.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Note, Recommendation, SCHEMA, whole};
use crate::machine::Machine;
use crate::measure::Availability;
use crate::plan::{Plan, Policy};
use crate::quote;
use crate::target::Target;

/// Name of the file in a target's folder.
pub(super) const FILE: &str = "sweep.json";

/// `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Manifest {
    /// Number of this form: [`SCHEMA`]; a change that breaks readers raises it.
    pub schema: u32,
    /// Name of the target.
    pub target: String,
    /// What it is, as needed to measure it again.
    pub command: Target,
    /// Version of the tool.
    pub corefit_version: String,
    /// The machine it was measured on.
    pub machine: Machine,
    /// Which counters could be opened, and how far they see; `None` if none were asked for.
    #[serde(default)]
    pub counters: Option<Availability>,
    /// Seed of the order and of the drawn curves.
    pub seed: u64,
    /// How it was measured.
    pub plan: Plan,
    /// How the worker count is chosen.
    pub policy: Policy,
    /// Unix time of the start, seconds.
    pub started_unix_s: f64,
    /// What was noticed while measuring, and has to stand beside the answer.
    pub warnings: Vec<Note>,
    /// The answer; `None` before there is one, and if no sample succeeded.
    pub recommendation: Option<Recommendation>,
}

impl Manifest {
    /// Reads the manifest of a target's folder.
    ///
    /// # Errors
    /// It cannot be read, is not a manifest (the text says where), or has a schema that only a newer version knows.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let path = folder.join(FILE);
        let fail = |why: String| Error::Input(format!("cannot use `{}`: {why}", quote::path(&path)));
        let text = fs::read(&path).map_err(|error| fail(error.to_string()))?;
        let version: Version = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
        if version.schema != SCHEMA {
            return Err(fail(format!("its schema is {}, this version knows {SCHEMA}", version.schema)));
        }
        serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))
    }

    /// Writes it into a target's folder, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        whole::replace(&folder.join(FILE), &text)
    }

    /// What in `now` would make other samples than those of this manifest, as `plan.procs is [1,2], not [1,4]`; `None`
    /// if nothing does. Machine, version, time and answer may differ.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        difference("target", &value(&self.target), &value(&now.target))
            .or_else(|| difference("command", &value(&self.command), &value(&now.command)))
            .or_else(|| difference("plan", &value(&self.plan), &value(&now.plan)))
            .or_else(|| difference("seed", &value(&self.seed), &value(&now.seed)))
            .or_else(|| difference("policy", &value(&self.policy), &value(&now.policy)))
    }

    /// In what the target of `now` is another than this one's, its name left out; `None` if in nothing.
    #[must_use]
    pub fn other_command(&self, now: &Self) -> Option<String> {
        difference("command", &value(&self.command.kind), &value(&now.command.kind))
    }

    /// In what the machine of `now` is another, as far as that changes its speed; `None` if in nothing.
    #[must_use]
    pub fn other_machine(&self, now: &Self) -> Option<String> {
        let facts = |machine: &Machine| {
            serde_json::json!({
                "id": machine.id,
                "cpus_allowed": machine.cpus_allowed,
                "quota_cpus": machine.quota_cpus,
                "governor": machine.governor,
                "boost": machine.boost,
                "smt": machine.smt,
                "kernel": machine.kernel,
            })
        };
        difference("machine", &facts(&self.machine), &facts(&now.machine))
    }
}

fn value<T: Serialize>(part: &T) -> Value {
    serde_json::to_value(part).expect("the parts of a manifest have string keys and no failing serializer")
}

/// The first place, by name, where two values differ.
fn difference(name: &str, saved: &Value, now: &Value) -> Option<String> {
    if let (Value::Object(saved), Value::Object(now)) = (saved, now) {
        let keys = saved.keys().chain(now.keys().filter(|key| !saved.contains_key(*key)));
        return keys.into_iter().find_map(|key| {
            let [saved, now] = [saved, now].map(|object| object.get(key).unwrap_or(&Value::Null));
            difference(&format!("{name}.{key}"), saved, now)
        });
    }
    (saved != now).then(|| quote::one_line(&format!("{name} was {saved} and is {now} now")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixtures;

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = fixtures::manifest("sort");
        manifest.started_unix_s = 1_761_111_222.123_456_7;
        manifest.recommendation = Some(fixtures::recommendation("sort"));
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
    }

    #[test]
    fn the_answer_is_written_as_the_contract_says() {
        let json = serde_json::to_value(fixtures::recommendation("sort")).unwrap();
        assert_eq!(json["recommended_procs"].to_string(), "2", "a whole number is written as one");
        assert_eq!(json["policy"], serde_json::json!({"name": "knee", "tolerance": 0.05}));
        assert!(json["points"][0]["lo"].is_null() && json["interval"].is_null());
    }

    #[test]
    fn what_is_no_manifest_is_refused_in_one_line_that_says_where() {
        let folder = tempfile::tempdir().unwrap();
        for (text, part) in [
            ("", "line 1"),
            ("{\"schema\":1,\n]", "line 2"),
            ("{\"schema\":1}", "missing field"),
            ("{\"schema\":2}", "schema is 2"),
            ("[]", "line 1"),
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let line = Manifest::read(folder.path()).expect_err(text).to_string();
            assert!(line.contains(FILE) && line.contains(part) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn only_what_changes_the_samples_is_a_difference() {
        let saved = fixtures::manifest("sort");
        let mut now = saved.clone();
        now.machine.id = "other".to_owned();
        now.corefit_version = "99".to_owned();
        now.started_unix_s = 5.0;
        assert_eq!(saved.difference(&now), None);
        now.plan.procs = vec![1, 8];
        assert_eq!(saved.difference(&now).unwrap(), "plan.procs was [1,2,4] and is [1,8] now");
        let now = Manifest { policy: Policy::Cost { tolerance: 0.1 }, ..saved.clone() };
        assert_eq!(saved.difference(&now).unwrap(), "policy.name was \"knee\" and is \"cost\" now");
        let now = Manifest { command: fixtures::command(&["sh", "-c", "x"]), ..saved.clone() };
        assert!(saved.difference(&now).unwrap().starts_with("command.kind.argv was [\"true\"]"));
    }

    #[test]
    fn what_may_make_a_program_slower_is_told_by_name() {
        let saved = fixtures::manifest("sort");
        let mut now = saved.clone();
        now.target = "other".to_owned();
        now.command.name = "other".to_owned();
        assert_eq!((saved.other_command(&now), saved.other_machine(&now)), (None, None));
        now.machine.governor = Some("powersave".to_owned());
        now.command = fixtures::command(&["false"]);
        assert_eq!(saved.other_machine(&now).unwrap(), "machine.governor was null and is \"powersave\" now");
        assert_eq!(saved.other_command(&now).unwrap(), "command.argv was [\"true\"] and is [\"false\"] now");
    }
}
