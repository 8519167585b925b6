//! `ultraloom plot`: figures from the records of a run.

use std::path::Path;
use std::process::ExitCode;

use results::metrics;
use results::plots::{self, heat, lines};
use results::summary::RunSummary;
use results::views::{self, Content, Tables};

use crate::args::Plot;
use crate::error::{UserError, unknown};
use crate::say::say_line;
use crate::stored::{Stored, in_table};

/// Makes the figures of a run.
///
/// # Errors
/// When the run cannot be read, or a file not written.
pub fn plot(arguments: &Plot) -> Result<ExitCode, UserError> {
    let stored = Stored::open(&arguments.run)?;
    let tables = tables(&stored)?;
    let mut figures = in_table("records", views::figures(&stored.summary, &tables))?;
    if !arguments.only.is_empty() {
        let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
        if let Some(wrong) = arguments.only.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(unknown("figure", wrong, &names));
        }
        figures.retain(|figure| arguments.only.iter().any(|name| name == figure.name));
    }
    let folder = arguments.out.clone().unwrap_or_else(|| stored.folder.join("plots"));
    let failed = |path: &Path, error: std::io::Error| {
        UserError::new(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    for figure in &figures {
        let svg = match &figure.content {
            Content::Charts(charts) => lines::svg(charts),
            Content::Heat(heat) => heat::svg(heat),
        };
        let svg = svg.map_err(UserError::new)?;
        let png = plots::png(&svg).map_err(UserError::new)?;
        for (ending, content) in [("svg", svg.as_bytes()), ("png", &png)] {
            let path = folder.join(figure.name).with_extension(ending);
            std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
        }
    }
    let mut names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
    if arguments.only.is_empty() {
        let path = folder.join("speedup.md");
        let text = speed_ups(&stored.summary);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        names.push("speedup.md");
    }
    say_line(&format!("{}: {}", folder.display(), names.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// Variants against the first one, a table a workload.
fn speed_ups(summary: &RunSummary) -> String {
    let first = summary.variants.first().map_or(&[][..], |variant| &variant.workloads);
    let table = |(place, title): (usize, &str)| {
        let own = summary.variants.iter().filter_map(|variant| {
            variant.workloads.get(place).map(|workload| (variant.name.as_str(), &workload.figures))
        });
        metrics::speed_ups(title, &own.collect::<Vec<_>>())
    };
    let titles = first.iter().map(|workload| workload.name.as_str()).enumerate();
    titles.map(table).collect::<Vec<_>>().join("\n")
}

/// The tables that figures are made of.
pub(crate) fn tables(stored: &Stored) -> Result<Tables, UserError> {
    Ok(Tables {
        flows: stored.table("flows")?,
        samples: stored.table("port_samples")?,
        connections: stored.table("connection_samples")?,
        faults: stored.table("faults")?,
    })
}
