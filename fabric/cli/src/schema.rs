//! `ultraloom schema`: what the records of a run mean.

use std::process::ExitCode;

use results::records::table::{SCHEMA_VERSION, Table};
use results::records::{self, histograms};
use serde_json::json;

use crate::args::{Schema, Table as Form};
use crate::error::{UserError, unknown};
use crate::say::{say, say_line};
use crate::scenario_schema;

/// Prints the tables, or one of them.
///
/// # Errors
/// When there is no such table.
pub fn schema(arguments: &Schema) -> Result<ExitCode, UserError> {
    if arguments.scenario {
        say_line(&scenario_schema::schema());
        return Ok(ExitCode::SUCCESS);
    }
    let mut tables = records::schema();
    if let Some(name) = &arguments.table {
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        if !names.contains(&name.as_str()) {
            return Err(unknown("table", name, &names));
        }
        tables.retain(|table| table.name == name);
    }
    let all = arguments.table.is_none();
    match arguments.output {
        Form::Human => say(&human(&tables, all)),
        Form::Markdown => say(&markdown(&tables, all)),
        Form::Json => say_line(&json(&tables, all)),
        Form::Quiet => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn human(tables: &[Table], all: bool) -> String {
    let mut text = String::new();
    for table in tables {
        text += &format!("{}: {}\n", table.name, table.title);
        let rows = table.describe().into_iter().map(|column| {
            let unit = if column.unit.is_empty() { "-" } else { column.unit };
            format!("  {:<18} {:<6} {}\n", column.name, unit, column.meaning)
        });
        text.extend(rows);
        text.push('\n');
    }
    if all {
        text += "HDR histograms (V2 interval logs), a tag `variant/workload` each:\n";
        let kinds = histograms::kinds();
        let rows = kinds.map(|(name, meaning)| vec![format!("{name}.hlog"), meaning.to_owned()]);
        let rows: Vec<Vec<String>> = rows.collect();
        let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
        text.extend(rows.iter().map(|row| format!("  {:<width$}  {}\n", row[0], row[1])));
        text += &format!("\nschema version {SCHEMA_VERSION}\n");
    }
    text
}

/// The same for the book.
pub fn markdown(tables: &[Table], all: bool) -> String {
    let mut text = String::new();
    for table in tables {
        text += &format!("## `{}`\n\nHas {}.\n\n", table.name, table.title);
        text += "| column | type | unit | meaning |\n|---|---|---|---|\n";
        for column in table.describe() {
            let kind = if column.optional { "can be missing" } else { "" };
            let kind = [column.kind, kind].join(if kind.is_empty() { "" } else { ", " });
            let (name, unit, meaning) = (column.name, column.unit, column.meaning);
            text += &format!("| `{name}` | {kind} | {unit} | {meaning} |\n");
        }
        text.push('\n');
    }
    if all {
        text += "## Distributions\n\n| file | values |\n|---|---|\n";
        let rows = histograms::kinds();
        text.extend(rows.map(|(name, meaning)| format!("| `{name}.hlog` | {meaning} |\n")));
    }
    text
}

fn json(tables: &[Table], all: bool) -> String {
    let tables: Vec<_> = tables
        .iter()
        .map(|table| {
            json!({ "name": table.name, "title": table.title, "columns": table.describe() })
        })
        .collect();
    let histograms: Vec<_> = histograms::kinds()
        .filter(|_| all)
        .map(|(name, meaning)| json!({ "file": format!("{name}.hlog"), "meaning": meaning }))
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "tables": tables, "histograms": histograms })
        .to_string()
}
