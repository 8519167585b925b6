//! From the records of a run to what figures show: made of tables that were read back, so that a figure needs no run.

use std::collections::{BTreeMap, BTreeSet};

use crate::plots::heat::{Heat, Strip};
use crate::plots::lines::{Axis, Chart, Line, Point};
use crate::records::read::Frame;
use crate::summary::RunSummary;

/// The tables that figures are made of.
pub struct Tables {
    /// `flows`.
    pub flows: Frame,
    /// `port_samples`.
    pub samples: Frame,
    /// `connection_samples`.
    pub connections: Frame,
    /// `faults`.
    pub faults: Frame,
}

/// A figure, and the name of its file.
pub struct Figure {
    /// Without ending.
    pub name: &'static str,
    /// What it shows.
    pub content: Content,
}

/// What a figure shows.
pub enum Content {
    /// Lines.
    Charts(Vec<Chart>),
    /// Load of links over time.
    Heat(Vec<Heat>),
}

/// A sample of a port.
struct Row<'a> {
    at: f64,
    interval: f64,
    node: &'a str,
    peer: &'a str,
    port: u64,
    bytes: f64,
    utilisation: f64,
    queue: f64,
}

/// Samples by variant and workload, in the order of the file.
type Samples<'a> = Vec<((&'a str, &'a str), Vec<Row<'a>>)>;

fn samples(table: &Frame) -> Result<Samples<'_>, String> {
    let (variants, workloads) = (table.text("variant")?, table.text("workload")?);
    let (nodes, peers, ports) = (table.text("node")?, table.text("peer")?, table.whole("port")?);
    let numbers = |name| -> Result<Vec<f64>, String> {
        Ok(table.numbers(name)?.into_iter().map(|value| value.unwrap_or(0.0)).collect())
    };
    let (at, interval) = (numbers("at_ps")?, numbers("interval_ps")?);
    let (bytes, utilisation, queue) =
        (numbers("bytes")?, numbers("utilisation")?, numbers("queue_bytes_max")?);
    let mut found: Samples<'_> = Vec::new();
    for row in 0..table.rows() {
        let key = (variants[row], workloads[row]);
        let own = Row {
            at: at[row] / 1e6,
            interval: interval[row] / 1e6,
            node: nodes[row],
            peer: peers[row],
            port: ports[row],
            bytes: bytes[row],
            utilisation: utilisation[row],
            queue: queue[row],
        };
        match found.last_mut() {
            Some((known, rows)) if *known == key => rows.push(own),
            _ => found.push((key, vec![own])),
        }
    }
    Ok(found)
}

fn tier(node: &str) -> &str {
    node.split(':').next().unwrap_or(node)
}

/// All figures for which a run has something.
///
/// # Errors
/// A sentence, when a table lacks a column.
pub fn figures(summary: &RunSummary, tables: &Tables) -> Result<Vec<Figure>, String> {
    let samples = samples(&tables.samples)?;
    let charts = [
        ("percentiles", percentiles(summary)),
        ("slowdown_by_size", slowdown_by_size(&tables.flows)?),
        ("queues", over_time(&samples, "longest egress queue of any switch port", "KB", longest)),
        ("utilisation", utilisation(&samples)),
        ("throughput", throughput(&samples, &tables.faults)?),
        ("fairness", over_time(&samples, FAIRNESS, "", fairness)),
        ("cwnd", connections(&tables.connections, "cwnd_bytes", "congestion window", "KB", 1e3)?),
        ("rate", connections(&tables.connections, "rate_bps", "rate of senders", "Gb/s", 1e9)?),
        ("rtt", connections(&tables.connections, "rtt_ps", "round-trip time", "us", 1e6)?),
        ("bandwidth_by_size", bandwidth(summary)),
    ];
    let with_points = |(name, mut charts): (&'static str, Vec<Chart>)| {
        charts.retain(|chart| chart.lines.iter().any(|line| !line.points.is_empty()));
        (!charts.is_empty()).then_some(Figure { name, content: Content::Charts(charts) })
    };
    let mut figures: Vec<Figure> = charts.into_iter().filter_map(with_points).collect();
    let heat: Vec<Heat> = samples.iter().map(heat).collect();
    if !heat.is_empty() {
        figures.push(Figure { name: "links", content: Content::Heat(heat) });
    }
    Ok(figures)
}

