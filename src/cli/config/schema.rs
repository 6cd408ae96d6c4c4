//! The JSON schema of a file of sweeps, made from the flags themselves.

use clap::{Arg, ArgAction};
use serde_json::{Map, Value, json};

use super::{OF_THE_RUN, keys, sweep_command};

/// A JSON schema (draft 2020-12) of the file that `sweep --config` reads.
pub(crate) fn schema() -> Value {
    let sweep = sweep_command();
    let each: Map<String, Value> = keys(&sweep)
        .filter(|(key, _)| !OF_THE_RUN.contains(key))
        .map(|(key, arg)| (key.to_owned(), property(arg)))
        .collect();
    let mut all: Map<String, Value> =
        keys(&sweep).map(|(key, arg)| (key.to_owned(), property(arg))).collect();
    let sweeps = json!({
        "description": "One program each; its keys go before those above",
        "type": "array",
        "minItems": 1,
        "items": { "type": "object", "properties": each, "additionalProperties": false },
    });
    all.insert("sweep".to_owned(), sweeps);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "corefit.toml",
        "description": "Sweeps for `corefit sweep --config FILE`; keys above the first [[sweep]] hold for all of them",
        "type": "object",
        "properties": all,
        "required": ["sweep"],
        "additionalProperties": false,
    })
}

fn property(arg: &Arg) -> Value {
    let mut property = json!({ "type": types(arg) });
    if let Some(help) = arg.get_help() {
        property["description"] = help.to_string().into();
    }
    if let [default] = arg.get_default_values()
        && arg.get_action().takes_values()
    {
        property["default"] = default.to_string_lossy().into();
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        property["enum"] = values.into();
    }
    property
}

/// What may be written for an argument. Keep in step with `Reader::words`.
fn types(arg: &Arg) -> Value {
    match arg.get_action() {
        _ if arg.get_long().is_none() => json!(["string", "array"]),
        action if !action.takes_values() => json!("boolean"),
        ArgAction::Append => json!(["string", "number", "array", "object"]),
        _ if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => {
            json!(["boolean", "string", "number"])
        }
        _ => json!(["string", "number", "array"]),
    }
}
