//! The reference simulator's topology files (`.topo`): a folded Clos by tiers (`formats.md`).

use fabric::units::{Rate, Span};

use crate::clos::{Clos, Tier};
use crate::error::TopologyError;
use crate::text::{TextError, Word, hint, words};

const HEADER: [&str; 3] = ["Nodes", "Tiers", "Podsize"];
const TIER: [&str; 8] = [
    "Tier",
    "Downlink_speed_Gbps",
    "Radix_Down",
    "Radix_Up",
    "Downlink_Latency_ns",
    "Switch_Latency_ns",
    "Oversubscribed",
    "Bundle",
];
const NAMES: [&[&str]; 3] = [&["leaf"], &["leaf", "spine"], &["tor", "agg", "core"]];

/// What the file says of one tier.
#[derive(Clone, Copy, Debug, Default)]
struct Raw {
    line: usize,
    rate: Option<u64>,
    radix_down: Option<u64>,
    radix_up: Option<u64>,
    delay: Option<u64>,
    latency: u64,
    bundle: Option<u64>,
}

/// Reads a `.topo` file.
///
/// # Errors
/// [`TextError`] with the line and column of what cannot be read, is missing, or does not fit.
pub fn parse(text: &str) -> Result<Clos, TextError> {
    let mut header: [Option<u64>; 3] = [None; 3];
    let mut tiers: Vec<Raw> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = words(line, number + 1);
        let [key, rest @ ..] = line.as_slice() else { continue };
        let value = single(key, rest)?;
        if let Some(place) = HEADER.iter().position(|known| *known == key.text) {
            header[place] = Some(value);
        } else {
            read_tier(key, value, &mut tiers)?;
        }
    }
    let [nodes, count, pod] = header;
    let missing =
        |key: &str| TextError { line: 0, column: 0, message: format!("`{key}` is missing") };
    let nodes = nodes.ok_or_else(|| missing("Nodes"))?;
    let count = count.ok_or_else(|| missing("Tiers"))? as usize;
    if !(1..=3).contains(&count) || tiers.len() != count {
        let message =
            format!("`Tiers` is {count}, and {} are described; expected 1 to 3", tiers.len());
        return Err(TextError { line: 0, column: 0, message });
    }
    let clos = Clos {
        hosts: small(nodes, "Nodes", 0)?,
        pod_hosts: if count == 3 {
            small(pod.ok_or_else(|| missing("Podsize"))?, "Podsize", 0)?
        } else {
            small(nodes, "Nodes", 0)?
        },
        tiers: finish(&tiers, count)?,
    };
    clos.build().map_err(|error: TopologyError| TextError {
        line: 0,
        column: 0,
        message: error.to_string(),
    })?;
    Ok(clos)
}

/// The one number after a key.
fn single(key: &Word<'_>, rest: &[Word<'_>]) -> Result<u64, TextError> {
    match rest {
        [value] => value.number(key.text),
        [] => Err(TextError::at(key, format!("`{}` has no value; expected a number", key.text))),
        [_, more, ..] => {
            Err(TextError::at(more, format!("found `{}`; expected the end of the line", more.text)))
        }
    }
}

fn read_tier(key: &Word<'_>, value: u64, tiers: &mut Vec<Raw>) -> Result<(), TextError> {
    if key.text == "Tier" {
        if value != tiers.len() as u64 {
            let message = format!("`Tier` is {value}; expected {}", tiers.len());
            return Err(TextError::at(key, message));
        }
        tiers.push(Raw { line: key.line, ..Raw::default() });
        return Ok(());
    }
    if !TIER.contains(&key.text) {
        let known = HEADER.iter().chain(&TIER).copied();
        let hint = hint(key.text, known);
        return Err(TextError::at(key, format!("unknown key `{}`{hint}", key.text)));
    }
    let Some(tier) = tiers.last_mut() else {
        return Err(TextError::at(key, format!("`{}` stands before the first `Tier`", key.text)));
    };
    match key.text {
        "Downlink_speed_Gbps" => tier.rate = Some(value),
        "Radix_Down" => tier.radix_down = Some(value),
        "Radix_Up" => tier.radix_up = Some(value),
        "Downlink_Latency_ns" => tier.delay = Some(value),
        "Switch_Latency_ns" => tier.latency = value,
        "Bundle" => tier.bundle = Some(value),
        // Follows from the radixes and speeds; the reference only prints it.
        _ => {}
    }
    Ok(())
}