const FAIRNESS: &str = "fairness (Jain) of the rates at which hosts send";

fn label(text: impl Into<String>) -> Axis {
    Axis { label: text.into(), ..Axis::default() }
}

fn point(x: f64, y: f64) -> Point {
    Point { x, y, spread: 0.0 }
}

/// Completion times by percentile: a chart a workload, a line a variant.
fn percentiles(summary: &RunSummary) -> Vec<Chart> {
    let words = ["min", "p50", "mean", "p99", "p99.9", "max"];
    let first = summary.variants.first().map_or(&[][..], |variant| &variant.workloads);
    let chart = |place: usize, title: &str| {
        let line = |variant: &crate::summary::VariantSummary| {
            let p = variant.workloads.get(place)?.figures.fct_us;
            let values = [p.min, p.p50, p.mean, p.p99, p.p999, p.max];
            let points = values.iter().enumerate().map(|(x, y)| point(x as f64, *y)).collect();
            Some(Line { name: variant.name.clone(), points })
        };
        Chart {
            title: format!("{title}: completion times of flows"),
            x: Axis { words: words.map(str::to_owned).into(), ..label("") },
            y: label("us"),
            lines: summary.variants.iter().filter_map(line).collect(),
            marks: true,
            from_zero: true,
        }
    };
    first.iter().enumerate().map(|(place, workload)| chart(place, &workload.name)).collect()
}

/// Completion times by variant.
type Times<'a> = Vec<(&'a str, Vec<f64>)>;

/// Completion times of flows as shares: a chart a workload, a line a variant.
///
/// # Errors
/// A sentence, when the table lacks a column.
pub fn distributions(flows: &Frame) -> Result<Vec<Chart>, String> {
    let (variants, workloads) = (flows.text("variant")?, flows.text("workload")?);
    let times = flows.numbers("fct_ps")?;
    let mut found: Vec<(&str, Times<'_>)> = Vec::new();
    for row in 0..flows.rows() {
        let Some(time) = times[row] else { continue };
        let place = found.iter().position(|(name, _)| *name == workloads[row]);
        let place = place.unwrap_or_else(|| {
            found.push((workloads[row], Vec::new()));
            found.len() - 1
        });
        let of = &mut found[place].1;
        match of.iter_mut().find(|(name, _)| *name == variants[row]) {
            Some((_, times)) => times.push(time / 1e6),
            None => of.push((variants[row], vec![time / 1e6])),
        }
    }
    let line = |(variant, mut times): (&str, Vec<f64>)| {
        times.sort_unstable_by(f64::total_cmp);
        let count = times.len();
        let ranks = (0..count).step_by(count.div_ceil(SHARES).max(1)).chain([count - 1]);
        let points = ranks.map(|rank| point(times[rank], (rank + 1) as f64 / count as f64));
        Line { name: variant.to_owned(), points: points.collect() }
    };
    let chart = |(workload, of): (&str, Times<'_>)| Chart {
        title: format!("{workload}: completion times, share of flows"),
        x: Axis { logarithmic: true, ..label("completion time, us") },
        y: label("share of flows"),
        lines: of.into_iter().map(line).collect(),
        marks: false,
        from_zero: true,
    };
    Ok(found.into_iter().map(chart).collect())
}

/// Points of a distribution.
const SHARES: usize = 400;

/// Slowdowns of flows by their size, in powers of two: median and 99th percentile.
fn slowdown_by_size(flows: &Frame) -> Result<Vec<Chart>, String> {
    let (variants, workloads) = (flows.text("variant")?, flows.text("workload")?);
    let (bytes, times, ideals) =
        (flows.whole("bytes")?, flows.numbers("fct_ps")?, flows.numbers("ideal_ps")?);
    let mut sizes: BTreeMap<&str, BTreeMap<(&str, u32), Vec<f64>>> = BTreeMap::new();
    for row in 0..flows.rows() {
        let (Some(time), Some(ideal)) = (times[row], ideals[row]) else { continue };
        let size = bytes[row].max(1).next_power_of_two().ilog2();
        let of = sizes.entry(workloads[row]).or_default();
        of.entry((variants[row], size)).or_default().push(time / ideal.max(1.0));
    }
    let mut charts = Vec::new();
    for (workload, of) in &mut sizes {
        let distinct: BTreeSet<u32> = of.keys().map(|(_, size)| *size).collect();
        if distinct.len() < 2 {
            continue;
        }
        let mut lines: Vec<Line> = Vec::new();
        for ((variant, size), slowdowns) in of {
            slowdowns.sort_unstable_by(f64::total_cmp);
            for (percent, tail) in [(50, "p50"), (99, "p99")] {
                let rank = (slowdowns.len() * percent).div_ceil(100) - 1;
                let (name, x) = (format!("{variant} {tail}"), f64::from(1u32 << size));
                add(&mut lines, name, point(x, slowdowns[rank]));
            }
        }
        charts.push(Chart {
            title: format!("{workload}: slowdown of flows by size, up to each power of two"),
            x: Axis { bytes: true, logarithmic: true, ..label("size of the flow") },
            y: label("slowdown"),
            lines,
            marks: true,
            from_zero: true,
        });
    }
    Ok(charts)
}

fn add(lines: &mut Vec<Line>, name: String, point: Point) {
    match lines.iter_mut().find(|line| line.name == name) {
        Some(line) => line.points.push(point),
        None => lines.push(Line { name, points: vec![point] }),
    }
}

/// The workloads of the samples, in order.
fn workloads<'a>(samples: &Samples<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for ((_, workload), _) in samples {
        if !names.contains(workload) {
            names.push(workload);
        }
    }
    names
}

