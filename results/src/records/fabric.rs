//! The fabric itself: nodes, links, and what happens to them.

use fabric::fault::{Change, Direction, Fault};
use fabric::graph::{Graph, Link};
use fabric::ids::NodeId;
use fabric::link::FrameErrors;
use fabric::units::Time;

use crate::records::Fabric;
use crate::records::table::{Column, Table};

fn variants<'a>(rows: impl Iterator<Item = &'a Fabric<'a>>) -> Column {
    Column::text("variant", "variant of the scenario", rows.map(|one| one.variant.to_owned()))
}

/// What tiers are called; hosts are below all.
fn tier(graph: &Graph, node: NodeId) -> String {
    let name = graph.name(node);
    name.split(':').next().unwrap_or("").to_owned()
}

pub(super) fn nodes(fabrics: &[Fabric<'_>]) -> Table {
    let rows = || {
        fabrics.iter().flat_map(|one| (0..one.graph.nodes()).map(move |node| (one, NodeId(node))))
    };
    let level = |graph: &Graph, node| graph.switch(node).map_or(0, |s| u64::from(s.tier) + 1);
    let columns = vec![
        variants(rows().map(|(one, _)| one)),
        Column::text("node", "its name", rows().map(|(one, node)| one.graph.name(node))),
        Column::text("tier", "its tier", rows().map(|(one, node)| tier(one.graph, node))),
        Column::numbers(
            "level",
            "",
            "0 for hosts, 1 for the switches next to them, and so on",
            rows().map(|(one, node)| level(one.graph, node)),
        ),
    ];
    Table::new("nodes", "a row for every host and switch", columns)
}

pub(super) fn links(fabrics: &[Fabric<'_>]) -> Table {
    let rows = || {
        fabrics.iter().flat_map(|one| {
            one.graph.links.iter().enumerate().map(move |(number, link)| (one, number, link))
        })
    };
    let name = |one: &Fabric<'_>, node| one.graph.name(node);
    let number = |name, unit, meaning, value: fn(usize, &Link) -> u64| {
        Column::numbers(name, unit, meaning, rows().map(move |(_, at, link)| value(at, link)))
    };
    let columns = vec![
        variants(rows().map(|(one, ..)| one)),
        number("link", "", "its number", |number, _| number as u64),
        Column::text("a", "its lower end", rows().map(|(one, _, link)| name(one, link.a))),
        Column::text("b", "its upper end", rows().map(|(one, _, link)| name(one, link.b))),
        number("rate_bps", "b/s", "rate of each direction", |_, link| link.rate.bits_per_second()),
        number("delay_ps", "ps", "propagation delay", |_, link| link.delay.0),
    ];
    Table::new("links", "a row for every link", columns)
}

/// A change of the fabric: when, what, where, which directions, how much.
struct Row<'a> {
    fabric: &'a Fabric<'a>,
    at: Time,
    node: Option<NodeId>,
    link: Option<&'a Fault>,
    change: &'static str,
    value: Option<f64>,
}

fn of_link<'a>(fabric: &'a Fabric<'a>, fault: &'a Fault) -> Row<'a> {
    let (change, value) = match fault.change {
        Change::Down => ("down", None),
        Change::Up => ("up", None),
        Change::Rate { ratio, .. } => ("rate", Some(ratio.as_f64())),
        Change::Errors(None) => ("errors end", None),
        Change::Errors(Some(FrameErrors::None)) => ("errors end", None),
        Change::Errors(Some(FrameErrors::Frame(chance))) => ("frame errors", Some(chance.as_f64())),
        Change::Errors(Some(FrameErrors::Bit(chance))) => ("bit errors", Some(chance.as_f64())),
        Change::Errors(Some(FrameErrors::Codeword(chance))) => {
            ("codeword errors", Some(chance.as_f64()))
        }
        Change::DropRandom(ratio) => ("random losses", Some(ratio.as_f64())),
        Change::DropPeriodic(each) => ("periodic losses", Some(f64::from(each))),
    };
    Row { fabric, at: fault.at, node: None, link: Some(fault), change, value }
}

pub(super) fn faults(fabrics: &[Fabric<'_>]) -> Table {
    let rows: Vec<Row<'_>> = fabrics
        .iter()
        .flat_map(|fabric| {
            let links = fabric.faults.iter().map(move |fault| of_link(fabric, fault));
            let switches = fabric.switch_faults.iter().map(move |fault| Row {
                fabric,
                at: fault.at,
                node: Some(fault.switch),
                link: None,
                change: if fault.up { "switch up" } else { "switch down" },
                value: None,
            });
            let mut both: Vec<Row<'_>> = links.chain(switches).collect();
            both.sort_by_key(|row| row.at);
            both
        })
        .collect();
    let rows = || rows.iter();
    let place = |row: &Row<'_>| match (row.node, row.link) {
        (Some(node), _) => row.fabric.graph.name(node),
        (None, Some(fault)) => {
            let link = &row.fabric.graph.links[fault.link.index()];
            let [a, b] = [link.a, link.b].map(|node| row.fabric.graph.name(node));
            match fault.direction {
                Direction::Both => format!("{a} - {b}"),
                Direction::Up => format!("{a} > {b}"),
                Direction::Down => format!("{b} > {a}"),
            }
        }
        (None, None) => String::new(),
    };
    let columns = vec![
        variants(rows().map(|row| row.fabric)),
        Column::numbers("at_ps", "ps", "when", rows().map(|row| row.at.0)),
        Column::text(
            "place",
            "the switch, or the link: both directions, or one",
            rows().map(place),
        ),
        Column::text("change", "what happens to it", rows().map(|row| row.change.to_owned())),
        Column::reals(
            "value",
            "",
            "ratio of the rate, chance of an error or a loss, or of how many frames one is lost",
            rows().map(|row| row.value),
        ),
    ];
    Table::new("faults", "a row for every change of a link or switch", columns)
}
