//! The JSON Schema of scenarios, for editors: made of the reference of keys, so that it is as complete as that is.
//!
//! It says which keys there are, what they mean and what they are by default. It does not say which values are right: a kind's keys
//! depend on the kind, and quantities have units. `ultraloom run` says what is wrong with a scenario.

use serde_json::{Map, Value, json};

/// The reference of keys.
const REFERENCE: &str = include_str!("../SCENARIO.md");

/// Sections that are lists of tables, or one.
const LISTS: [&str; 4] = ["workload", "fault", "claim", "host"];

/// The schema, as JSON.
pub fn schema() -> String {
    let mut sections: Map<String, Value> = Map::new();
    let mut top: Map<String, Value> = Map::new();
    let mut section = None;
    for line in REFERENCE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = named(heading);
            if let Some(name) = &section {
                sections.entry(name.clone()).or_insert_with(|| json!({}));
            }
            continue;
        }
        let Some((keys, values, default)) = row(line) else { continue };
        let about = describe(&values, &default);
        for key in keys {
            let entry = json!({ "description": about });
            match &section {
                None => drop(top.insert(key, entry)),
                Some(name) => {
                    let own = sections.entry(name.clone()).or_insert_with(|| json!({}));
                    merge(own, &key, &about);
                }
            }
        }
    }
    top.remove("run");
    top.remove("until");
    top.insert(
        "run".into(),
        json!({ "type": "object", "properties": { "until": {
        "description": "simulated time after which a run ends" } } }),
    );
    let mut all = top.clone();
    for (name, keys) in &sections {
        all.insert(name.clone(), of_section(name, keys));
    }
    let overrides = json!({ "type": "object", "properties": all.clone() });
    all.insert(
        "variants".into(),
        json!({
            "description": "what is compared: each overrides keys of the scenario",
            "type": "object", "additionalProperties": overrides,
        }),
    );
    let whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Ultraloom scenario",
        "type": "object",
        "properties": all,
        "additionalProperties": false,
    });
    serde_json::to_string_pretty(&whole).unwrap_or_default()
}

/// The section that a heading names.
fn named(heading: &str) -> Option<String> {
    let name = heading.trim().trim_matches('`').trim_matches(['[', ']']);
    let name = name.split('.').next().unwrap_or(name);
    name.chars().all(|c| c.is_ascii_lowercase()).then(|| name.to_owned())
}

/// Keys, values and default of a line of a table.
fn row(line: &str) -> Option<(Vec<String>, String, String)> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.trim_end_matches('|').split(" | ").collect();
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let quoted = cells.first()?.split('`').skip(1).step_by(2);
    let keys: Vec<String> = quoted
        .filter(|key| !key.is_empty() && key.chars().all(is_key))
        .map(str::to_owned)
        .collect();
    let cell = |place: usize| cells.get(place).map_or(String::new(), |cell| cell.trim().to_owned());
    (!keys.is_empty()).then(|| (keys, cell(1), cell(2)))
}

fn describe(values: &str, default: &str) -> String {
    match default {
        "" => values.to_owned(),
        default => format!("{values}\n\ndefault: {default}"),
    }
}

/// A key that stands in several tables means what all of them say.
fn merge(own: &mut Value, key: &str, about: &str) {
    let known = own[key]["description"].as_str().map(str::to_owned);
    let text = known.map_or(about.to_owned(), |known| format!("{known}\n\n{about}"));
    own[key] = json!({ "description": text });
}

fn of_section(name: &str, keys: &Value) -> Value {
    // Keys of a sweep are paths of other keys.
    if name == "sweep" {
        return json!({ "type": "object", "description": "keys that take several values, for `ultraloom sweep`" });
    }
    let table = json!({ "type": "object", "properties": keys, "additionalProperties": true });
    match LISTS.contains(&name) {
        true => json!({ "anyOf": [table, { "type": "array", "items": table }] }),
        false => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every section and its keys are there, with what the reference says of them.
    #[test]
    fn the_schema_has_every_section() {
        let value: Value = serde_json::from_str(&schema()).unwrap();
        let properties = &value["properties"];
        for name in [
            "name",
            "seed",
            "profile",
            "run",
            "topology",
            "transport",
            "switch",
            "link",
            "workload",
            "fault",
            "claim",
            "capture",
            "host",
            "live",
            "records",
            "sweep",
            "variants",
        ] {
            assert!(properties[name].is_object(), "{name}");
        }
        assert_eq!(value["properties"].as_object().unwrap().len(), 17);
        let about =
            properties["topology"]["properties"]["link_rate"]["description"].as_str().unwrap();
        assert_eq!(about, "rate of links\n\ndefault: 400 Gb/s");
        assert!(properties["workload"]["anyOf"][0]["properties"]["micro_batches"].is_object());
        let inner = &properties["variants"]["additionalProperties"]["properties"];
        assert!(inner["transport"]["properties"]["spraying"].is_object());
    }
}
