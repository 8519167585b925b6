//! The rows of recorded runs: a scenario for each, and the figures it is held to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::csv_file::lines;
use crate::error::{Source, UserError};
use crate::prepare::Files;
use crate::validate::matrices;

/// Our runs of the reference (`results/baselines/README.md`).
const RECORDED: &str = include_str!("../../../../results/baselines/reference.csv");

/// One run, of the reference or ours.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// Mean completion over flows, from time zero, us.
    pub mean_us: f64,
    /// The last completion, us.
    pub max_us: f64,
    /// Packets sent again.
    pub retransmitted: f64,
    /// The mean completion, each flow from its own start, us.
    pub own_mean_us: f64,
    /// The longest completion, each flow from its own start, us.
    pub own_max_us: f64,
    /// Pauses sent by switches.
    pub pauses: f64,
    /// Packets lost.
    pub dropped: f64,
}

/// Figures over seeds of a run of the ns-3 model, times in us.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ns3Figures {
    /// Mean completion over flows, and its standard deviation over seeds.
    pub mean: (f64, f64),
    /// The longest completion, in the mean over seeds.
    pub tail: f64,
    /// Its least and most over seeds.
    pub tails: (f64, f64),
    /// Pauses sent by switches.
    pub pauses: f64,
    /// Packets dropped.
    pub dropped: f64,
}

/// What a row is held to.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// Runs of the reference, one a seed, by the rules for means, tails and retransmissions.
    Runs(Vec<Sample>),
    /// Figures of the ns-3 model, by its rules.
    Ns3(Ns3Figures),
    /// One run's last completion, us.
    Tail(f64),
    /// Nothing of its own: other rows are compared with it.
    Nothing,
}

/// How a row is run: a scenario without its seed, and what stands for files that it names.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The scenario.
    pub text: String,
    /// Files that need not be there.
    pub files: Files,
    /// Where relative file names start from.
    pub folder: Option<PathBuf>,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The traffic.
    pub case: String,
    /// Rate of the hosts' links.
    pub gbps: f64,
    /// Transport, spraying, faults.
    pub setup: String,
    /// How it is run, or why it cannot be.
    pub scene: Result<Scene, String>,
    /// What it is held to.
    pub expected: Expected,
}

impl Row {
    /// What `--filter` looks in, and progress shows.
    pub fn title(&self) -> String {
        format!("{} {} {}", self.case, self.gbps, self.setup)
    }
}

/// A line of the recorded figures.
#[derive(Deserialize)]
struct Line {
    case: String,
    gbps: f64,
    setup: String,
    mean_us: f64,
    max_us: f64,
    rtx: f64,
}

/// The rows of recorded runs: of the file at `path`, or those that come with the program.
///
/// # Errors
/// When the file cannot be read or is not what it should be.
pub fn recorded(path: Option<&Path>) -> Result<Vec<Row>, UserError> {
    let source = match path {
        Some(path) => crate::scenario::tree::read(path, None)?,
        None => Arc::new(Source {
            name: "the recorded figures".to_owned(),
            text: RECORDED.to_owned(),
            folder: None,
        }),
    };
    let mut rows: Vec<Row> = Vec::new();
    for line in lines::<Line>(&source)? {
        let sample = Sample {
            mean_us: line.mean_us,
            max_us: line.max_us,
            retransmitted: line.rtx,
            ..Sample::default()
        };
        let known = rows.iter_mut().find(|row| {
            (&row.case, &row.setup) == (&line.case, &line.setup) && row.gbps == line.gbps
        });
        match known {
            Some(Row { expected: Expected::Runs(samples), .. }) => samples.push(sample),
            _ => rows.push(Row {
                scene: scene(&line.case, line.gbps, &line.setup),
                case: line.case,
                gbps: line.gbps,
                setup: line.setup,
                expected: Expected::Runs(vec![sample]),
            }),
        }
    }
    Ok(rows)
}

