//! What was measured: figures by case, the machine, the table, the file.

use std::fmt::Write as _;
use std::path::Path;

use results::plots::lines::{Axis, Chart, Line, Point};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::cases::Case;
use crate::error::UserError;

/// A machine, as far as it matters for speed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Processor.
    pub processor: String,
    /// Cores.
    pub cores: u64,
}

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("model name"));
        let name = name.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim());
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Machine { processor: name.unwrap_or(std::env::consts::ARCH).to_owned(), cores }
    }
}

/// A case: medians over its runs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Hosts of its fabric.
    #[serde(default)]
    pub hosts: u32,
    /// Witness of all deliveries and drops.
    #[serde(default)]
    pub digest: String,
    /// Packets sent by ports.
    pub hops: u64,
    /// Seconds of running, without building.
    pub wall_s: f64,
    /// Packet-hops a second.
    pub hops_per_s: f64,
    /// Fastest and slowest run, in seconds.
    pub spread_s: (f64, f64),
    /// Most packets in the fabric at once.
    pub packets_in_flight_max: u64,
    /// Ports that a data packet is sent by, with its share of acknowledgements.
    pub hops_per_packet: f64,
    /// Peak memory of the process.
    pub peak_rss_bytes: u64,
    /// The same a host.
    pub bytes_per_host: u64,
    /// Seconds of the reference for the same work.
    pub reference_s: Option<f64>,
}