/// A figure of an interval, from all samples of it.
type OfInterval = fn(&[&Row<'_>]) -> Option<f64>;

/// A chart a workload of a figure over time, a line a variant.
fn over_time(samples: &Samples<'_>, title: &str, unit: &str, value: OfInterval) -> Vec<Chart> {
    // Where nothing moves there is nothing to be fair about; all else is zero.
    let rest = title != FAIRNESS;
    let chart = |workload: &str| {
        let own = samples.iter().filter(|((_, name), _)| *name == workload);
        let lines = own.map(|((variant, _), rows)| {
            let instants = by_time(rows);
            let points = instants.iter().filter_map(|rows| Some(point(rows[0].at, value(rows)?)));
            let interval = rows.first().map_or(1.0, |row| row.interval);
            let points = if rest { resting(points, interval) } else { points.collect() };
            Line { name: (*variant).to_owned(), points }
        });
        let separator = if unit.is_empty() { "" } else { ", " };
        Chart {
            title: format!("{workload}: {title}"),
            x: label("time, us"),
            y: label(format!("{}{separator}{unit}", title.split(" of ").next().unwrap_or(title))),
            lines: lines.collect(),
            marks: false,
            from_zero: true,
        }
    };
    workloads(samples).into_iter().map(chart).collect()
}

/// Points with zeros where there was no sample in between.
fn resting(points: impl Iterator<Item = Point>, interval: f64) -> Vec<Point> {
    let mut found: Vec<Point> = Vec::new();
    for next in points {
        if let Some(last) = found.last().copied()
            && next.x - last.x > 1.5 * interval
        {
            found.push(point(last.x + interval, 0.0));
            found.push(point(next.x - interval, 0.0));
        }
        found.push(next);
    }
    found
}

/// Samples of each instant.
fn by_time<'a>(rows: &'a [Row<'a>]) -> Vec<Vec<&'a Row<'a>>> {
    let mut instants: BTreeMap<u64, Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        instants.entry((row.at * 1e6) as u64).or_default().push(row);
    }
    instants.into_values().collect()
}

fn longest(rows: &[&Row<'_>]) -> Option<f64> {
    let switches = rows.iter().filter(|row| tier(row.node) != "host");
    Some(switches.map(|row| row.queue).fold(0.0, f64::max) / 1e3)
}

fn fairness(rows: &[&Row<'_>]) -> Option<f64> {
    let rates = rows.iter().filter(|row| tier(row.node) == "host").map(|row| row.bytes);
    let (count, sum, squares) =
        rates.fold((0.0, 0.0, 0.0), |(n, sum, squares), r| (n + 1.0, sum + r, squares + r * r));
    (squares > 0.0).then(|| sum * sum / (count * squares))
}

/// Mean load of links over time by tier and direction: a chart for each workload and variant.
fn utilisation(samples: &Samples<'_>) -> Vec<Chart> {
    let chart = |((variant, workload), rows): &((&str, &str), Vec<Row<'_>>)| {
        // Ports of each kind that were seen at all: those that rest count as zero.
        let mut ports: BTreeMap<(&str, &str), BTreeSet<(&str, u64)>> = BTreeMap::new();
        for row in rows {
            ports.entry(tiers(row)).or_default().insert((row.node, row.port));
        }
        let mut lines: Vec<Line> = Vec::new();
        for instant in by_time(rows) {
            for (kind_of, ports) in &ports {
                let own = instant.iter().filter(|row| tiers(row) == *kind_of);
                let sum: f64 = own.map(|row| row.utilisation).sum();
                let percent = 100.0 * sum / ports.len() as f64;
                let name = format!("{} to {}", kind_of.0, kind_of.1);
                add(&mut lines, name, point(instant[0].at, percent));
            }
        }
        let interval = rows.first().map_or(1.0, |row| row.interval);
        for line in &mut lines {
            line.points = resting(std::mem::take(&mut line.points).into_iter(), interval);
        }
        Chart {
            title: format!("{variant}, {workload}: mean load of links"),
            x: label("time, us"),
            y: label("load, %"),
            lines,
            marks: false,
            from_zero: true,
        }
    };
    samples.iter().map(chart).collect()
}

/// From which tier to which a port sends.
fn tiers<'a>(row: &Row<'a>) -> (&'a str, &'a str) {
    (tier(row.node), tier(row.peer))
}

/// What hosts receive over time, with the times of faults in the title: a chart a workload, a line a variant.
fn throughput(samples: &Samples<'_>, faults: &Frame) -> Result<Vec<Chart>, String> {
    let mut charts = over_time(samples, "frames received by hosts", "Gb/s", |rows| {
        let received = rows.iter().filter(|row| tier(row.peer) == "host");
        let bytes: f64 = received.map(|row| row.bytes).sum();
        Some(bytes * 8e-3 / rows[0].interval)
    });
    let (at, places, changes) =
        (faults.whole("at_ps")?, faults.text("place")?, faults.text("change")?);
    let mut told: Vec<String> = (0..faults.rows())
        .map(|row| format!("{} {} at {} us", places[row], changes[row], at[row] / 1_000_000))
        .collect();
    told.dedup();
    let more = told.len().saturating_sub(2);
    told.truncate(2);
    if more > 0 {
        told.push(format!("{more} more changes"));
    }
    if !told.is_empty() {
        charts.iter_mut().for_each(|chart| chart.title += &format!(" ({})", told.join("; ")));
    }
    Ok(charts)
}

/// Lines of a chart of connections.
const CONNECTIONS: usize = 8;

/// A connection: variant, workload, host, number.
type Connection<'a> = (&'a str, &'a str, u64, u64);

/// A few connections of each variant and workload, of as many hosts as possible.
fn shown<'a>(rows: impl Iterator<Item = Connection<'a>>) -> BTreeSet<Connection<'a>> {
    let mut hosts: BTreeMap<(&str, &str), BTreeMap<u64, BTreeSet<u64>>> = BTreeMap::new();
    for (variant, workload, host, number) in rows {
        hosts.entry((variant, workload)).or_default().entry(host).or_default().insert(number);
    }
    let mut shown = BTreeSet::new();
    for ((variant, workload), hosts) in &hosts {
        let each = CONNECTIONS.div_ceil(hosts.len());
        for (host, numbers) in hosts.iter().take(CONNECTIONS) {
            let own = numbers.iter().take(each);
            shown.extend(own.map(|number| (*variant, *workload, *host, *number)));
        }
    }
    shown
}