/// Rows without figures of their own that the order of spraying under degraded links needs: the bitmap's,
/// where other ways are recorded.
pub fn for_the_order(recorded: &[Row]) -> Vec<Row> {
    let bitmap = |row: &Row| {
        let rest = row.setup.strip_prefix("nscc oblivious, ").filter(|r| r.contains("links at"))?;
        let setup = format!("nscc bitmap, {rest}");
        let scene = scene(&row.case, row.gbps, &setup);
        let known = recorded.iter().any(|row| row.setup == setup);
        let row = Row { setup, scene, expected: Expected::Nothing, ..row.clone() };
        (!known).then_some(row)
    };
    recorded.iter().filter_map(bitmap).collect()
}

/// The scenario of a recorded case and set-up.
pub fn scene(case: &str, gbps: f64, setup: &str) -> Result<Scene, String> {
    let file = format!("{case}.cm");
    let (transport, fault) = transport(setup)?;
    let text = format!(
        "profile = \"htsim\"\n[topology]\nlink_rate = \"{gbps} Gb/s\"\n[transport]\n{transport}\
         [workload]\nkind = \"matrix\"\nfile = {file:?}\n{fault}"
    );
    let matrices = BTreeMap::from([(PathBuf::from(file), matrices::by_name(case)?)]);
    Ok(Scene { text, files: Files { matrices, ..Files::default() }, folder: None })
}

/// `[transport]` keys and faults of a set-up: `nscc mixed, 4 links at 25%`.
fn transport(setup: &str) -> Result<(String, String), String> {
    let mut parts = setup.split(", ");
    let (congestion, spraying) = parts
        .next()
        .and_then(|first| first.split_once(' '))
        .ok_or_else(|| format!("`{setup}` is no set-up; expected for example `nscc mixed`"))?;
    let spraying = if spraying == "single-path" { "ecmp" } else { spraying };
    let mut transport = format!("congestion = {congestion:?}\nspraying = {spraying:?}\n");
    let mut fault = String::new();
    for part in parts {
        if part == "no trimming" {
            transport += "trimming = false\n";
        } else if let Some((count, ratio)) = degraded(part) {
            fault = degrade(count, ratio);
        } else {
            return Err(format!(
                "`{part}` in `{setup}` is unknown; expected `no trimming` or `N links at P%`"
            ));
        }
    }
    Ok((transport, fault))
}

/// `4 links at 25%`.
fn degraded(text: &str) -> Option<(u32, f64)> {
    let (count, percent) = text.split_once(" links at ")?;
    Some((count.parse().ok()?, percent.strip_suffix('%')?.parse::<f64>().ok()? / 100.0))
}

/// The fault that slows the first core links.
pub fn degrade(count: u32, ratio: f64) -> String {
    format!("[[fault]]\nkind = \"degrade-core-links\"\ncount = {count}\nratio = {ratio}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table that ships has 32 rows, five seeds each but for the large fabric, and each is a good
    /// scenario as far as its set-up goes.
    #[test]
    fn the_recorded_figures_are_rows() {
        let rows = recorded(None).unwrap();
        assert_eq!(rows.len(), 32);
        for row in &rows {
            let Expected::Runs(samples) = &row.expected else { panic!("runs") };
            assert_eq!(samples.len(), if row.case == "perm1024_s3_2MB" { 1 } else { 5 });
            assert!(row.scene.is_ok(), "{}: {:?}", row.title(), row.scene);
        }
    }

    /// A set-up says congestion control, spraying, trimming and faults; others are named as unknown.
    #[test]
    fn setups_become_keys() {
        let (keys, fault) = transport("nscc single-path, no trimming, 4 links at 25%").unwrap();
        assert_eq!(keys, "congestion = \"nscc\"\nspraying = \"ecmp\"\ntrimming = false\n");
        assert!(fault.contains("count = 4\nratio = 0.25"));
        assert!(transport("nscc mixed, sideways").unwrap_err().starts_with("`sideways` in"));
        assert!(transport("nscc").is_err());
    }
}
