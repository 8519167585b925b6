//! The `[sweep]` section of a scenario: keys that take several values, and the runs that follow.

use std::path::Path;
use std::sync::Arc;

use fabric::units::parse_bytes;

use crate::error::{Source, UserError};
use crate::scenario::model::Scenario;
use crate::scenario::tree::{self, Entry, Item, Table, Value};
use crate::scenario::{from_root, root, source};

/// Most runs of a sweep.
const MOST: usize = 1_000_000;

/// Keys that change together, and their values in each step.
#[derive(Clone, Debug)]
struct Axis {
    keys: Vec<String>,
    steps: Vec<Vec<Item>>,
}

/// A scenario that is run several times.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The scenario without the section; the first run's name and what it says of itself.
    pub name: String,
    /// The whole, after all overrides, as TOML.
    pub resolved: String,
    root: Table,
    source: Arc<Source>,
    axes: Vec<Axis>,
    seeds: Vec<u64>,
}

/// One run of a sweep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What is set, in the order of the sweep.
    pub settings: Vec<(String, String)>,
    /// The seed, if the sweep says it.
    pub seed: Option<u64>,
    /// The place of each axis's values.
    places: Vec<usize>,
}

impl Step {
    /// What the run is called: short, and fit for a file name.
    pub fn label(&self) -> String {
        let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let settings = self.settings.iter().map(|(key, value)| format!("{}={value}", short(key)));
        let parts: Vec<String> =
            settings.chain(self.seed.map(|seed| format!("seed={seed}"))).collect();
        let fine = |c: char| if c.is_alphanumeric() || ".=_+-".contains(c) { c } else { '-' };
        let label: String = parts.join("_").replace(' ', "").chars().map(fine).collect();
        label.chars().take(120).collect()
    }
}

impl Sweep {
    /// Reads a scenario with its `[sweep]`.
    ///
    /// # Errors
    /// [`UserError`] with the place of what is wrong.
    pub fn load(
        path: Option<&Path>,
        sets: &[String],
        seed: Option<u64>,
    ) -> Result<Sweep, UserError> {
        let source = source(path)?;
        let mut root = root(&source, sets, seed)?;
        let resolved = super::resolved(&root, &source)?;
        let Some(item) = root.remove("sweep") else {
            let message = format!("{} has no [sweep]", source.name);
            let help = "write for example [sweep] with \"topology.hosts\" = [16, 64] and seeds = 5";
            return Err(UserError::new(message).help(help));
        };
        let (axes, seeds) = axes(&item)?;
        let mut sweep =
            Sweep { name: String::new(), resolved, root, source, axes, seeds: seeds.clone() };
        let count = sweep.axes.iter().map(|axis| axis.steps.len());
        let count =
            count.chain([seeds.len().max(1)]).try_fold(1usize, |all, own| all.checked_mul(own));
        if count.is_none_or(|count| count > MOST) {
            let message = format!("the sweep has more than {MOST} runs");
            return Err(UserError::at(&item.origin, message));
        }
        // The first run says what all are called.
        let first = sweep
            .steps()
            .next()
            .ok_or_else(|| UserError::at(&item.origin, "the sweep has no run"))?;
        sweep.name = sweep.scenario(&first)?.name;
        Ok(sweep)
    }

    /// All runs: the last axis changes fastest, and seeds fastest of all.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        let seeds: Vec<Option<u64>> = match self.seeds.as_slice() {
            [] => vec![None],
            seeds => seeds.iter().map(|seed| Some(*seed)).collect(),
        };
        let lengths: Vec<usize> = self.axes.iter().map(|axis| axis.steps.len()).collect();
        let count: usize = lengths.iter().product();
        (0..count).flat_map(move |number| {
            let mut left = number;
            let mut places = vec![0; lengths.len()];
            for (place, length) in places.iter_mut().zip(&lengths).rev() {
                *place = left % length;
                left /= length;
            }
            let settings =
                self.axes.iter().zip(&places).flat_map(|(Axis { keys, steps }, place)| {
                    let texts = steps[*place].iter().map(|item| text(&item.value));
                    keys.iter().cloned().zip(texts)
                });
            let settings: Vec<(String, String)> = settings.collect();
            let step = move |seed: &Option<u64>| Step {
                settings: settings.clone(),
                seed: *seed,
                places: places.clone(),
            };
            seeds.iter().map(step).collect::<Vec<_>>()
        })
    }

    /// The scenario of a run.
    ///
    /// # Errors
    /// [`UserError`] with the place of the value that does not suit.
    pub fn scenario(&self, step: &Step) -> Result<Scenario, UserError> {
        let mut root = self.root.clone();
        for (Axis { keys, steps }, place) in self.axes.iter().zip(&step.places) {
            for (key, item) in keys.iter().zip(&steps[*place]) {
                tree::put(&mut root, key, item.clone())?;
            }
        }
        if let Some(seed) = step.seed {
            let origin = tree::whole(&self.source);
            tree::put(&mut root, "seed", Item { value: Value::Integer(seed as i64), origin })?;
        }
        from_root(root, &self.source)
    }
}

