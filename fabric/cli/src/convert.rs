//! What `ultraloom convert` does: a workload in one form to another form.
//!
//! Flows (`.cm`, flow files of the ns-3 models, our table) become flows of another of these forms. Programs (GOAL, MSCCL XML,
//! Chakra, SimAI, AICB, our table, and what scenarios generate) become GOAL, with collectives written out as messages, or our
//! table, which keeps them.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use workloads::algorithms::Recipe;
use workloads::collective::Kind;
use workloads::matrix::Matrix;
use workloads::traces::{Action, Node, Trace, csv, goal};
use workloads::{flow_table, ns3_flows};

use crate::args::{Convert, Form};
use crate::error::{Origin, Source, UserError};
use crate::prepare::programs::read_file;
use crate::prepare::{Files, Prepared, read_matrix};
use crate::scenario;
use crate::scenario::model::{
    CollectiveOptions, File, ProgramOptions, TraceFile, Ways, Workload, WorkloadKind,
};

/// How a collective of a kind, ranks and bytes, or a table of them, is done.
type How = Box<dyn Fn(Kind, u32, u64, Option<&Arc<[u64]>>) -> Recipe>;

/// A workload, read.
enum Content {
    Flows(Matrix),
    Programs(Trace, How),
}

/// Converts a workload.
///
/// # Errors
/// What the user has to mend.
pub fn convert(arguments: &Convert) -> Result<ExitCode, UserError> {
    let form = form(arguments)?;
    let is_scenario = arguments.input.extension().is_some_and(|extension| extension == "toml");
    concerns(arguments, is_scenario)?;
    let content = match is_scenario {
        true => of_scenario(arguments)?,
        false => of_file(arguments)?,
    };
    let input = arguments.input.display();
    let cannot = |message: String| UserError::new(format!("{input}: {message}"));
    let text = match (content, form) {
        (Content::Flows(matrix), Form::Cm) => matrix.write(),
        (Content::Flows(matrix), Form::Table) => flow_table::write(&matrix).map_err(cannot)?,
        (Content::Flows(matrix), Form::Ns3) => ns3_flows::write(&matrix).map_err(cannot)?,
        (Content::Programs(trace, _), Form::Table) => csv::write(&trace),
        (Content::Programs(trace, how), Form::Goal) => {
            goal::write(&trace.expanded(how)).map_err(cannot)?
        }
        (Content::Flows(_), Form::Goal) => {
            return Err(cannot("flows become `cm`, `table` or `ns3`".to_owned()));
        }
        (Content::Programs(..), Form::Cm | Form::Ns3) => {
            return Err(cannot("programs become `goal` or `table`".to_owned()));
        }
    };
    let output = &arguments.output;
    std::fs::write(output, text)
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", output.display())))?;
    Ok(ExitCode::SUCCESS)
}

/// Options that mean nothing for this kind of input are refused.
fn concerns(arguments: &Convert, is_scenario: bool) -> Result<(), UserError> {
    let Convert { ranks, bytes, variant, sets, .. } = arguments;
    let (idle, of) = match is_scenario {
        true => ([("--ranks", ranks.is_some()), ("--bytes", bytes.is_some())], "a scenario"),
        false => ([("--variant", variant.is_some()), ("--set", !sets.is_empty())], "a file"),
    };
    match idle.iter().find(|(_, said)| *said) {
        None => Ok(()),
        Some((name, _)) => Err(UserError::new(format!("`{name}` has no meaning for {of}"))),
    }
}

/// The form asked for, or that of the output's name.
fn form(arguments: &Convert) -> Result<Form, UserError> {
    let extension = arguments.output.extension().and_then(|extension| extension.to_str());
    match (arguments.to, extension) {
        (Some(form), _) => Ok(form),
        (None, Some("goal")) => Ok(Form::Goal),
        (None, Some("cm" | "tm")) => Ok(Form::Cm),
        (None, Some("csv")) => Ok(Form::Table),
        _ => {
            let name = arguments.output.display();
            let error = UserError::new(format!("the form of {name} is not clear from its name"));
            Err(error.help("end it with .goal, .cm or .csv, or say `--to goal|cm|ns3|table`"))
        }
    }
}

