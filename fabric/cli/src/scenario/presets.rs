//! Clusters by name: tables that stand below what a scenario says in `[topology]`.

use std::sync::Arc;

use crate::error::{Source, UserError};
use crate::scenario::tree::{self, Item, Table, Value};

macro_rules! presets {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../topologies/presets/", $name, ".toml")))),*]
    };
}

/// Every preset, with its text.
pub const PRESETS: [(&str, &str); 8] = presets![
    "dgx-h100-superpod",
    "gb200-nvl72",
    "vera-rubin-nvl144",
    "meta-24k-roce",
    "alibaba-hpn",
    "aws-efa-ultracluster",
    "one-gigawatt",
    "five-gigawatt"
];

/// A variant's tree with the preset that its `[topology]` names below that section.
pub(super) fn expand(mut root: Table) -> Result<Table, UserError> {
    let Some(entry) = root.entries.iter_mut().find(|entry| entry.key == "topology") else {
        return Ok(root);
    };
    let Value::Table(own) = &entry.item.value else { return Ok(root) };
    let Some(asked) = own.entries.iter().find(|entry| entry.key == "preset") else {
        return Ok(root);
    };
    let Item { value: Value::Text(name), origin } = &asked.item else { return Ok(root) };
    let Some((name, text)) = PRESETS.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = PRESETS.iter().map(|(known, _)| *known).collect();
        let message =
            format!("`topology.preset` is `{name}`; expected one of {}", names.join(", "));
        let error = UserError::at(origin, message);
        return Err(match topologies::text::nearest(name, names.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    let source = Source { name: format!("preset {name}"), text: (*text).to_owned(), folder: None };
    let Item { value: Value::Table(base), .. } = tree::parse(&Arc::new(source))? else {
        return Ok(root);
    };
    entry.item.value = Value::Table(base.overlaid(own));
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::Prepared;
    use crate::scenario::from_source;

    fn hosts(name: &str, more: &str) -> Result<u32, UserError> {
        let text = format!(
            "[topology]\npreset = {name:?}\n{more}\n[workload]\nkind = \"incast\"\nsenders = 1\nbytes = 1000\n"
        );
        let source = Source { name: "x.toml".into(), text, folder: None };
        let scenario = from_source(&Arc::new(source), &[], None)?;
        Ok(Prepared::new(&scenario.variants[0])?.graph.hosts)
    }

    /// Every preset can be had in a slice, and most of them whole; what the scenario says goes before.
    #[test]
    fn presets_are_built_whole_or_in_slices() {
        for (name, whole) in [
            ("dgx-h100-superpod", Some(1_024)),
            ("gb200-nvl72", Some(576)),
            ("vera-rubin-nvl144", Some(576)),
            ("meta-24k-roce", Some(24_576)),
            ("alibaba-hpn", Some(15_360)),
            ("aws-efa-ultracluster", Some(20_480)),
            ("one-gigawatt", None),
            ("five-gigawatt", None),
        ] {
            assert_eq!(hosts(name, "hosts = 2880").unwrap(), 2_880, "{name}");
            if let Some(whole) = whole {
                assert_eq!(hosts(name, "").unwrap(), whole, "{name}");
            }
        }
        let error = hosts("gb200-nvl27", "").unwrap_err().render();
        assert!(error.contains("did you mean `gb200-nvl72`?"), "{error}");
    }
}
