//! Scenarios: TOML in, checked data out. Every key is documented in `SCENARIO.md`.
//!
//! - [`tree`]: TOML with places, overlays, `--set`, and tables that notice unknown keys
//! - `take`: typed values out of a table
//! - `sections`: one function a section; `capture`, `claim`, `faults`, [`jobs`], [`live`](mod@live), [`programs`], [`records`], `roce`, `sprayed`, `tcp`, [`topology`], `uet`, `workload`: those with
//!   a file of their own
//! - [`presets`]: clusters by name; [`model`]: the scenario as data; [`sweep`]: several runs of one

mod capture;
mod claim;
mod faults;
pub mod jobs;
pub mod live;
pub mod model;
pub mod presets;
pub mod programs;
pub mod records;
mod roce;
mod sections;
mod sprayed;
pub mod sweep;
mod take;
mod tcp;
pub mod topology;
pub mod tree;
mod uet;
mod workload;

pub use faults::single as single_fault;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Source, UserError};
use model::{Scenario, Variant};
use tree::{Entry, Item, Section, Table, Value};

/// The scenario that `ultraloom run` plays without an argument.
pub const DEFAULT: &str = include_str!("../../../../topologies/scenarios/default.toml");

/// Reads a scenario: the file at `path`, or the default one.
///
/// # Errors
/// [`UserError`] with the place of what is wrong.
pub fn load(
    path: Option<&Path>,
    sets: &[String],
    seed: Option<u64>,
) -> Result<Scenario, UserError> {
    from_source(&source(path)?, sets, seed)
}

/// The text of a scenario: the file at `path`, or the default one.
fn source(path: Option<&Path>) -> Result<Arc<Source>, UserError> {
    match path {
        Some(path) => tree::read(path, None),
        None => Ok(Arc::new(Source {
            name: "the default scenario".to_owned(),
            text: DEFAULT.to_owned(),
            folder: None,
        })),
    }
}

/// Reads a scenario from a text.
///
/// # Errors
/// [`UserError`] with the place of what is wrong.
pub fn from_source(
    source: &Arc<Source>,
    sets: &[String],
    seed: Option<u64>,
) -> Result<Scenario, UserError> {
    let mut root = root(source, sets, seed)?;
    // What is swept concerns `ultraloom sweep` alone.
    root.remove("sweep");
    from_root(root, source)
}

/// The tree of a scenario, after all overrides.
fn root(source: &Arc<Source>, sets: &[String], seed: Option<u64>) -> Result<Table, UserError> {
    let Item { value: Value::Table(mut root), origin } = tree::parse(source)? else {
        return Err(UserError::new(format!("{} is no table", source.name)));
    };
    for argument in sets {
        tree::set(&mut root, argument)?;
    }
    if let Some(seed) = seed {
        tree::put(&mut root, "seed", Item { value: Value::Integer(seed as i64), origin })?;
    }
    Ok(root)
}

/// The scenario of a tree.
fn from_root(mut root: Table, source: &Arc<Source>) -> Result<Scenario, UserError> {
    let resolved = resolved(&root, source)?;
    let variants = variants(&mut root)?;
    let top = Section::new("", &root);
    let name = top.text("name")?.unwrap_or_else(|| stem(&source.name));
    check_name(&name, top.get("name"))?;
    let seed = top.count("seed", 0, i64::MAX as u64)?.unwrap_or(1);
    let variants = variants
        .iter()
        .map(|(name, table)| {
            let whole = presets::expand(root.clone().overlaid(table))?;
            sections::variant(name, &whole, seed)
        })
        .collect::<Result<Vec<Variant>, UserError>>()?;
    let claims = claim::claims(&top, &variants)?;
    let records = records::records(&top.table("records")?)?;
    let live = live::live(&top)?;
    Ok(Scenario { name, seed, variants, claims, records, live, resolved })
}