fn of_file(arguments: &Convert) -> Result<Content, UserError> {
    let text = arguments.input.display().to_string();
    let range = 0..text.len();
    let source = Arc::new(Source { name: "command line".to_owned(), text, folder: None });
    let file = File { path: arguments.input.clone(), origin: Origin { source, range } };
    let files = Files::default();
    if is_flows(&arguments.input) {
        return Ok(Content::Flows(read_matrix(&file, &files)?));
    }
    let ranks = arguments.ranks.map(|ranks| ranks as u32);
    let options =
        TraceFile { file, bytes: arguments.bytes, layers: None, tensor: None, expert: None };
    let trace = read_file(&options, ranks, &files)?;
    let how = |kind, ranks, bytes, matrix: Option<&Arc<[u64]>>| {
        let mut recipe = Recipe { matrix: matrix.cloned(), ..Recipe::new(kind, ranks, bytes) };
        if recipe.check().is_err() {
            recipe.bytes = recipe.bytes.max(u64::from(recipe.blocks()));
        }
        recipe
    };
    Ok(Content::Programs(trace, Box::new(how)))
}

/// Whether the beginning of a file looks like flows.
fn is_flows(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let is_matrix = text.split_whitespace().next() == Some("Nodes");
    is_matrix || flow_table::is_one(&text) || ns3_flows::is_one(&text)
}

fn of_scenario(arguments: &Convert) -> Result<Content, UserError> {
    let scenario = scenario::load(Some(&arguments.input), &arguments.sets, None)?;
    let asked = |name: &str| arguments.variant.as_deref().is_none_or(|asked| asked == name);
    let Some(variant) = scenario.variants.iter().find(|variant| asked(&variant.name)) else {
        let names: Vec<&str> = scenario.variants.iter().map(|v| v.name.as_str()).collect();
        return Err(UserError::new(format!(
            "there is no such variant; there are {}",
            names.join(", ")
        )));
    };
    let prepared = Prepared::new(variant)?;
    let workload = &variant.workloads[0];
    match &workload.kind {
        WorkloadKind::Program(options) => Ok(program(prepared, workload, options)),
        WorkloadKind::Collective(options) => collective(prepared, workload, options),
        WorkloadKind::Serving(_) | WorkloadKind::Jobs(_) => Err(UserError::new(format!(
            "{} decides as it goes, or consists of several; what can be written down are flows, collectives and programs",
            workload.name
        ))),
        _ => Ok(Content::Flows(prepared.flows(workload)?)),
    }
}

fn program(prepared: Prepared, workload: &Workload, options: &ProgramOptions) -> Content {
    let trace = prepared.trace_of(workload).clone();
    Content::Programs(trace, how(prepared, options.ways.clone()))
}

fn how(prepared: Prepared, ways: Ways) -> How {
    Box::new(move |kind, ranks, bytes, matrix| prepared.way(&ways, kind, ranks, bytes, matrix))
}

/// A collective alone as a program.
fn collective(
    prepared: Prepared,
    workload: &Workload,
    options: &CollectiveOptions,
) -> Result<Content, UserError> {
    let ranks = options.ranks.count.unwrap_or(prepared.graph.hosts);
    let recipe = prepared
        .recipe(options, ranks)
        .map_err(|message| UserError::new(format!("{}: {message}", workload.name)))?;
    let members: Arc<[u32]> = (0..ranks).collect();
    let node = |_| {
        vec![Node::new(
            Action::Collective {
                kind: recipe.kind,
                bytes: recipe.bytes,
                members: Arc::clone(&members),
                root: recipe.root,
                name: "".into(),
                matrix: recipe.matrix.clone(),
            },
            Vec::new(),
        )]
    };
    let trace = Trace { ranks: (0..ranks).map(node).collect(), is_service: false };
    Ok(Content::Programs(trace, Box::new(move |_, _, _, _| recipe.clone())))
}