/// A figure of connections over time, of a few of each variant and workload.
fn connections(
    table: &Frame,
    column: &str,
    title: &str,
    unit: &str,
    scale: f64,
) -> Result<Vec<Chart>, String> {
    let (variants, workloads) = (table.text("variant")?, table.text("workload")?);
    let (hosts, numbers, at) =
        (table.whole("host")?, table.whole("connection")?, table.whole("at_ps")?);
    let values = table.numbers(column)?;
    let names = |row: usize| (variants[row], workloads[row], hosts[row], numbers[row]);
    let shown = shown((0..table.rows()).map(names));
    let mut charts: Vec<((&str, &str), Chart)> = Vec::new();
    for row in 0..table.rows() {
        let Some(value) = values[row] else { continue };
        let key = (variants[row], workloads[row]);
        if charts.last().is_none_or(|(known, _)| *known != key) {
            let chart = Chart {
                title: format!("{}, {}: {title}", key.0, key.1),
                x: label("time, us"),
                y: label(format!("{title}, {unit}")),
                from_zero: true,
                ..Chart::default()
            };
            charts.push((key, chart));
        }
        let Some((_, chart)) = charts.last_mut() else { continue };
        if shown.contains(&names(row)) {
            let name = format!("host {} connection {}", hosts[row], numbers[row]);
            add(&mut chart.lines, name, point(at[row] as f64 / 1e6, value / scale));
        }
    }
    Ok(charts.into_iter().map(|(_, chart)| chart).collect())
}