/// The names and overrides of the variants, taken out of the tree; one without overrides if there are
/// none.
fn variants(root: &mut Table) -> Result<Vec<(String, Table)>, UserError> {
    let Some(item) = root.remove("variants") else {
        return Ok(vec![("base".to_owned(), Table::default())]);
    };
    let Value::Table(table) = &item.value else {
        let message = format!("`variants` is {}; expected tables", item.value.describe());
        return Err(UserError::at(&item.origin, message).help("write [variants.NAME]"));
    };
    let mut variants = Vec::new();
    for entry in &table.entries {
        check_name(&entry.key, Some(&entry.item))?;
        of_the_scenario(entry)?;
        match &entry.item.value {
            Value::Table(overrides) => variants.push((entry.key.clone(), overrides.clone())),
            other => {
                let message =
                    format!("`variants.{}` is {}; expected a table", entry.key, other.describe());
                return Err(UserError::at(&entry.item.origin, message));
            }
        }
    }
    if variants.is_empty() {
        return Err(UserError::at(&item.origin, "`variants` is empty"));
    }
    Ok(variants)
}

/// What is recorded is the same of all variants.
fn of_the_scenario(entry: &Entry) -> Result<(), UserError> {
    if let Value::Table(table) = &entry.item.value
        && let Some(item) = table.get("records")
    {
        let message = format!("`variants.{}.records`: all variants are recorded alike", entry.key);
        return Err(UserError::at(&item.origin, message).help("write [records]"));
    }
    Ok(())
}

/// Names go into file names and tables.
fn check_name(name: &str, item: Option<&Item>) -> Result<(), UserError> {
    let fine = |c: char| c.is_alphanumeric() || "-_.+ ".contains(c);
    if name.len() <= 64 && name.chars().all(fine) && !name.starts_with('.') {
        return Ok(());
    }
    let message =
        format!("the name `{name}` has a sign that file names may not have, or is too long");
    let error = match item {
        Some(item) => UserError::at(&item.origin, message),
        None => UserError::new(message),
    };
    Err(error.help("use letters, digits, spaces and - _ . +, at most 64"))
}

fn stem(name: &str) -> String {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| "run".to_owned())
}

/// The tree as TOML, with relative files made absolute so that it can be run again from anywhere.
fn resolved(root: &Table, source: &Source) -> Result<String, UserError> {
    let mut value = Value::Table(root.clone()).to_toml();
    if let Some(folder) = &source.folder {
        absolute(&mut value, folder);
    }
    toml::to_string_pretty(&value)
        .map_err(|error| UserError::new(format!("the scenario cannot be written: {error}")))
}

