//! A session that is looked at and changed while it runs: what the server has to know of the scenario.

use std::net::SocketAddr;
use std::sync::Arc;

use ::live::control::helm::Facts;
use ::live::control::input::ApiError;
use ::live::control::server::{Server, Service};
use ::live::control::view::{Link, Node, Topology};
use ::live::control::{Remote, server};
use ::live::motor::Action;
use fabric::graph::Graph;
use fabric::ids::{HostId, NodeId};
use results::picture;
use serde_json::{Map, Value};

use crate::args::{Live as Arguments, Output};
use crate::error::{Source, UserError};
use crate::live::{Fabric, told};
use crate::prepare::faults::Faults;
use crate::say::say_line;
use crate::scenario;

/// What never changes of a session.
pub(super) fn facts(fabric: &Fabric<'_>) -> Facts {
    let attached: Vec<HostId> = fabric.attached().into_iter().collect();
    Facts {
        topology: Arc::new(topology(&fabric.prepared.graph, &fabric.scenario.name, &attached)),
        attached,
        dilation: fabric.options.dilation,
        tolerance: fabric.options.tolerance,
    }
}

fn topology(graph: &Graph, name: &str, attached: &[HostId]) -> Topology {
    let places = picture::places(graph);
    let node = |number: u32| {
        let node = NodeId(number);
        let (x, y) = places.at[node.index()];
        Node {
            name: graph.name(node),
            level: graph.switch(node).map_or(0, |switch| switch.tier + 1),
            attached: attached.contains(&HostId(number)),
            x,
            y,
        }
    };
    let links = graph.links.iter().zip(0..).map(|(link, id)| Link {
        id,
        a: graph.name(link.a),
        b: graph.name(link.b),
        rate_bps: link.rate.bits_per_second(),
        delay_us: link.delay.as_micros(),
    });
    Topology {
        name: name.to_owned(),
        width: places.size.0,
        height: places.size.1,
        nodes: (0..graph.nodes()).map(node).collect(),
        links: links.collect(),
    }
}

/// Begins to serve, and says where: the server and what was said.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn serve(
    address: SocketAddr,
    arguments: &Arguments,
    (remote, facts): (Remote, &Facts),
    graph: &Graph,
) -> Result<(Server, String), UserError> {
    let token = match &arguments.token {
        Some(token) => token.clone(),
        None => draw_token()?,
    };
    let topology = Arc::clone(&facts.topology);
    let service = Service { remote, topology, token: token.clone(), faults: reader(graph.clone()) };
    let server = Server::start(address, service).map_err(|error| told(&error))?;
    let address = server.address();
    let text =
        format!("control: http://{address}/ (API at /api/v1, metrics at /metrics), token {token}");
    // A terminal view has standard output for itself, and JSON is one object at the end.
    if arguments.output == Output::Human && !arguments.tui {
        say_line(&text);
    } else {
        eprintln!("{text}");
    }
    if !address.ip().is_loopback() {
        eprintln!(
            "anybody who reaches {address} can look, and change what they have the token for; it is not encrypted"
        );
    }
    Ok((server, format!("http://{address}/, token {token}")))
}

/// 128 bits of the system's random numbers.
fn draw_token() -> Result<String, UserError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| UserError::new(format!("no random numbers for a token: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads faults as a scenario has them.
fn reader(graph: Graph) -> server::FaultReader {
    Box::new(move |object| fault(object, &graph).map_err(|error| refused(error, object)))
}

/// A fault, read by the code that reads `[[fault]]`.
fn fault(object: &Map<String, Value>, graph: &Graph) -> Result<Vec<Action>, UserError> {
    let text = toml::to_string(object)
        .map_err(|error| UserError::new(format!("this is no `[[fault]]`: {error}")))?;
    let source = Source { name: "the request".to_owned(), text, folder: None };
    let fault = scenario::single_fault(&Arc::new(source))?;
    let Faults { links, switches } = Faults::of(&[fault], graph)?;
    let links = links.into_iter().map(Action::Link);
    Ok(links.chain(switches.into_iter().map(Action::Switch)).collect())
}

/// The same as an answer: the key is the one that the message names.
fn refused(error: UserError, object: &Map<String, Value>) -> ApiError {
    let named = error.message.split('`').nth(1).and_then(|name| name.strip_prefix("fault."));
    let at_value = || {
        let origin = error.origin.as_ref()?;
        let line = origin.source.text[..origin.range.start].rsplit('\n').next()?;
        line.split('=').next().map(str::trim).filter(|key| object.contains_key(*key))
    };
    let field = named.or_else(at_value).map(str::to_owned);
    let value = field.as_ref().and_then(|field| object.get(field)).cloned();
    let expected = error.message.split("expected ").nth(1).map(str::to_owned);
    ApiError::told(error.message, field, value, error.help.or(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::fault::{Change, Fault, SwitchFault};
    use fabric::units::Time;
    use serde_json::json;

    fn read(asked: Value) -> Result<Vec<Action>, ApiError> {
        let text = "[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\nspines = 2\n[workload]\n\
            kind = \"permutation\"\nbytes = 1\n";
        let source = Source { name: "x".to_owned(), text: text.to_owned(), folder: None };
        let scenario = scenario::from_source(&Arc::new(source), &[], None).expect("a scenario");
        let prepared = crate::prepare::Prepared::new(&scenario.variants[0]).expect("a fabric");
        reader(prepared.graph)(asked.as_object().expect("an object"))
    }

    /// Faults are those of a scenario, their times counted from the request.
    #[test]
    fn faults_are_those_of_a_scenario() {
        let asked = json!({ "kind": "link-down", "link": ["leaf:0", "spine:1"], "until": "1 ms" });
        let actions = read(asked).expect("a fault");
        let told: Vec<(Time, Change)> = actions
            .iter()
            .map(|action| match action {
                Action::Link(Fault { at, change, .. }) => (*at, *change),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [(Time::ZERO, Change::Down), (Time(1_000_000_000), Change::Up)]);
        let asked = json!({ "kind": "switch-down", "switch": "spine:0", "at": "2 us" });
        let switch = SwitchFault { at: Time(2_000_000), switch: NodeId(12), up: false };
        assert_eq!(read(asked).expect("a fault"), [Action::Switch(switch)]);
        let flap = json!({ "kind": "link-flap", "link": ["leaf:0", "spine:0"], "period": "2 ms", "down": "1 ms", "count": 3 });
        assert_eq!(read(flap).expect("a fault").len(), 6);
    }

    /// What is wrong is told with its key.
    #[test]
    fn wrong_faults_are_refused() {
        for (asked, field, message) in [
            (json!({}), Some("kind"), "missing"),
            (json!({ "kind": "earthquake" }), Some("kind"), "link-down"),
            (json!({ "kind": "link-down", "link": ["leaf:0", "leaf:1"] }), None, "no link between"),
            (json!({ "kind": "drop-random", "ratio": 3 }), Some("ratio"), "3"),
            (
                json!({ "kind": "link-down", "link": ["leaf:0", "spine:0"], "x": 1 }),
                Some("x"),
                "unknown",
            ),
            (json!({ "kind": null }), None, "`[[fault]]`"),
        ] {
            let told = read(asked.clone()).expect_err("refused").error;
            assert!(told.message.contains(message), "{asked}: {told:?}");
            if field.is_some() {
                assert_eq!(told.field.as_deref(), field, "{asked}: {told:?}");
            }
        }
    }
}