/// Bus bandwidth of a run's collectives by the size of their buffer, as nccl-tests show it.
fn bandwidth(summary: &RunSummary) -> Vec<Chart> {
    let mut kinds: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for variant in &summary.variants {
        let collectives = variant.workloads.iter().filter_map(|w| w.figures.collective.as_ref());
        for one in collectives {
            let lines = kinds.entry(one.kind.clone()).or_default();
            add(lines, variant.name.clone(), point(one.bytes as f64, one.bus_bandwidth_gbps));
        }
    }
    let chart = |(kind, mut lines): (String, Vec<Line>)| {
        lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.x.total_cmp(&b.x)));
        lines.iter().any(|line| line.points.len() > 1).then(|| Chart {
            title: format!("{kind}: bus bandwidth by size"),
            x: Axis { bytes: true, logarithmic: true, ..label("buffer of each rank") },
            y: label("bus bandwidth, Gb/s"),
            lines,
            marks: true,
            from_zero: true,
        })
    };
    kinds.into_iter().filter_map(chart).collect()
}

/// Samples of ports, by node and number: when an interval begins, and the load in it.
type Loads = BTreeMap<(String, u64), Vec<(f64, f64)>>;

/// Load of every link over time, by tier and direction.
fn heat(((variant, workload), rows): &((&str, &str), Vec<Row<'_>>)) -> Heat {
    let mut strips: BTreeMap<(&str, &str), Loads> = BTreeMap::new();
    for row in rows {
        let ports = strips.entry(tiers(row)).or_default();
        // In order of numbers, not of signs.
        let (name, number) = row.node.split_once(':').unwrap_or((row.node, "0"));
        let key = (format!("{name}:{number:0>8}"), row.port);
        ports.entry(key).or_default().push((row.at - row.interval, row.utilisation));
    }
    let strip = |((from, to), ports): ((&str, &str), Loads)| Strip {
        name: format!("{from} to {to}"),
        rows: ports.into_values().collect(),
    };
    Heat {
        title: format!("{variant}, {workload}: load of links over time"),
        interval: rows.first().map_or(1.0, |row| row.interval),
        end: rows.iter().map(|row| row.at).fold(0.0, f64::max),
        strips: strips.into_iter().map(strip).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::table::Format;
    use crate::records::tests::run;
    use crate::records::{Bounds, Records, Run};
    use crate::summary::tests::record;
    use crate::summary::{Context, Figures, VariantSummary, WorkloadSummary};

    fn tables(runs: &[Run]) -> Tables {
        let records = Records { runs, fabrics: &[], bounds: Bounds::default() };
        let mut all: BTreeMap<&str, Frame> = BTreeMap::new();
        for table in records.tables() {
            all.insert(table.name, Frame::parse(table.encode(Format::Parquet)).unwrap());
        }
        let mut take = |name| all.remove(name).unwrap();
        Tables {
            flows: take("flows"),
            samples: take("port_samples"),
            connections: take("connection_samples"),
            faults: take("faults"),
        }
    }

    fn summary(bytes: &[u64]) -> RunSummary {
        let workload = |bytes: &u64| {
            let mut figures =
                Figures::of(&record(&[Some(5)]), &Context { messages: 1, ..Context::default() });
            figures.collective = Some(crate::summary::CollectiveFigures {
                kind: "all-reduce".into(),
                ranks: 4,
                bytes: *bytes,
                time_us: 1.0,
                algorithm_bandwidth_gbps: 1.0,
                bus_bandwidth_gbps: *bytes as f64,
            });
            WorkloadSummary { name: format!("all-reduce {bytes}"), figures }
        };
        let workloads: Vec<WorkloadSummary> = bytes.iter().map(workload).collect();
        let figures = workloads[0].figures.clone();
        let variant = VariantSummary { name: "uec".into(), clock_dilation: 1, figures, workloads };
        let (name, version) = ("n".into(), "0".into());
        RunSummary { name, seed: 1, version, variants: vec![variant], claims: Vec::new() }
    }

    /// Without samples there are figures of flows alone; with collectives of several sizes their bandwidth by size.
    #[test]
    fn there_are_figures_of_what_there_is() {
        let names = |bytes: &[u64]| -> Vec<&str> {
            let figures = figures(&summary(bytes), &tables(&[run(&[Some(5), Some(9)])])).unwrap();
            figures.iter().map(|figure| figure.name).collect()
        };
        assert_eq!(names(&[1_024]), ["percentiles"]);
        assert_eq!(names(&[1_024, 4_096]), ["percentiles", "bandwidth_by_size"]);
    }

    /// Sizes of flows fall into powers of two, and each has its percentiles.
    #[test]
    fn slowdowns_are_by_size() {
        let mut one = run(&[Some(4), Some(8), Some(8), Some(8)]);
        for (message, bytes) in one.record.messages.iter_mut().zip([900, 1_000, 5_000, 8_192]) {
            message.bytes = bytes;
        }
        let charts = slowdown_by_size(&tables(&[one]).flows).unwrap();
        let line = &charts[0].lines[0];
        assert_eq!(
            (line.name.as_str(), line.points[0].x, line.points[0].y),
            ("uec p50", 1_024.0, 2.0)
        );
        assert_eq!((line.points[1].x, line.points[1].y), (8_192.0, 4.0));
    }

    /// A pause between samples is a line along zero, not a slope across it.
    #[test]
    fn pauses_are_zero() {
        let points = [point(1.0, 5.0), point(2.0, 6.0), point(9.0, 4.0)];
        let found = resting(points.into_iter(), 1.0);
        assert_eq!(
            found.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>(),
            [(1.0, 5.0), (2.0, 6.0), (3.0, 0.0), (8.0, 0.0), (9.0, 4.0)]
        );
    }

    /// Of many connections a few are shown, of as many hosts as possible.
    #[test]
    fn connections_of_many_hosts_are_shown() {
        let all = (0..20).flat_map(|host| (0..9).map(move |number| ("v", "w", host, number)));
        assert!(shown(all).iter().all(|(.., number)| *number == 0));
        let two = (0..2).flat_map(|host| (0..9).map(move |number| ("v", "w", host, number)));
        assert_eq!(shown(two).len(), CONNECTIONS);
    }
}
