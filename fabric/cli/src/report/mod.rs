//! `ultraloom report`: one HTML page about runs and sweeps, from their folders.
//!
//! - `fabric`: nodes, links and their load; `slowest`: the slowest flows, and where their time went; this file: all else

mod fabric;
mod slowest;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use results::metrics::{Better, METRICS};
use results::report::{self, ClaimLine, Page, RunPage, SideBySide, SweepPage};
use results::summary::{RunSummary, VariantSummary};
use results::views::{self, Content};

use crate::args::Report;
use crate::error::UserError;
use crate::plot;
use crate::say::say_line;
use crate::stored::{Stored, in_table};
use crate::sweep::read_back;

/// Writes the page.
///
/// # Errors
/// When a folder cannot be read, or the page not written.
pub fn report(arguments: &Report) -> Result<ExitCode, UserError> {
    let mut page = Page { version: env!("CARGO_PKG_VERSION").to_owned(), ..Page::default() };
    for folder in &arguments.folders {
        if folder.join("sweep.json").is_file() {
            page.sweeps.push(sweep(folder)?);
        } else {
            page.runs.push(run(folder, arguments)?);
        }
    }
    let sweeps = page.sweeps.iter().map(|sweep| sweep.name.clone());
    let names: Vec<String> = sweeps.chain(page.runs.iter().map(|run| run.name.clone())).collect();
    page.title = names.join(", ");
    let first = arguments.folders.first().map_or_else(PathBuf::new, PathBuf::clone);
    let path = arguments.out.clone().unwrap_or_else(|| first.join("report.html"));
    std::fs::write(&path, report::html(&page))
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))?;
    say_line(&format!("{}: open it in a browser", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// The scenario's name, with the folder's where that says more.
fn titled(scenario: &str, folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let own = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    match own {
        Some(own) if own != scenario => format!("{scenario} ({own})"),
        _ => scenario.to_owned(),
    }
}

fn run(folder: &Path, arguments: &Report) -> Result<RunPage, UserError> {
    let stored = Stored::open(folder)?;
    let tables = plot::tables(&stored)?;
    let figures = in_table("records", views::figures(&stored.summary, &tables))?;
    let charts = figures.iter().flat_map(|figure| match &figure.content {
        Content::Charts(charts) => charts.iter().map(report::chart).collect(),
        Content::Heat(_) => Vec::new(),
    });
    let distributions = in_table("flows", views::distributions(&tables.flows))?;
    let charts = distributions.iter().map(report::chart).chain(charts).collect();
    let mut notes = Vec::new();
    if tables.samples.rows() == 0 {
        notes.push("Nothing was recorded over time: `series` of [records] is off, or the fabric has too many ports.".to_owned());
    }
    let slowest = slowest::flows(&stored, &tables.flows, arguments, &mut notes)?;
    let claims = stored.summary.claims.iter();
    Ok(RunPage {
        name: titled(&stored.summary.name, folder),
        command: "ultraloom run scenario.toml".to_owned(),
        scenario: text(&folder.join("scenario.toml")),
        claims: claims.map(|claim| ClaimLine { holds: claim.holds, text: claim.line() }).collect(),
        tables: side_by_side(&stored.summary),
        charts,
        fabrics: fabric::fabrics(&stored, &tables)?,
        slowest,
        notes,
    })
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A table a workload, with the figures that some variant has.
fn side_by_side(summary: &RunSummary) -> Vec<SideBySide> {
    let first = summary.variants.first().map_or(&[][..], |variant| &variant.workloads);
    let table = |(place, title): (usize, &str)| {
        let figures =
            |variant: &VariantSummary| variant.workloads.get(place).map(|w| w.figures.clone());
        let all: Vec<_> = summary.variants.iter().map(figures).collect();
        let rows = METRICS.iter().filter_map(|metric| {
            let values: Vec<Option<f64>> =
                all.iter().map(|figures| metric.of(figures.as_ref()?)).collect();
            let better = match metric.better {
                Better::Lower => "lower",
                Better::Higher => "higher",
                Better::Neither => "",
            };
            let is_told = values.iter().flatten().any(|value| *value != 0.0);
            is_told.then(|| (metric.meaning.to_owned(), metric.unit.to_owned(), better, values))
        });
        SideBySide {
            title: title.to_owned(),
            variants: summary.variants.iter().map(|variant| variant.name.clone()).collect(),
            rows: rows.collect(),
        }
    };
    first.iter().map(|workload| workload.name.as_str()).enumerate().map(table).collect()
}

fn sweep(folder: &Path) -> Result<SweepPage, UserError> {
    let (own, about) = read_back(folder)?;
    let charts = results::sweep::charts(&about.name, &own);
    Ok(SweepPage {
        name: titled(&about.name, folder),
        command: "ultraloom sweep scenario.toml".to_owned(),
        scenario: about.scenario,
        runs: own.len(),
        table: results::sweep::rows_of_text(&own),
        charts: charts.iter().map(report::chart).collect(),
    })
}