fn absolute(value: &mut toml::Value, folder: &Path) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                if key == "file"
                    && let toml::Value::String(file) = value
                {
                    let path = sections::resolve(folder, file);
                    *file = std::path::absolute(&path).unwrap_or(path).display().to_string();
                }
                absolute(value, folder);
            }
        }
        toml::Value::Array(items) => items.iter_mut().for_each(|item| absolute(item, folder)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::model::{Profile, Transport, WorkloadKind};
    use super::*;
    use fabric::units::Rate;

    fn read(text: &str, sets: &[&str]) -> Result<Scenario, UserError> {
        let source = Source { name: "x.toml".into(), text: text.into(), folder: None };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        from_source(&Arc::new(source), &sets, None)
    }

    const GOOD: &str = "seed = 7\nprofile = \"htsim\"\n[topology]\nkind = \"fat-tree\"\nhosts = 16\n\
        link_rate = \"100 Gb/s\"\n[transport]\nkind = \"uet\"\nspraying = \"reps\"\n[workload]\n\
        kind = \"incast\"\nbytes = \"1 MB\"\nsenders = 3\n[variants.a]\n[variants.b]\n\
        transport = { kind = \"roce\" }\ntopology.hosts = 32\n";

    /// Variants override keys of the base; a transport of another kind replaces the table whole.
    #[test]
    fn variants_override_the_base() {
        let scenario = read(GOOD, &[]).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.seed), ("x", 7));
        let [a, b] = &scenario.variants[..] else { panic!("two variants") };
        assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
        assert_eq!((a.topology.hosts, b.topology.hosts), (Some(16), Some(32)));
        assert_eq!(b.topology.link_rate, Some(Rate::from_gbps(100)));
        assert_eq!(a.profile, Profile::Htsim);
        assert!(matches!(a.transport, Transport::Uet(_)));
        assert!(matches!(b.transport, Transport::Roce(_)));
    }

    /// `--set` reaches any key, with TOML values or bare words, and the resolved scenario has it.
    #[test]
    fn overrides_reach_any_key() {
        let sets = ["topology.hosts=64", "workload.bytes=2 MiB", "transport.spraying=mixed"];
        let scenario = read(GOOD, &sets).unwrap();
        assert_eq!(scenario.variants[0].topology.hosts, Some(64));
        let kind = &scenario.variants[0].workloads[0].kind;
        assert!(matches!(kind, WorkloadKind::Incast { bytes: 2_097_152, .. }));
        assert!(scenario.resolved.contains("spraying = \"mixed\""));
        assert!(read(&scenario.resolved, &[]).is_ok(), "the resolved scenario runs again");
    }

    /// Each mistake is named with its place, what was found, what is allowed, and the nearest word.
    #[test]
    fn mistakes_are_named_with_their_place() {
        for (from, to, message, place, help) in [
            (
                "spraying",
                "sprying",
                "unknown key `transport.sprying`",
                "9:1",
                "did you mean `spraying`?",
            ),
            (
                "\"reps\"",
                "\"rep\"",
                "`transport.spraying` is `rep`; expected oblivious, bitmap, reps, reps-first, mixed, round-robin, flowlet or ecmp",
                "9:12",
                "did you mean `reps`?",
            ),
            (
                "100 Gb/s",
                "100 GB/s",
                "`topology.link_rate`: `100 GB/s` has the unit `GB/s`",
                "6:13",
                "",
            ),
            (
                "hosts = 16",
                "hosts = -4",
                "`topology.hosts` is `-4`; expected a whole number from 2 to",
                "5:9",
                "",
            ),
            ("1 MB", "0 MB", "`workload.bytes` is `0 MB`; expected at least 1 byte", "12:9", ""),
            (
                "[topology]",
                "[topologie]",
                "unknown key `topologie`",
                "3:2",
                "did you mean `topology`?",
            ),
            (
                "\"fat-tree\"",
                "\"fattree\"",
                "`topology.kind` is `fattree`; expected fat-tree",
                "4:8",
                "did you mean `fat-tree`?",
            ),
            ("seed = 7", "seed = 7 7", "", "1:8", ""),
            (
                "kind = \"incast\"",
                "kind = \"permutation\"",
                "unknown key `workload.senders`",
                "13:1",
                "known here",
            ),
            (
                "seed = 7",
                "seed = 7\nswep = 1",
                "unknown key `swep`",
                "2:1",
                "did you mean `sweep`?",
            ),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let error = read(&text, &[]).expect_err(to);
            assert!(error.message.starts_with(message), "{to}: {}", error.message);
            let rendered = error.render();
            assert!(rendered.contains(&format!("x.toml:{place}")), "{to}: {rendered}");
            assert!(rendered.contains(help), "{to}: {rendered}");
        }
    }

    /// A wrong override is named as such.
    #[test]
    fn a_wrong_override_names_itself() {
        let error = read(GOOD, &["topology.hosts=many"]).unwrap_err().render();
        assert!(error.contains("`topology.hosts` is `many`"), "{error}");
        assert!(error.contains("--set topology.hosts:1:1"), "{error}");
        let error = read(GOOD, &["topology.hosts"]).unwrap_err().render();
        assert!(error.contains("has no `=`"), "{error}");
    }

    /// Every key that is read stands in the reference, and the default scenario is a good one.
    #[test]
    fn every_key_is_documented() {
        let reference = include_str!("../../SCENARIO.md");
        for key in sections::all_keys() {
            assert!(reference.contains(&format!("`{key}`")), "{key} is missing in SCENARIO.md");
        }
        let default = load(None, &[], None).unwrap();
        let names: Vec<&str> = default.variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["uec", "roce"]);
    }
}
