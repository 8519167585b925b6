//! What `ultraloom topology` does: describe a scenario's fabrics, prove their routes, export them.

use std::path::PathBuf;
use std::process::ExitCode;

use results::columns_of_text::aligned;
use results::{picture, plots};
use topologies::describe::Description;
use topologies::{channels, check, export};

use crate::args::{Output, Topology};
use crate::error::UserError;
use crate::prepare::{Prepared, rails};
use crate::say::{say, say_line};
use crate::{execute, forecast, scenario};

/// Hosts up to which every route is followed.
const MOST_CHECKED: u32 = 4_096;
/// Hosts up to which the absence of deadlock is proven.
const MOST_PROVEN: u32 = 512;

/// A fabric of the scenario, and the variants that have it.
struct Fabric<'a> {
    variants: Vec<&'a str>,
    prepared: &'a Prepared,
    description: Description,
    /// Most memory that a run is forecast to need.
    memory: u64,
}

/// Describes the fabrics of a scenario.
///
/// # Errors
/// What the user has to mend.
pub fn topology(arguments: &Topology) -> Result<ExitCode, UserError> {
    let scenario = scenario::load(arguments.scenario.as_deref(), &arguments.sets, None)?;
    let prepared = execute::prepare(&scenario)?;
    let mut fabrics: Vec<Fabric<'_>> = Vec::new();
    for (variant, prepared) in scenario.variants.iter().zip(&prepared) {
        let needed = variant.workloads.iter().map(|load| forecast::forecast(prepared, load)).max();
        let memory = needed.unwrap_or(0);
        let paths = |prepared: &Prepared| prepared.behaviour.fabric.routing.paths;
        let same = |fabric: &&mut Fabric<'_>| {
            fabric.prepared.graph == prepared.graph && paths(fabric.prepared) == paths(prepared)
        };
        match fabrics.iter_mut().find(same) {
            Some(same) => {
                same.variants.push(&variant.name);
                same.memory = same.memory.max(memory);
            }
            None => fabrics.push(Fabric {
                variants: vec![&variant.name],
                prepared,
                description: Description::of(&prepared.graph),
                memory,
            }),
        }
    }
    let wanted = |fabric: &&Fabric<'_>| {
        arguments.variant.as_deref().is_none_or(|name| fabric.variants.contains(&name))
    };
    let shown: Vec<&Fabric<'_>> = fabrics.iter().filter(wanted).collect();
    if shown.is_empty() {
        let names: Vec<&str> = scenario.variants.iter().map(|v| v.name.as_str()).collect();
        let asked = arguments.variant.clone().unwrap_or_default();
        let near = topologies::text::nearest(&asked, names.iter().copied());
        let error = UserError::new(format!(
            "there is no variant `{asked}`; there are {}",
            names.join(", ")
        ));
        return Err(match near {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    export_all(arguments, &scenario.name, &shown)?;
    match arguments.output {
        Output::Human => shown.iter().for_each(|fabric| say(&fabric.text(&scenario.name))),
        Output::Json => say_line(&json(&scenario.name, &shown)),
        Output::Quiet => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the fabric in all forms that are asked for.
fn export_all(arguments: &Topology, name: &str, shown: &[&Fabric<'_>]) -> Result<(), UserError> {
    let Topology { graphml, dot, svg, png, .. } = arguments;
    let graph = &shown[0].prepared.graph;
    let several = shown.len() > 1;
    if several && [graphml, dot, svg, png].iter().any(|path| path.is_some()) {
        let message = format!("the variants have {} fabrics; `--variant` says which", shown.len());
        return Err(UserError::new(message));
    }
    let drawn = || picture::svg(graph, &format!("{name} — {}", shown[0].variants.join(", ")));
    let pixels = || {
        plots::png(&drawn())
            .map_err(|error| UserError::new(format!("cannot draw the fabric: {error}")))
    };
    let write = |path: &Option<PathBuf>, make: &dyn Fn() -> Result<Vec<u8>, UserError>| {
        let Some(path) = path else { return Ok(()) };
        std::fs::write(path, make()?)
            .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))
    };
    write(graphml, &|| Ok(export::graphml(graph).into_bytes()))?;
    write(dot, &|| Ok(export::dot(graph).into_bytes()))?;
    write(svg, &|| Ok(drawn().into_bytes()))?;
    write(png, &pixels)
}

fn json(name: &str, fabrics: &[&Fabric<'_>]) -> String {
    let one = |fabric: &&Fabric<'_>| {
        serde_json::json!({
            "variants": fabric.variants,
            "routes": fabric.routes(),
            "deadlock": fabric.deadlock(),
            "memory_bytes": fabric.memory,
            "topology": fabric.description,
        })
    };
    let fabrics: Vec<serde_json::Value> = fabrics.iter().map(one).collect();
    let all = serde_json::json!({ "name": name, "fabrics": fabrics });
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

impl Fabric<'_> {
    /// Whether every route arrives.
    fn routes(&self) -> String {
        let graph = &self.prepared.graph;
        if let Some(ways) = rails::ways(graph) {
            return match check::arrive_between(graph, ways) {
                Err(problem) => format!("not all arrive: {problem}"),
                Ok(()) => {
                    "all arrive on their own rail and in their domain; nothing joins the rails"
                        .to_owned()
                }
            };
        }
        match check::arrives(graph) {
            Err(problem) => format!("not all arrive: {problem}"),
            Ok(()) if graph.hosts > MOST_CHECKED => "all arrive, of a sample of pairs".to_owned(),
            Ok(()) => "all arrive".to_owned(),
        }
    }

    /// Whether lossless traffic is free of deadlock.
    fn deadlock(&self) -> String {
        let graph = &self.prepared.graph;
        if graph.hosts > MOST_PROVEN {
            return format!("not proven beyond {MOST_PROVEN} hosts");
        }
        let paths = self.prepared.behaviour.fabric.routing.paths;
        let channels = graph.shape.as_ref().map_or(1, |shape| shape.channels.needed(paths));
        match channels::deadlock_free(graph, paths) {
            Ok(()) if channels == 1 => "impossible".to_owned(),
            Ok(()) => format!("impossible with {channels} virtual channels"),
            Err(problem) => format!("possible: {problem}"),
        }
    }

    fn text(&self, name: &str) -> String {
        let Description { hosts, ports_per_host, switches, links, .. } = self.description;
        let all = &self.description;
        let mut text = format!("{name} — {}\n", self.variants.join(", "));
        let mut line = |label: &str, value: String| text += &format!("  {label:<24}{value}\n");
        line("hosts", format!("{hosts}, {ports_per_host} ports each"));
        if let Some(domain) = all.domain {
            line("domains", format!("of {domain} hosts, with a network of their own"));
        }
        line("switches", switches.to_string());
        line("links", links.to_string());
        line("cable", format!("{:.1} km", all.metres / 1e3));
        line("diameter", format!("{} links, {} ns one way", all.diameter, all.diameter_ns));
        line("shortest ways", format!("{} between the hosts farthest apart", all.paths));
        line(
            "bisection",
            match all.bisection_gbps {
                Some(gbps) => format!(
                    "{gbps} Gb/s, {:.0} % of what half of the hosts can send",
                    100.0 * gbps / all.full_bisection_gbps
                ),
                None => "not computed for so many switches".to_owned(),
            },
        );
        line("routes", self.routes());
        line("deadlock under PFC", self.deadlock());
        line("memory of a run", format!("{:.1} MiB", self.memory as f64 / 1_048_576.0));
        let tiers = all.tiers.iter().map(|tier| {
            let ports = match tier.least_ports == tier.most_ports {
                true => tier.most_ports.to_string(),
                false => format!("{} to {}", tier.least_ports, tier.most_ports),
            };
            vec![tier.name.clone(), tier.switches.to_string(), ports]
        });
        text += &aligned(&["tier", "switches", "ports in use"], tiers.collect());
        let cables = all.cables.iter().map(|cable| {
            let metres = cable.metres.map_or("-".to_owned(), |metres| format!("{metres:.0} m"));
            vec![
                format!("{} - {}", cable.from, cable.to),
                cable.links.to_string(),
                format!("{} Gb/s", cable.rate_gbps),
                format!("{} ns", cable.delay_ns),
                metres,
            ]
        });
        text += &aligned(&["between", "links", "rate", "delay", "length"], cables.collect());
        text + "\n"
    }
}