impl Measured {
    /// The medians of runs whose JSON is given, at least one.
    pub fn of(case: &Case, runs: &[Value]) -> Measured {
        let number = |run: &Value, path: &str| run.pointer(path).and_then(Value::as_f64);
        let figure = |path: &str| {
            let path = format!("/variants/0/{path}");
            let mut values: Vec<f64> = runs.iter().filter_map(|run| number(run, &path)).collect();
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        let median = |path: &str| {
            let values = figure(path);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let walls = figure("engine/wall_s");
        let (hops, wall) = (median("engine/hops"), median("engine/wall_s"));
        let packets = median("packets/new") + median("packets/retransmitted");
        let peak = median("engine/peak_rss_bytes");
        Measured {
            name: case.name.to_owned(),
            hosts: hosts(case),
            digest: runs
                .first()
                .and_then(|run| run.pointer("/variants/0/digest")?.as_str())
                .unwrap_or_default()
                .to_owned(),
            hops: hops as u64,
            wall_s: wall,
            hops_per_s: hops / wall.max(1e-9),
            spread_s: (walls.first().copied().unwrap_or(0.0), walls.last().copied().unwrap_or(0.0)),
            packets_in_flight_max: median("engine/packets_in_flight_max") as u64,
            hops_per_packet: hops / packets.max(1.0),
            peak_rss_bytes: peak as u64,
            bytes_per_host: (peak / f64::from(hosts(case))) as u64,
            reference_s: case.reference_s,
        }
    }
}

/// Hosts of a case.
fn hosts(case: &Case) -> u32 {
    let line = case.scenario.lines().find_map(|line| line.strip_prefix("hosts = "));
    line.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// All that was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Runs of each case.
    pub runs: u64,
    /// Threads of the engine.
    pub threads: u64,
    /// The cases.
    pub cases: Vec<Measured>,
}

impl Report {
    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<&Measured> {
        self.cases.iter().find(|case| case.name == name)
    }
}

/// Reads a stored report.
///
/// # Errors
/// When there is none, or it is something else.
pub fn read(path: &Path) -> Result<Report, UserError> {
    let wrong = |why: String| UserError::new(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|error| wrong(format!("it is no result of `ultraloom bench --save`: {error}")))
}

/// Whether a report can be stored there, as far as that can be said before it is measured.
///
/// # Errors
/// When there is no such folder, or a folder is there.
pub fn check_place(path: &Path) -> Result<(), UserError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        _ if path.is_dir() => {
            Err(UserError::new(format!("cannot write {}: it is a folder", path.display())))
        }
        Some(folder) if !folder.is_dir() => Err(UserError::new(format!(
            "cannot write {}: there is no folder {}",
            path.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Stores a report.
///
/// # Errors
/// When the file cannot be written.
pub fn write(report: &Report, path: &Path) -> Result<(), UserError> {
    std::fs::write(path, report.to_json() + "\n")
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))
}

/// Speed of the permutations over the size of the fabric, and how many times as fast as the reference that is.
pub fn figure(report: &Report, stored: Option<&Report>) -> Vec<Chart> {
    let all: Vec<&Report> = stored.into_iter().chain([report]).collect();
    let chart = |title: &str, what: &str, value: &dyn Fn(&Measured) -> Option<f64>| Chart {
        title: title.to_owned(),
        x: Axis { label: "hosts".to_owned(), logarithmic: true, ..Axis::default() },
        y: Axis { label: what.to_owned(), ..Axis::default() },
        lines: all.iter().map(|report| line(report, value)).collect(),
        marks: true,
        from_zero: true,
    };
    let speed = |case: &Measured| Some(case.hops_per_s / 1e6);
    let ratio = |case: &Measured| Some(case.reference_s? / case.wall_s.max(1e-9));
    vec![
        chart("speed of permutations", "million packet-hops a second", &speed),
        chart("the same work in uet-htsim, as recorded, over ours", "times as fast", &ratio),
    ]
}

fn line(report: &Report, value: &dyn Fn(&Measured) -> Option<f64>) -> Line {
    let cases = report.cases.iter().filter(|case| case.name.starts_with("permutation"));
    let point =
        |case: &Measured| Some(Point { x: f64::from(case.hosts), y: value(case)?, spread: 0.0 });
    let name = match report.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    Line { name, points: cases.filter_map(point).collect() }
}

/// Whether some case is slower than the stored one by more than the tolerance, a share.
pub fn is_slower(report: &Report, stored: &Report, tolerance: f64) -> bool {
    let slower = |case: &Measured| {
        let before = stored.find(&case.name)?;
        Some(case.hops_per_s < before.hops_per_s * (1.0 - tolerance))
    };
    report.cases.iter().any(|case| slower(case) == Some(true))
}

/// Says that a case is done.
pub fn progress(case: Option<&Measured>) {
    if let Some(case) = case {
        eprintln!("{}: {:.3} s", case.name, case.wall_s);
    }
}

/// The table for people.
pub fn table(report: &Report, stored: Option<&Report>) -> String {
    let Machine { processor, cores } = &report.machine;
    let Report { runs, threads, .. } = report;
    let mut text = format!(
        "{processor}, {cores} cores; medians of {runs} runs, engine threads: {threads}\n\n"
    );
    let _ = write!(
        text,
        "{:24} {:>9} {:>9} {:>9} {:>10} {:>9} {:>9} {:>10}",
        "case", "run, s", "M hops/s", "in flight", "hops/packet", "MiB", "KiB/host", "/ htsim"
    );
    if stored.is_some() {
        let _ = write!(text, " {:>9}", "/ stored");
    }
    text.push('\n');
    for case in &report.cases {
        let reference = case.reference_s.map_or_else(String::new, |reference| {
            format!("{:.1}×", reference / case.wall_s.max(1e-9))
        });
        let _ = write!(
            text,
            "{:24} {:>9.3} {:>9.2} {:>9} {:>10.2} {:>9.0} {:>9.1} {:>10}",
            case.name,
            case.wall_s,
            case.hops_per_s / 1e6,
            case.packets_in_flight_max,
            case.hops_per_packet,
            case.peak_rss_bytes as f64 / f64::from(1 << 20),
            case.bytes_per_host as f64 / 1_024.0,
            reference
        );
        if let Some(before) = stored.and_then(|stored| stored.find(&case.name)) {
            let _ = write!(text, " {:>8.2}×", case.hops_per_s / before.hops_per_s);
        }
        text.push('\n');
    }
    let other =
        |stored: &&Report| stored.machine != report.machine || stored.threads != report.threads;
    if let Some(stored) = stored.filter(other) {
        let Machine { processor, cores } = &stored.machine;
        let _ = writeln!(
            text,
            "\nThe stored result is of {processor}, {cores} cores, engine threads: {}.",
            stored.threads
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::CASES;

    fn run(wall: f64) -> Value {
        serde_json::json!({"variants": [{
            "engine": {"wall_s": wall, "hops": 1000, "peak_rss_bytes": 1280, "packets_in_flight_max": 7},
            "packets": {"new": 90, "retransmitted": 10},
        }]})
    }

    /// The middle run counts, memory is shared by the hosts, and 20 % less speed is slower.
    #[test]
    fn medians_are_reported_and_compared() {
        let measured = Measured::of(&CASES[0], &[run(3.0), run(1.0), run(2.0)]);
        assert_eq!((measured.wall_s, measured.spread_s), (2.0, (1.0, 3.0)));
        assert_eq!((measured.hops_per_s, measured.hops_per_packet), (500.0, 10.0));
        assert_eq!(measured.bytes_per_host, 10);
        let machine = Machine { processor: "p".into(), cores: 2 };
        let report = |case: &Measured| Report {
            machine: machine.clone(),
            runs: 3,
            threads: 1,
            cases: vec![case.clone()],
        };
        let faster = Measured { hops_per_s: 650.0, ..measured.clone() };
        let (now, before) = (report(&measured), report(&faster));
        assert!(is_slower(&now, &before, 0.2) && !is_slower(&now, &before, 0.3));
        assert!(table(&now, Some(&before)).contains("0.77×"));
        assert_eq!(serde_json::from_str::<Report>(&now.to_json()).unwrap(), now);
    }

    /// Every case is a scenario, with a name of its own.
    #[test]
    fn cases_are_scenarios() {
        for case in CASES.iter().filter(|case| !case.large) {
            let prepared = crate::prepare::tests::prepared(case.scenario);
            assert_eq!(prepared.graph.hosts, hosts(case), "{}", case.name);
            assert_eq!(CASES.iter().filter(|other| other.name == case.name).count(), 1);
        }
    }
}
