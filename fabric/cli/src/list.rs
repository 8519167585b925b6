//! `ultraloom list`: what there is to choose from.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::args::{List, Listed, Table};
use crate::catalogue::{self, TOPOLOGIES, TRANSPORTS, WORKLOADS};
use crate::error::UserError;
use crate::say::{say, say_line};

/// What a list is called, and its entries.
type Listing = (&'static str, Vec<(&'static str, String)>);

fn listing(what: Listed) -> Listing {
    let owned = |list: &[(&'static str, &str)]| {
        list.iter().map(|(name, sentence)| (*name, (*sentence).to_owned())).collect()
    };
    match what {
        Listed::Scenarios => ("scenarios", catalogue::scenarios()),
        Listed::Topologies => ("topologies", owned(&TOPOLOGIES)),
        Listed::Presets => ("presets", catalogue::presets()),
        Listed::Transports => ("transports", owned(&TRANSPORTS)),
        Listed::Workloads => ("workloads", owned(&WORKLOADS)),
        Listed::Figures => ("figures", catalogue::figures()),
    }
}

/// Prints one list, or all of them.
///
/// # Errors
/// None: the signature is that of all commands.
pub fn list(arguments: &List) -> Result<ExitCode, UserError> {
    use Listed::{Figures, Presets, Scenarios, Topologies, Transports, Workloads};
    let all = [Scenarios, Topologies, Presets, Transports, Workloads, Figures];
    let asked = arguments.what.map_or(all.to_vec(), |what| vec![what]);
    let lists: Vec<Listing> = asked.into_iter().map(listing).collect();
    match arguments.output {
        Table::Human => say(&human(&lists)),
        Table::Markdown => say(&markdown(&lists)),
        Table::Json => say_line(&in_json(&lists)),
        Table::Quiet => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn human(lists: &[Listing]) -> String {
    let mut text = String::new();
    for (title, entries) in lists {
        let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        text += &format!("{title}\n");
        text.extend(entries.iter().map(|(name, what)| format!("  {name:<width$}  {what}\n")));
        text.push('\n');
    }
    text
}

fn markdown(lists: &[Listing]) -> String {
    let mut text = String::new();
    for (title, entries) in lists {
        text += &format!("## {title}\n\n| name | what it is |\n|---|---|\n");
        text.extend(entries.iter().map(|(name, what)| format!("| `{name}` | {what} |\n")));
        text.push('\n');
    }
    text
}

fn in_json(lists: &[Listing]) -> String {
    let entry = |(name, what): &(&str, String)| json!({ "name": name, "what": what });
    let list = |(title, entries): &Listing| {
        ((*title).to_owned(), Value::Array(entries.iter().map(entry).collect()))
    };
    Value::Object(lists.iter().map(list).collect::<Map<_, _>>()).to_string()
}