/// A value as people write it.
fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        other => other.to_toml().to_string(),
    }
}

fn axes(item: &Item) -> Result<(Vec<Axis>, Vec<u64>), UserError> {
    let Value::Table(table) = &item.value else {
        let message = format!("`sweep` is {}; expected a table", item.value.describe());
        return Err(UserError::at(&item.origin, message));
    };
    let (mut axes, mut seeds) = (Vec::new(), Vec::new());
    for Entry { key, key_origin, item } in &table.entries {
        match key.as_str() {
            "seed" | "seeds" if !seeds.is_empty() => {
                return Err(UserError::at(key_origin, "the sweep says its seeds twice"));
            }
            "seed" | "seeds" => seeds = read_seeds(item)?,
            "zip" => {
                let zips = match &item.value {
                    Value::List(items) => items.iter().collect(),
                    _ => vec![item],
                };
                for zip in zips {
                    axes.push(zipped(zip)?);
                }
            }
            key => axes.push(Axis {
                keys: vec![key.to_owned()],
                steps: values(key, item)?.into_iter().map(|item| vec![item]).collect(),
            }),
        }
    }
    let mut keys: Vec<&String> = axes.iter().flat_map(|axis| &axis.keys).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("the sweep sets `{}` twice", twice[0]);
        return Err(UserError::at(&item.origin, message));
    }
    Ok((axes, seeds))
}

/// A list of seeds, or how many of them from 1 on.
fn read_seeds(item: &Item) -> Result<Vec<u64>, UserError> {
    let wrong = |item: &Item| {
        let found = item.value.describe();
        let message =
            format!("the sweep's seeds are {found}; expected a number of seeds, or a list of them");
        UserError::at(&item.origin, message)
    };
    let seed = |item: &Item| match item.value {
        Value::Integer(seed) => u64::try_from(seed).map_err(|_| wrong(item)),
        _ => Err(wrong(item)),
    };
    match &item.value {
        Value::Integer(count) if (1..=MOST as i64).contains(count) => {
            Ok((1..=*count as u64).collect())
        }
        Value::List(items) if !items.is_empty() => {
            let mut seeds = items.iter().map(seed).collect::<Result<Vec<u64>, _>>()?;
            let all = seeds.len();
            seeds.sort_unstable();
            seeds.dedup();
            if seeds.len() < all {
                return Err(UserError::at(&item.origin, "the sweep has a seed twice"));
            }
            Ok(seeds)
        }
        _ => Err(wrong(item)),
    }
}

/// Keys whose values change together.
fn zipped(item: &Item) -> Result<Axis, UserError> {
    let Value::Table(table) = &item.value else {
        let message = format!("`sweep.zip` is {}; expected a table", item.value.describe());
        return Err(UserError::at(&item.origin, message));
    };
    let (mut keys, mut columns) = (Vec::new(), Vec::new());
    for Entry { key, item, .. } in &table.entries {
        keys.push(key.clone());
        columns.push(values(key, item)?);
    }
    let length = columns.first().map_or(0, Vec::len);
    if let Some(place) = columns.iter().position(|column| column.len() != length) {
        let message = format!(
            "`{}` has {} values and `{}` {length}; keys that change together have equally many",
            keys[place],
            columns[place].len(),
            keys[0]
        );
        return Err(UserError::at(&item.origin, message));
    }
    let steps = (0..length).map(|step| columns.iter().map(|column| column[step].clone()).collect());
    Ok(Axis { keys, steps: steps.collect() })
}

