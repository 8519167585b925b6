//! Ports by name to ports by number, for captures.

use fabric::capture::Capture;
use fabric::graph::Graph;
use fabric::ids::{NodeId, PortId};
use fabric::layout::ports_of;
use fabric::units::Time;

use crate::error::UserError;
use crate::prepare::faults::find_node;
use crate::scenario::model::{self, PortName};

/// What the engine records for a scenario's `[capture]`.
///
/// # Errors
/// When a port is not there.
pub fn capture(capture: &model::Capture, graph: &Graph) -> Result<Capture, UserError> {
    let mut ports: Vec<PortId> = Vec::new();
    for name in &capture.ports {
        ports.extend(find(graph, name)?.iter().map(|(port, _)| *port));
    }
    ports.sort_unstable();
    ports.dedup();
    // Shared evenly, so that what is kept of a port does not depend on the others.
    let frames = (capture.frames / ports.len() as u64).max(1);
    let until = capture.until.map_or(Time::NEVER, |until| Time(until.0));
    Ok(Capture { ports, from: Time(capture.from.0), until, frames, only: None })
}

fn find(graph: &Graph, name: &PortName) -> Result<Vec<(PortId, NodeId)>, UserError> {
    let node = find_node(graph, &name.node, &name.origin)?;
    let mut ports = ports_of(graph, node);
    if let Some(towards) = &name.towards {
        let peer = find_node(graph, towards, &name.origin)?;
        ports.retain(|(_, end)| *end == peer);
        if ports.is_empty() {
            let message = format!("{} has no port towards {towards}", name.node);
            return Err(UserError::at(&name.origin, message));
        }
    }
    Ok(ports)
}
