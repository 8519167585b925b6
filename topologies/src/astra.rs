//! Networks of astra-sim's analytical model (`.yml`): dimensions of rings, switches and full meshes.
//!
//! An accelerator has a link in each dimension and passes on what is not for it, so it stands here as a host with a switch of its
//! own, unless its only dimension is a switch. The link between the two is as fast as the others together and has a fiftieth of
//! the shortest latency. Switches of dimensions and of accelerators take no time: the file's latencies are those of links.

use fabric::graph::Graph;
use fabric::units::{Rate, Span};
use yaml_rust2::{Yaml, YamlLoader};

use crate::named::Defaults;
use crate::text::TextError;
use crate::wiring::{Wire, Wiring};

/// Most accelerators that are read.
const MOST: u64 = 65_536;

/// How a dimension joins its members.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    Ring,
    Switch,
    FullyConnected,
}

const JOINS: [(&str, Join); 3] =
    [("Ring", Join::Ring), ("Switch", Join::Switch), ("FullyConnected", Join::FullyConnected)];

/// A dimension.
struct Dimension {
    join: Join,
    size: u32,
    rate: Rate,
    delay: Span,
}

/// Whether `text` looks like such a file.
pub fn is_one(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    has("topology:") && has("npus_count:")
}

/// Reads a network; links of which the file does not say bandwidth or latency (`tbd`) are as `defaults`.
///
/// # Errors
/// [`TextError`] with the line of what cannot be read.
pub fn parse(text: &str, defaults: Defaults) -> Result<Graph, TextError> {
    let whole = |message: String| TextError { line: 0, column: 0, message };
    let documents = YamlLoader::load_from_str(text).map_err(|error| {
        let at = error.marker();
        TextError { line: at.line(), column: at.col() + 1, message: error.info().to_owned() }
    })?;
    let root = documents.first().ok_or_else(|| whole("the file is empty".to_owned()))?;
    let dimensions = dimensions(text, root, defaults)?;
    wired(&dimensions).build().map_err(whole)
}

/// The values of a list under `key`, each with what makes an error of it.
struct Values<'a> {
    key: &'static str,
    line: usize,
    values: &'a [Yaml],
}

impl<'a> Values<'a> {
    fn of(text: &str, root: &'a Yaml, key: &'static str) -> Result<Values<'a>, TextError> {
        let place = text.lines().position(|line| line.trim_start().starts_with(key));
        let line = place.map_or(0, |place| place + 1);
        match &root[key] {
            Yaml::Array(values) => Ok(Values { key, line, values }),
            _ => {
                let message = format!("`{key}` is no list, like [ 8, 2 ]");
                Err(TextError { line, column: usize::from(line > 0), message })
            }
        }
    }

    fn wrong(&self, place: usize, expected: &str) -> TextError {
        let found = match &self.values[place] {
            Yaml::String(text) | Yaml::Real(text) => text.clone(),
            Yaml::Integer(number) => number.to_string(),
            _ => "something else".to_owned(),
        };
        let message = format!("`{}` has `{found}`; expected {expected}", self.key);
        TextError { line: self.line, column: 1, message }
    }

    /// A number; `None` where it is still to be said.
    fn number(&self, place: usize) -> Result<Option<f64>, TextError> {
        let number = match &self.values[place] {
            Yaml::Integer(number) => Some(*number as f64),
            Yaml::Real(text) => text.parse().ok(),
            Yaml::String(text) if text == "tbd" => return Ok(None),
            _ => None,
        };
        match number.filter(|number| *number > 0.0 && *number < 1e9) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(place, "a number above 0, or tbd")),
        }
    }
}

fn dimensions(text: &str, root: &Yaml, defaults: Defaults) -> Result<Vec<Dimension>, TextError> {
    let [joins, sizes, rates, delays] =
        ["topology", "npus_count", "bandwidth", "latency"].map(|key| Values::of(text, root, key));
    let (joins, sizes, rates, delays) = (joins?, sizes?, rates?, delays?);
    for list in [&sizes, &rates, &delays] {
        if list.values.len() != joins.values.len() {
            let (own, all) = (list.values.len(), joins.values.len());
            let message = format!("`{}` has {own} values; `topology` has {all}", list.key);
            return Err(TextError { line: list.line, column: 1, message });
        }
    }
    let dimension = |place: usize| {
        let join = joins.values[place].as_str();
        let known = JOINS.iter().find(|(name, _)| Some(*name) == join);
        let (_, join) =
            known.ok_or_else(|| joins.wrong(place, "Ring, Switch or FullyConnected"))?;
        let size = sizes.values[place].as_i64().filter(|size| (2..=MOST as i64).contains(size));
        let size = size.ok_or_else(|| sizes.wrong(place, "2 to 65536"))? as u32;
        // Bandwidths are in GB/s, latencies in ns.
        let rate = rates.number(place)?.map(|rate| Rate::from_bits_per_second((rate * 8e9) as u64));
        let delay = delays.number(place)?.map(|delay| Span((delay * 1e3) as u64));
        let (rate, delay) = (rate.unwrap_or(defaults.rate), delay.unwrap_or(defaults.delay));
        Ok(Dimension { join: *join, size, rate, delay })
    };
    let found: Vec<Dimension> =
        (0..joins.values.len()).map(dimension).collect::<Result<_, TextError>>()?;
    let all = found.iter().map(|dimension| u64::from(dimension.size)).product::<u64>();
    if found.is_empty() || all > MOST {
        let message = format!("there are {all} accelerators; expected 2 to {MOST}");
        return Err(TextError { line: sizes.line, column: 1, message });
    }
    Ok(found)
}

