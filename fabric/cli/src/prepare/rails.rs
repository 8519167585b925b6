//! Fabrics of rails alone: hosts on different rails are joined within their domain only.

use fabric::graph::{Graph, RouteRule};
use fabric::ids::HostId;
use workloads::algorithms::Algorithm;

use crate::prepare::Prepared;
use crate::scenario::model::WorkloadKind;

/// The number of rails, if nothing joins them.
fn rails_alone(graph: &Graph) -> Option<u32> {
    match graph.switches.first()?.route {
        RouteRule::Rails { rails, up_count: 0, rail, .. } if rail != RouteRule::ALL_RAILS => {
            Some(u32::from(rails))
        }
        _ => None,
    }
}

/// Whether two hosts can send to each other on a fabric of so many rails that nothing joins: they are on the same one, or in a
/// domain.
fn joins(graph: &Graph, rails: u32, a: HostId, b: HostId) -> bool {
    a.0 % rails == b.0 % rails || graph.scale_up.is_some_and(|scale_up| scale_up.joins(a, b))
}

/// For fabrics of rails alone: whether two hosts can send to each other.
pub(crate) fn ways(graph: &Graph) -> Option<impl Fn(HostId, HostId) -> bool> {
    let rails = rails_alone(graph).filter(|rails| *rails > 1)?;
    Some(move |a, b| joins(graph, rails, a, b))
}

/// Whether every message of a workload has a way.
///
/// # Errors
/// A sentence that says which has none, and what would have.
pub(super) fn reaches(
    prepared: &Prepared,
    workload: &WorkloadKind,
    places: &[HostId],
) -> Result<(), String> {
    let graph = &prepared.graph;
    let Some(rails) = rails_alone(graph).filter(|rails| *rails > 1) else { return Ok(()) };
    let joins = |a: HostId, b: HostId| joins(graph, rails, a, b);
    match workload {
        WorkloadKind::Matrix(file) => {
            let flows = &prepared.matrices[&file.path].connections;
            match flows.iter().find(|flow| {
                let at = |host: HostId| places.get(host.index()).copied().unwrap_or(host);
                !joins(at(flow.src), at(flow.dst))
            }) {
                None => Ok(()),
                Some(flow) => Err(format!(
                    "hosts {} and {} are on different rails, which nothing joins outside of a domain",
                    flow.src, flow.dst
                )),
            }
        }
        WorkloadKind::Collective(options)
            if options.algorithm == Some(Algorithm::Hierarchical)
                && options.domain.or(prepared.domain) == Some(rails)
                && graph.scale_up.is_some_and(|scale_up| scale_up.domain == rails)
                && places.iter().zip(0u32..).all(|(host, rank)| host.0 % rails == rank % rails) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "nothing joins the {rails} rails outside of a domain; what can be carried are collectives with \
             `algorithm = \"hierarchical\"` where `scale_up.domain` is {rails}, and matrices whose flows stay on a rail or \
             in a domain"
        )),
    }
}
