//! The `[records]` section of a scenario.

use fabric::series::Sampling;
use fabric::units::Span;
use results::records::Bounds;
use results::records::table::Format;

use crate::error::UserError;
use crate::scenario::tree::{Item, Section, Value};

/// What is recorded of runs, and how much of it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordOptions {
    /// Ports, buffers and connections are recorded over time; `None`: unless the fabric is too large for it.
    pub series: Option<bool>,
    /// The first interval; `None`: by the fabric.
    pub interval: Option<Span>,
    /// Most samples of a port; `None`: by the fabric.
    pub samples: Option<u32>,
    /// Connections of a host that are looked at.
    pub connections: u32,
    /// Most rows of tables.
    pub bounds: Bounds,
    /// Forms in which tables are written.
    pub formats: Vec<Format>,
}

/// Connections of a host that are looked at, unless said otherwise.
const CONNECTIONS: u32 = 2;
/// Ports from which on nothing is recorded over time unless asked for.
const MANY_PORTS: u64 = 500_000;
/// Samples of all ports together that are kept in memory, unless said otherwise.
const SAMPLES: u64 = 4 << 20;
/// Least and most samples of a port, unless said otherwise.
const USUAL: (u64, u64) = (16, 256);
/// The first interval in lookaheads, unless said otherwise: each instant cuts a window in two.
const LOOKAHEADS: u64 = 8;

impl RecordOptions {
    /// What is recorded over time in a fabric with so many ports, whose nodes may run ahead by `lookahead`.
    pub fn sampling(&self, ports: u64, lookahead: Span) -> Option<Sampling> {
        let usual = (SAMPLES / ports.max(1)).clamp(USUAL.0, USUAL.1) as u32;
        self.series.unwrap_or(ports <= MANY_PORTS).then_some(Sampling {
            interval: self.interval.unwrap_or(lookahead * LOOKAHEADS),
            most: self.samples.unwrap_or(usual),
            connections: self.connections,
        })
    }
}

pub(super) fn records(section: &Section<'_>) -> Result<RecordOptions, UserError> {
    let mut bounds = Bounds::default();
    if let Some(flows) = section.count("flows", 2, 1 << 32)? {
        bounds.flows = flows as usize;
    }
    let all = matches!(section.get("ports"), Some(Item { value: Value::Text(word), .. }) if word == "all");
    if all {
        bounds.ports = usize::MAX;
    } else if let Some(ports) = section.count("ports", 0, 1 << 32)? {
        bounds.ports = ports as usize;
    }
    let options = RecordOptions {
        series: section.truth("series")?,
        interval: section.span("interval")?,
        samples: section.count("samples", 2, 1 << 20)?.map(|most| most as u32),
        connections: section
            .count("connections", 0, 1 << 20)?
            .map_or(CONNECTIONS, |most| most as u32),
        bounds,
        formats: formats(section)?,
    };
    if let (Some(Span::ZERO), Some(item)) = (options.interval, section.get("interval")) {
        return Err(section.wrong("interval", item, "more than 0"));
    }
    section.finish()?;
    Ok(options)
}

fn formats(section: &Section<'_>) -> Result<Vec<Format>, UserError> {
    let known = [("parquet", Format::Parquet), ("csv", Format::Csv), ("json", Format::Json)];
    let Some(item) = section.get("formats") else { return Ok(vec![Format::Parquet]) };
    let expected = "parquet, csv or json, or a list of them";
    let one = |value: &Value| match value {
        Value::Text(word) => known.iter().find(|(name, _)| name == word).map(|(_, format)| *format),
        _ => None,
    };
    let formats = match &item.value {
        Value::List(items) => items.iter().map(|item| one(&item.value)).collect(),
        value => one(value).map(|format| vec![format]),
    };
    match formats {
        Some(formats) if !formats.is_empty() => Ok(formats),
        _ => Err(section.wrong("formats", item, expected)),
    }
}
