//! Whether a document is what a JSON schema says: the part of draft 2020-12 that our own schemas use. A whole validator
//! would bring 40 crates for this, whose features have all of the tool compiled a second time.

use serde_json::{Map, Value};

/// What says nothing of what is valid.
const REMARKS: [&str; 6] = ["$schema", "$defs", "title", "description", "default", "format"];

/// What is wrong with `document`, a line each. Panics on a keyword that it does not know.
pub(crate) fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    Check { root: schema }.value(schema, document, "", &mut faults);
    faults
}

struct Check<'a> {
    root: &'a Value,
}

impl Check<'_> {
    fn value(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Value::Object(schema) = schema else {
            assert_eq!(*schema, Value::Bool(true), "at {at}");
            return;
        };
        for (keyword, says) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let path = says.as_str().expect("a reference").trim_start_matches('#');
                    self.value(self.root.pointer(path).expect("what it refers to"), value, at, faults);
                }
                "properties" | "required" | "additionalProperties" => {
                    self.object(keyword, says, schema, value, at, faults);
                }
                "items" | "prefixItems" | "minItems" | "maxItems" => {
                    self.array(keyword, says, value, at, faults);
                }
                "anyOf" | "oneOf" => {
                    let fits = |schema: &&Value| {
                        let mut faults = Vec::new();
                        self.value(schema, value, at, &mut faults);
                        faults.is_empty()
                    };
                    let fitting = says.as_array().expect("schemas").iter().filter(fits).count();
                    if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                        faults.push(format!("{at}: {fitting} of {keyword} fit"));
                    }
                }
                _ if REMARKS.contains(&keyword.as_str()) => {}
                _ => scalar(keyword, says, value, at, faults),
            }
        }
    }

    fn object(
        &self,
        keyword: &str,
        says: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        let Value::Object(object) = value else { return };
        match keyword {
            "required" => {
                let names = says.as_array().expect("names").iter().filter_map(Value::as_str);
                let lacking = names.filter(|name| !object.contains_key(*name));
                faults.extend(lacking.map(|name| format!("{at}: no `{name}`")));
            }
            "properties" => {
                for (name, schema) in says.as_object().expect("properties") {
                    if let Some(value) = object.get(name) {
                        self.value(schema, value, &format!("{at}/{name}"), faults);
                    }
                }
            }
            _ => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in
                    object.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                {
                    self.value(says, value, &format!("{at}/{name}"), faults);
                }
            }
        }
    }

    fn array(&self, keyword: &str, says: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Value::Array(array) = value else { return };
        let is_wrong = match keyword {
            "minItems" => (array.len() as u64) < says.as_u64().expect("a number"),
            "maxItems" => array.len() as u64 > says.as_u64().expect("a number"),
            "prefixItems" => {
                for (schema, value) in says.as_array().expect("schemas").iter().zip(array) {
                    self.value(schema, value, at, faults);
                }
                false
            }
            _ => {
                for (index, value) in array.iter().enumerate() {
                    self.value(says, value, &format!("{at}/{index}"), faults);
                }
                false
            }
        };
        if is_wrong {
            faults.push(format!("{at}: {} items, {keyword} is {says}", array.len()));
        }
    }
}

fn scalar(keyword: &str, says: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let is_right = match keyword {
        "type" => match says {
            Value::Array(types) => types.iter().any(|of| is_a(value, of)),
            of => is_a(value, of),
        },
        "const" => value == says,
        "enum" => says.as_array().expect("values").contains(value),
        "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().expect("a number")),
        "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().expect("a number")),
        other => panic!("this check does not know `{other}`: teach it"),
    };
    if !is_right {
        faults.push(format!("{at}: {keyword} is {says}, and this is {value}"));
    }
}

fn is_a(value: &Value, of: &Value) -> bool {
    match of.as_str().expect("a type's name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is no type"),
    }
}
