//! What `--json` prints: one type a document, so that `corefit schema` is made from what is really written.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::compare::TargetComparison;
use crate::costs;
use crate::machine::Machine;
use crate::measure::Availability;
use crate::recommend::Comparison;
use crate::results::{Manifest, Note, Recommendation};

/// What `corefit sweep --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sweeps<'a> {
    /// Number of this form; a change that breaks readers raises it.
    pub(super) schema: u32,
    /// One a target, in the order they were measured.
    pub(super) sweeps: Vec<Explained<'a, Manifest>>,
    /// Each target over its CPU quotas; not there without `--cpus-sweep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quotas: Option<&'a [Comparison]>,
}

/// A document, and the reasoning behind its answer where that was asked for.
#[derive(Serialize, JsonSchema)]
pub(super) struct Explained<'a, T> {
    #[serde(flatten)]
    pub(super) document: &'a T,
    /// The reasoning as text; not there without `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explain: Option<String>,
}

/// What `corefit recommend --json` prints: the answer for one target, those for several, or nothing where no sample of the
/// one target succeeded.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Recommendations<'a> {
    /// Of one target.
    One(Box<Explained<'a, Recommendation>>),
    /// Of several.
    Several {
        /// Number of this form.
        schema: u32,
        /// One a target that has a successful sample.
        recommendations: Vec<Explained<'a, Recommendation>>,
    },
    /// No sample succeeded.
    Nothing,
}

/// What `corefit compare --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Compared<'a> {
    /// Number of this form.
    pub(super) schema: u32,
    /// What was compared with.
    pub(super) base: &'a Path,
    /// What was compared.
    pub(super) new: &'a Path,
    /// Loss of throughput that is allowed, as a share.
    pub(super) threshold: f64,
    /// Chance that two runs of the same program are called different.
    pub(super) alpha: f64,
    /// Growth of the latency's 99th percentile that is allowed, as a share; `None`: it closes no gate.
    pub(super) latency_threshold: Option<f64>,
    /// Whether any target has one.
    pub(super) regression: bool,
    /// One a target that both have.
    pub(super) targets: &'a [TargetComparison],
    /// What to know before believing it.
    pub(super) warnings: &'a [Note],
}

/// What `corefit costs --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Costs<'a> {
    /// Number of this form.
    pub(super) schema: u32,
    /// Version of the tool.
    pub(super) corefit_version: &'static str,
    /// Where it was measured.
    pub(super) machine: &'a Machine,
    /// Rounds that fitted into the time.
    pub(super) rounds: usize,
    /// One a kind and count.
    pub(super) rows: &'a costs::Table,
    /// What is said of both kinds, and what was found.
    pub(super) claims: &'a [costs::Claim],
    /// What was not measured, and why.
    pub(super) remarks: &'a [String],
}

/// One entry of what `corefit list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    /// Its name, as `corefit sweep` takes it.
    pub(super) name: &'static str,
    /// What it models.
    pub(super) about: &'static str,
    /// How a text-book expects it to scale.
    pub(super) scaling: &'static str,
    /// Unit of its throughput.
    pub(super) unit: &'static str,
    /// What `--param` sets.
    pub(super) parameters: Vec<Parameter>,
}

/// A parameter of a workload.
#[derive(Serialize, JsonSchema)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value where none is given.
    pub(super) default: &'static str,
    /// What it sets.
    pub(super) about: &'static str,
}

/// What `corefit doctor --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Diagnosis<'a> {
    /// Number of this form.
    pub(super) schema: u32,
    /// Version of the tool.
    pub(super) corefit_version: &'static str,
    /// What this machine is.
    pub(super) machine: &'a Machine,
    /// The GOMAXPROCS that a program on the bundled runtime gets where none is set.
    pub(super) default_procs: DefaultProcs,
    /// Which counters can be opened.
    pub(super) counters: &'a Availability,
    /// How stacks can be sampled.
    pub(super) profiles: Profiles<'a>,
    /// Whether a CPU quota can be set.
    pub(super) quotas: QuotaSupport<'a>,
    /// What samples lack on this system; not there on Linux.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) lacks: &'static [&'static str],
    /// What stands against measuring now.
    pub(super) warnings: Vec<Note>,
}

/// A GOMAXPROCS and where it comes from.
#[derive(Serialize, JsonSchema)]
pub(super) struct DefaultProcs {
    /// The value.
    pub(super) procs: usize,
    /// Why it is that.
    pub(super) reason: String,
}

/// How stacks can be sampled.
#[derive(Serialize, JsonSchema)]
pub(super) struct Profiles<'a> {
    /// Of whom samples are taken.
    pub(super) source: String,
    /// By which event.
    pub(super) event: String,
    /// What is not possible, and the way out.
    pub(super) limits: &'a [String],
}

/// Whether a CPU quota can be set.
#[derive(Serialize, JsonSchema)]
pub(super) struct QuotaSupport<'a> {
    /// Whether `--cpus` works.
    pub(super) available: bool,
    /// Version of the cgroup interface.
    pub(super) version: Option<u8>,
    /// Where the groups are made.
    pub(super) folder: Option<&'a Path>,
    /// Why it does not work.
    pub(super) why_not: Option<String>,
}

/// The JSON schema (draft 2020-12) of `T` as it is written.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().for_serialize().with_transform(RecursiveTransform(in_json_words));
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Descriptions come from comments in the code: their lines become one, and what they call `None` is `null` in JSON.
fn in_json_words(schema: &mut Schema) {
    let Some(Value::String(text)) = schema.get_mut("description") else { return };
    *text = text.replace('\n', " ").replace("`None`", "`null`").replace("[`SCHEMA`]", "1");
}