fn finish(tiers: &[Raw], count: usize) -> Result<Vec<Tier>, TextError> {
    let mut finished = Vec::new();
    for (number, raw) in tiers.iter().enumerate() {
        let need = |value: Option<u64>, key: &str| {
            value.ok_or_else(|| TextError {
                line: raw.line,
                column: 1,
                message: format!("tier {number} has no `{key}`"),
            })
        };
        let gbps = need(raw.rate, "Downlink_speed_Gbps")?;
        if !(1..=100_000).contains(&gbps) {
            let message = format!("`Downlink_speed_Gbps` is {gbps}; expected 1 to 100000");
            return Err(TextError { line: raw.line, column: 1, message });
        }
        let radix_up = if number + 1 < count { need(raw.radix_up, "Radix_Up")? } else { 0 };
        finished.push(Tier {
            name: NAMES[count - 1][number],
            radix_down: small(need(raw.radix_down, "Radix_Down")?, "Radix_Down", raw.line)?,
            radix_up: small(radix_up, "Radix_Up", raw.line)?,
            bundle: small(raw.bundle.unwrap_or(1), "Bundle", raw.line)?,
            rate: Rate::from_gbps(gbps),
            delay: Span::from_nanos(need(raw.delay, "Downlink_Latency_ns")?),
            latency: Span::from_nanos(raw.latency),
        });
    }
    Ok(finished)
}

fn small(value: u64, key: &str, line: usize) -> Result<u32, TextError> {
    u32::try_from(value).ok().filter(|value| *value <= 16 << 20).ok_or_else(|| TextError {
        line,
        column: 1,
        message: format!("`{key}` is {value}; expected at most 16777216"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;

    const TINY: &str = "Nodes 32\nTiers 2\nPodsize 32\n\nTier 0\nDownlink_speed_Gbps 100\n\
        Radix_Down 8\nRadix_Up 2\nDownlink_Latency_ns 1000\nOversubscribed 4\n\nTier 1\n\
        Downlink_speed_Gbps 100\nRadix_Down 4\nDownlink_Latency_ns 1000\nSwitch_Latency_ns 5";

    /// A leaf-spine with four leaves and two spines; no newline at the end, CR LF or not.
    #[test]
    fn a_leaf_spine_is_read() {
        for text in [TINY.to_owned(), TINY.replace('\n', "\r\n")] {
            let clos = parse(&text).unwrap();
            let graph = clos.build().unwrap();
            assert_eq!((graph.hosts, graph.switches.len()), (32, 6));
            assert_eq!(graph.switches[5].latency, Span::from_nanos(5));
            check(&graph);
        }
    }

    /// Each kind of mistake names its line, what was found and what was expected.
    #[test]
    fn mistakes_name_their_place() {
        for (from, to, expected) in [
            (
                "Radix_Up 2",
                "Radix_Upp 2",
                "8:1: unknown key `Radix_Upp` (did you mean `Radix_Up`?)",
            ),
            (
                "Nodes 32",
                "Nodes lots",
                "1:7: Nodes is `lots`; expected a whole number, not negative",
            ),
            ("Podsize 32", "Podsize", "3:1: `Podsize` has no value; expected a number"),
            ("Tier 1", "Tier 4", "12:1: `Tier` is 4; expected 1"),
            ("Radix_Down 8\n", "", "5:1: tier 0 has no `Radix_Down`"),
            ("Radix_Down 4", "Radix_Down 5", "0:0: `Radix_Down` is 5, but 4 ports reach"),
            ("Nodes 32\n", "", "0:0: `Nodes` is missing"),
            ("Tiers 2", "Tiers 3", "0:0: `Tiers` is 3, and 2 are described"),
        ] {
            let error = parse(&TINY.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
