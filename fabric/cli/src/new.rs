//! `ultraloom new`: a scenario to begin with, with comments.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::args::New;
use crate::catalogue::{SCENARIOS, has_files};
use crate::error::{Source, UserError, unknown};
use crate::execute;
use crate::say::{say, say_line};
use crate::scenario;

const TEMPLATE: &str = include_str!("template.toml");

/// Writes a scenario.
///
/// # Errors
/// When it would be wrong, or there is a file already.
pub fn new(arguments: &New) -> Result<ExitCode, UserError> {
    let text = match &arguments.from {
        Some(name) => shipped(name)?,
        None => filled(arguments),
    };
    let source = Source { name: "the new scenario".to_owned(), text: text.clone(), folder: None };
    let scenario = scenario::from_source(&Arc::new(source), &[], None)?;
    execute::prepare(&scenario)?;
    if arguments.file == Path::new("-") {
        say(&text);
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.file.display();
    // A file that is there is somebody's work.
    let made = std::fs::File::create_new(&arguments.file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    made.map_err(|error| {
        let error = UserError::new(format!("cannot write {path}: {error}"));
        error.help("choose another name, or `-` to see the scenario")
    })?;
    say_line(&format!("{path}: run it with `ultraloom run {path}`"));
    Ok(ExitCode::SUCCESS)
}

/// A scenario that comes with the program.
fn shipped(name: &str) -> Result<String, UserError> {
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    let Some((_, text)) = SCENARIOS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown("scenario", name, &names));
    };
    if has_files(text) {
        let message = format!("the scenario `{name}` needs files of its own");
        return Err(
            UserError::new(message).help("copy it from topologies/scenarios of the project")
        );
    }
    Ok((*text).to_owned())
}

/// The template with what was asked for.
fn filled(arguments: &New) -> String {
    let stem = arguments.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.filter(|stem| stem != "-").unwrap_or_else(|| "mine".to_owned());
    let bytes = match arguments.workload.as_str() {
        "barrier" => "# bytes = \"1 MiB\"     # size of each flow, or of each rank's buffer",
        _ => "bytes = \"1 MiB\"       # size of each flow, or of each rank's buffer",
    };
    TEMPLATE
        .replace("NAME", &name)
        .replace("TOPOLOGY", &arguments.topology)
        .replace("HOSTS", &arguments.hosts.to_string())
        .replace("WORKLOAD", &arguments.workload)
        .replace("BYTES", bytes)
}