/// The values of a key: a list, a range, or a single one.
fn values(key: &str, item: &Item) -> Result<Vec<Item>, UserError> {
    match &item.value {
        Value::List(items) if items.is_empty() => {
            Err(UserError::at(&item.origin, format!("the sweep has no value for `{key}`")))
        }
        Value::List(items) => Ok(items.clone()),
        Value::Table(table) if table.get("from").is_some() => range(key, item, table),
        _ => Ok(vec![item.clone()]),
    }
}

/// A number with what stands behind it.
fn quantity(key: &str, item: &Item) -> Result<(f64, String), UserError> {
    let text = match &item.value {
        Value::Integer(number) => return Ok((*number as f64, String::new())),
        Value::Float(number) => return Ok((*number, String::new())),
        Value::Text(text) => text.trim(),
        _ => "",
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    match text[..end].parse() {
        Ok(number) => Ok((number, text[end..].trim().to_owned())),
        Err(_) => {
            let message = format!(
                "the range of `{key}` has {}; expected a number, with or without a unit",
                item.value.describe()
            );
            Err(UserError::at(&item.origin, message))
        }
    }
}

/// A size in the largest unit in which it is whole.
fn size(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    let unit = units.iter().find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
    let (factor, unit) = unit.unwrap_or(&(1, "B"));
    format!("{} {unit}", bytes / factor)
}

/// `{ from, to, step }` or `{ from, to, factor }`, both ends included.
fn range(key: &str, item: &Item, table: &Table) -> Result<Vec<Item>, UserError> {
    let known = ["from", "to", "step", "factor"];
    if let Some(entry) = table.entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
        let message = format!("the range of `{key}` has no `{}`", entry.key);
        return Err(UserError::at(&entry.key_origin, message)
            .help("a range is { from, to, step } or { from, to, factor }"));
    }
    let wrong =
        |message: &str| Err(UserError::at(&item.origin, format!("the range of `{key}` {message}")));
    let (Some(from), Some(to)) = (table.get("from"), table.get("to")) else {
        return wrong("has no `to`");
    };
    let ((mut low, mut unit), (mut high, other)) = (quantity(key, from)?, quantity(key, to)?);
    let sizes = [from, to].map(|item| match &item.value {
        Value::Text(text) => parse_bytes(text).ok(),
        _ => None,
    });
    if let (true, [Some(least), Some(most)]) = (unit != other, sizes) {
        (low, high, unit) = (least as f64, most as f64, "B".to_owned());
    } else if unit != other {
        return wrong(&format!("goes from `{unit}` to `{other}`; both ends have the same unit"));
    }
    let (add, times) = match (table.get("step"), table.get("factor")) {
        (Some(step), None) => {
            let (step, own) = quantity(key, step)?;
            if own != unit {
                return wrong(&format!("has a step in `{own}`; its ends are in `{unit}`"));
            }
            (step, 1.0)
        }
        (None, Some(factor)) => (0.0, quantity(key, factor)?.0),
        _ => return wrong("has `step` or `factor`, one of them"),
    };
    if !(low <= high && (add > 0.0 || (times > 1.0 && low > 0.0))) {
        return wrong("does not lead from its lower end to its upper end");
    }
    let whole = |value: &Item| !matches!(value.value, Value::Float(_));
    let is_whole = whole(from) && whole(to) && low.fract() == 0.0;
    let mut found = Vec::new();
    let mut value = low;
    // Sums of fractions may end a little beyond the end.
    while value <= high * (1.0 + 1e-9) && found.len() <= MOST {
        let written = if is_whole && value.fract().abs() < 1e-9 {
            if unit.is_empty() {
                Value::Integer(value.round() as i64)
            } else if unit == "B" {
                Value::Text(size(value.round() as u64))
            } else {
                Value::Text(format!("{} {unit}", value.round() as i64))
            }
        } else if unit.is_empty() {
            Value::Float((value * 1e9).round() / 1e9)
        } else {
            Value::Text(format!("{} {unit}", (value * 1e9).round() / 1e9))
        };
        found.push(Item { value: written, origin: item.origin.clone() });
        value = if add > 0.0 { low + add * found.len() as f64 } else { value * times };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(section: &str) -> Result<Sweep, String> {
        let text = format!(
            "name = \"s\"\n[topology]\nhosts = 16\n[workload]\nkind = \"incast\"\nbytes = \"1 MB\"\n[sweep]\n{section}\n"
        );
        let place = std::env::temp_dir().join(format!(
            "sweep-{}-{}.toml",
            std::process::id(),
            section.len()
        ));
        std::fs::write(&place, text).unwrap();
        let loaded = Sweep::load(Some(&place), &[], None).map_err(|error| error.render());
        let _ = std::fs::remove_file(&place);
        loaded
    }

    fn labels(section: &str) -> Vec<String> {
        sweep(section).unwrap().steps().map(|step| step.label()).collect()
    }

    /// Lists, ranges, zips and seeds multiply, the seed changing fastest.
    #[test]
    fn axes_multiply() {
        let of = labels("\"topology.hosts\" = [16, 32]\nseeds = 2");
        assert_eq!(
            of,
            ["hosts=16_seed=1", "hosts=16_seed=2", "hosts=32_seed=1", "hosts=32_seed=2"]
        );
        let of = labels("\"workload.bytes\" = { from = \"1 MiB\", to = \"16 MiB\", factor = 4 }");
        assert_eq!(of, ["bytes=1MiB", "bytes=4MiB", "bytes=16MiB"]);
        let of = labels("\"workload.bytes\" = { from = \"256 KiB\", to = \"4 MiB\", factor = 4 }");
        assert_eq!(of, ["bytes=256KiB", "bytes=1MiB", "bytes=4MiB"]);
        let of = labels("\"switch.ecn_pmax\" = { from = 0.1, to = 0.3, step = 0.1 }");
        assert_eq!(of, ["ecn_pmax=0.1", "ecn_pmax=0.2", "ecn_pmax=0.3"]);
        let of = labels(
            "seed = [7, 9]\n[[sweep.zip]]\n\"topology.hosts\" = [16, 64]\n\"workload.bytes\" = [\"4 MB\", \"1 MB\"]",
        );
        assert_eq!(of.len(), 4);
        assert_eq!(of[3], "hosts=64_bytes=1MB_seed=9");
    }

    /// Each run is the scenario with its values; the section is not in it.
    #[test]
    fn runs_are_scenarios() {
        let sweep = sweep("\"topology.hosts\" = [16, 32]\nseeds = 2").unwrap();
        let last = sweep.steps().last().unwrap();
        let scenario = sweep.scenario(&last).unwrap();
        assert_eq!((scenario.seed, scenario.variants[0].topology.hosts), (2, Some(32)));
        assert!(!scenario.resolved.contains("sweep"));
    }

    /// What cannot be swept is refused with its place.
    #[test]
    fn mistakes_are_named() {
        for (section, message) in [
            ("\"topology.hosts\" = []", "the sweep has no value for `topology.hosts`"),
            ("\"topology.host\" = [16]", "unknown key `topology.host`"),
            ("\"topology.hosts\" = [1]", "`topology.hosts` is `1`"),
            ("seeds = 0", "the sweep's seeds are `0`"),
            ("seed = [1, 1]", "the sweep has a seed twice"),
            ("a = { from = 1, step = 1 }", "the range of `a` has no `to`"),
            (
                "a = { from = \"1 us\", to = \"1 ms\", factor = 2 }",
                "the range of `a` goes from `us` to `ms`",
            ),
            ("a = { from = 4, to = 1, step = 1 }", "the range of `a` does not lead"),
            ("a = { from = 4, to = 9, by = 1 }", "the range of `a` has no `by`"),
            ("zip = { a = [1, 2], b = [1] }", "`b` has 1 values and `a` 2"),
            ("a = [1]\nzip = { a = [1] }", "the sweep sets `a` twice"),
        ] {
            let error = sweep(section).expect_err(section);
            assert!(error.starts_with(&format!("error: {message}")), "{section}: {error}");
        }
    }
}