/// Nodes are hosts, then a switch for each, then those of dimensions.
fn wired(dimensions: &[Dimension]) -> Wiring {
    let hosts: u32 = dimensions.iter().map(|dimension| dimension.size).product();
    let alone = matches!(dimensions, [Dimension { join: Join::Switch, .. }]);
    let mut wires = Vec::new();
    let mut nodes = hosts;
    if !alone {
        let all = dimensions.iter().map(|dimension| dimension.rate.bits_per_second()).sum();
        let shortest = dimensions.iter().map(|dimension| dimension.delay).min();
        let delay = Span((shortest.unwrap_or_default().0 / 50).max(1_000));
        let rate = Rate::from_bits_per_second(all);
        wires.extend((0..hosts).map(|host| Wire { a: host, b: hosts + host, rate, delay }));
        nodes = 2 * hosts;
    }
    let end = |host: u32| if alone { host } else { hosts + host };
    let mut stride = 1;
    for Dimension { join, size, rate, delay } in dimensions {
        let (rate, delay) = (*rate, *delay);
        for first in (0..hosts).filter(|host| host / stride % size == 0) {
            let member = |place: u32| end(first + place % size * stride);
            let mut wire = |a, b| wires.push(Wire { a, b, rate, delay });
            match join {
                Join::Ring => {
                    // Two are joined by one link.
                    let links = if *size == 2 { 1 } else { *size };
                    (0..links).for_each(|place| wire(member(place), member(place + 1)));
                }
                Join::FullyConnected => {
                    for a in 0..*size {
                        (a + 1..*size).for_each(|b| wire(member(a), member(b)));
                    }
                }
                Join::Switch => {
                    (0..*size).for_each(|place| wire(member(place), nodes));
                    nodes += 1;
                }
            }
        }
        stride *= size;
    }
    Wiring { hosts, nodes, inner: 0, wires }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn defaults() -> Defaults {
        Defaults { rate: Rate::from_gbps(100), delay: Span::from_nanos(700) }
    }

    const TWO: &str = "# made for this\ntopology: [ Switch, Ring ]\nnpus_count: [ 8, 4 ]\n\
        bandwidth: [ 400.0, 50 ]  # GB/s\nlatency: [ 936.25, 1000 ]\n";

    /// Dimensions of each kind have the nodes and links that they should, and all routes arrive.
    #[test]
    fn dimensions_are_wired() {
        assert!(is_one(TWO));
        for (text, switches, links) in [
            // Four switches of eight, and eight rings of four.
            (TWO.to_owned(), 32 + 4, 32 + 32 + 32),
            (TWO.replace("Ring", "FullyConnected"), 32 + 4, 32 + 32 + 8 * 6),
            (TWO.replace("4 ]", "2 ]"), 16 + 2, 16 + 16 + 8),
            (
                "topology: [ Switch ]\nnpus_count: [ 8 ]\nbandwidth: [ 400 ]\nlatency: [ 9 ]\n"
                    .to_owned(),
                1,
                8,
            ),
        ] {
            let graph = parse(&text, defaults()).unwrap();
            assert_eq!((graph.switches.len(), graph.links.len()), (switches, links), "{text}");
            check::arrives(&graph).unwrap();
        }
    }

    /// Bandwidths are in GB/s, latencies in ns; what is to be determined is as the scenario says.
    #[test]
    fn units_are_gigabytes_and_nanoseconds() {
        let text = TWO.replace("[ 400.0, 50 ]", "[ tbd, 50 ]").replace("[ 936.25,", "[ tbd,");
        let graph = parse(&text, defaults()).unwrap();
        let has = |gbps: u64, delay: Span| {
            graph.links.iter().any(|link| {
                (link.rate.bits_per_second() / 100_000_000, link.delay) == (gbps * 10, delay)
            })
        };
        assert!(has(100, Span::from_nanos(700)) && has(400, Span::from_nanos(1_000)));
    }

    /// Mistakes name their line and key.
    #[test]
    fn mistakes_name_their_line() {
        for (from, to, expected) in [
            ("Ring", "Rings", "2:1: `topology` has `Rings`; expected Ring, Switch"),
            ("[ 8, 4 ]", "[ 8, 1 ]", "3:1: `npus_count` has `1`; expected 2 to 65536"),
            ("[ 8, 4 ]", "[ 8 ]", "3:1: `npus_count` has 1 values; `topology` has 2"),
            ("400.0", "fast", "4:1: `bandwidth` has `fast`; expected a number"),
            ("latency", "latencies", "0:0: `latency` is no list"),
        ] {
            let error = parse(&TWO.replacen(from, to, 1), defaults()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
