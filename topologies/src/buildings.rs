//! Several buildings: the same tree in each, joined by border switches over long links.

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Span};

use crate::error::TopologyError;

/// Parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buildings {
    /// How many; all have the same hosts and switches.
    pub count: u32,
    /// Links up of each top switch of a building.
    pub links_per_switch: u32,
    /// Border switches that join the buildings.
    pub borders: u32,
    /// Rate of a link to a border switch.
    pub rate: Rate,
    /// Delay of a link to a border switch: half of the way between two buildings.
    pub delay: Span,
    /// Latency of a border switch.
    pub latency: Span,
}

/// The rule of a switch whose hosts begin `offset` further on, with `up` ports up where it had none.
fn moved(rule: RouteRule, offset: u32, up: Option<(u16, u16)>) -> RouteRule {
    let mut rule = rule;
    match &mut rule {
        RouteRule::UpDown { first_host, up_base, up_count, .. }
        | RouteRule::Rails { first_host, up_base, up_count, .. } => {
            *first_host += offset;
            if let Some((base, count)) = up {
                (*up_base, *up_count) = (base, count);
            }
        }
    }
    rule
}

/// Joins copies of `building`. Link number n of the top switches of a building leads to border switch n mod the number of
/// border switches.
///
/// # Errors
/// [`TopologyError`] when the links do not go round evenly, or the building is no tree.
pub fn join(building: &Graph, shape: &Buildings) -> Result<Graph, TopologyError> {
    if shape.count == 1 {
        return Ok(building.clone());
    }
    if !building.tables.is_empty() || building.scale_up.is_some() {
        return Err(TopologyError::new("buildings", shape.count, "only trees can have several"));
    }
    let top = building.top_tier();
    let is_top = |switch: &&Switch| switch.tier == top;
    let tops = building.switches.iter().filter(is_top).count() as u32;
    let links = tops * shape.links_per_switch;
    if shape.borders == 0 || links == 0 || !links.is_multiple_of(shape.borders) {
        let allowed =
            format!("the {links} links of a building's {tops} top switches must go round evenly");
        return Err(TopologyError::new("buildings.borders", shape.borders, allowed));
    }
    let mut ports = vec![0u16; building.nodes() as usize];
    building.links.iter().flat_map(|link| [link.a, link.b]).for_each(|n| ports[n.index()] += 1);
    let (hosts, count) = (building.hosts, building.switches.len() as u32);
    let mut all = Graph {
        hosts: hosts * shape.count,
        tier_names: building.tier_names.clone(),
        ..Graph::default()
    };
    all.tier_names.push("border");
    let of_tier = |tier: u8| building.switches.iter().filter(|s| s.tier == tier).count() as u32;
    for number in 0..shape.count {
        for (place, switch) in building.switches.iter().enumerate() {
            let up = (switch.tier == top)
                .then(|| (ports[hosts as usize + place], shape.links_per_switch as u16));
            let index = switch.index + number * of_tier(switch.tier);
            let route = moved(switch.route, number * hosts, up);
            all.switches.push(Switch { index, route, ..*switch });
        }
    }
    for border in 0..shape.borders {
        let bundle = (links / shape.borders) as u16;
        let route = RouteRule::UpDown {
            first_host: 0,
            host_count: all.hosts,
            hosts_per_child: hosts,
            down_base: 0,
            bundle,
            up_base: bundle * shape.count as u16,
            up_count: 0,
        };
        let latency = shape.latency;
        all.switches.push(Switch { tier: top + 1, index: border, latency, route });
    }
    let switch = |building: u32, place: u32| NodeId(all.hosts + building * count + place);
    let border = |number: u32| NodeId(all.hosts + shape.count * count + number % shape.borders);
    let mut joined = Vec::with_capacity(building.links.len() * shape.count as usize);
    for number in 0..shape.count {
        let place = |node: NodeId| match node.0.checked_sub(hosts) {
            None => NodeId(number * hosts + node.0),
            Some(place) => switch(number, place),
        };
        joined.extend(building.links.iter().map(|link| Link {
            a: place(link.a),
            b: place(link.b),
            ..*link
        }));
    }
    let is_top_place = |place: &u32| building.switches[*place as usize].tier == top;
    for number in 0..shape.count {
        for (rank, place) in (0..count).filter(is_top_place).enumerate() {
            for link in 0..shape.links_per_switch {
                let b = border(rank as u32 * shape.links_per_switch + link);
                let (rate, delay) = (shape.rate, shape.delay);
                joined.push(Link { a: switch(number, place), b, rate, delay });
            }
        }
    }
    all.links = joined;
    Ok(all)
}
