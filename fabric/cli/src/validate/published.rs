//! Rows of the reference's published results: `golden.csv` of its data folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::csv_file::lines;
use crate::error::UserError;
use crate::prepare::Files;
use crate::scenario::tree;
use crate::validate::flags::Flags;
use crate::validate::rows::{Expected, Row, Scene};

/// Files of results that are in step with the reference's code (`data/README.md`).
const CURRENT: &str = "validate_";

/// A line of `golden.csv`.
#[derive(Deserialize)]
struct Line {
    file: String,
    experiment: String,
    cmdline: String,
    tail_us: Option<f64>,
}

/// The rows of the folder `data`, which has `data/uet-htsim/golden.csv` and its inputs.
///
/// # Errors
/// When the results cannot be read.
pub fn published(data: &Path) -> Result<Vec<Row>, UserError> {
    let folder = data.join("data/uet-htsim");
    let source = tree::read(&folder.join("golden.csv"), None)
        .map_err(|error| error.help("--data takes the folder above data/uet-htsim"))?;
    let current = lines::<Line>(&source)?.into_iter();
    let rows = current
        .filter(|line| line.file.starts_with(CURRENT))
        .filter_map(|line| row(&line, &folder))
        .collect();
    Ok(rows)
}

fn row(line: &Line, folder: &Path) -> Option<Row> {
    let flags = Flags::parse(&line.cmdline);
    let matrix = flags.as_ref().map_or("", |flags| flags.matrix.as_str());
    let case = PathBuf::from(matrix).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let group = line.file.trim_start_matches(CURRENT).trim_end_matches(".out");
    Some(Row {
        case,
        gbps: flags.as_ref().map_or(0.0, |flags| flags.megabits / 1_000.0),
        setup: format!("{group}: {}", line.experiment.trim_end_matches('.')),
        scene: flags.map(|flags| Scene {
            text: flags.scenario(),
            files: Files::default(),
            folder: Some(folder.to_path_buf()),
        }),
        expected: Expected::Tail(line.tail_us?),
    })
}
