//! Timed changes of links and switches.

use serde::{Deserialize, Serialize};

use crate::graph::Graph;
use crate::ids::{LinkId, NodeId};
use crate::link::FrameErrors;
use crate::units::{Ratio, Time};

/// What happens to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Nothing passes any more: what is on the wire or leaves is lost.
    Down,
    /// Packets pass again.
    Up,
    /// The rate becomes this ratio of the built one; queue limits and thresholds too if `queues`.
    Rate {
        /// Ratio of the rate the link was built with.
        ratio: Ratio,
        /// Scale the egress queues as well.
        queues: bool,
    },
    /// Frames arrive in error this often; `None`: as built.
    Errors(Option<FrameErrors>),
    /// Each frame is lost on the wire by this chance; zero: none.
    DropRandom(Ratio),
    /// Of so many frames, each direction, one is lost on the wire; zero: none.
    DropPeriodic(u32),
}

impl Change {
    /// Whether it changes what the link loses, without being up or down.
    pub(crate) const fn is_loss(&self) -> bool {
        matches!(self, Change::Errors(_) | Change::DropRandom(_) | Change::DropPeriodic(_))
    }
}

/// Which directions of a link a fault touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Direction {
    /// Both.
    Both,
    /// From [`crate::graph::Link::a`] to `b`.
    Up,
    /// From [`crate::graph::Link::b`] to `a`.
    Down,
}

/// A change of a link at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Which link.
    pub link: LinkId,
    /// Which directions.
    pub direction: Direction,
    /// What.
    pub change: Change,
}

/// A switch that fails or comes back. While it is down all its links are, in both directions, whatever
/// else is said of them; what stood in its queues is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SwitchFault {
    /// When.
    pub at: Time,
    /// Which switch.
    pub switch: NodeId,
    /// Whether it comes back; else it fails.
    pub up: bool,
}

/// Why a link is down, if it is.
#[derive(Clone, Copy, Default)]
struct LinkState {
    /// Its own faults, upwards and downwards.
    own: [bool; 2],
    /// Ends that are down.
    ends: u8,
    /// What was last said of it, upwards and downwards.
    told: [bool; 2],
}

impl LinkState {
    /// The change that makes known how the link is now, if that is not what was last said.
    fn tell(&mut self, at: Time, link: LinkId) -> [Option<Fault>; 2] {
        let now = self.own.map(|own| own || self.ends > 0);
        let was = std::mem::replace(&mut self.told, now);
        let fault = |direction, down| {
            let change = if down { Change::Down } else { Change::Up };
            Some(Fault { at, link, direction, change })
        };
        let [up, down] = [now[0] != was[0], now[1] != was[1]];
        if up && down && now[0] == now[1] {
            return [fault(Direction::Both, now[0]), None];
        }
        [
            up.then(|| fault(Direction::Up, now[0])).flatten(),
            down.then(|| fault(Direction::Down, now[1])).flatten(),
        ]
    }
}

/// Something said of a link or a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Link(Fault),
    Switch(SwitchFault),
}

impl Event {
    pub(crate) fn at(&self) -> Time {
        match self {
            Event::Link(fault) => fault.at,
            Event::Switch(fault) => fault.at,
        }
    }

    /// Where it stands among simultaneous ones: those of switches are last.
    pub(crate) fn rank(&self) -> u8 {
        u8::from(matches!(self, Event::Switch(_)))
    }
}

/// What holds each link down: a link is up when nothing does.
pub(crate) struct LinkStates {
    links: Vec<LinkState>,
    /// Whether each node has failed.
    failed: Vec<bool>,
}

impl LinkStates {
    /// All links up.
    pub(crate) fn new(graph: &Graph) -> LinkStates {
        LinkStates {
            links: vec![LinkState::default(); graph.links.len()],
            failed: vec![false; graph.nodes() as usize],
        }
    }

    /// Whether a link is down, from its end `a` to `b`, and the other way.
    pub(crate) fn is_down(&self, link: LinkId) -> [bool; 2] {
        self.links[link.index()].told
    }

    /// Adds to `changes` what an event means for links.
    pub(crate) fn apply(&mut self, graph: &Graph, event: &Event, changes: &mut Vec<Fault>) {
        match event {
            Event::Link(fault) if matches!(fault.change, Change::Down | Change::Up) => {
                let state = &mut self.links[fault.link.index()];
                let down = fault.change == Change::Down;
                for (place, other) in [Direction::Down, Direction::Up].into_iter().enumerate() {
                    if fault.direction != other {
                        state.own[place] = down;
                    }
                }
                changes.extend(state.tell(fault.at, fault.link).into_iter().flatten());
            }
            Event::Link(fault) => changes.push(*fault),
            Event::Switch(fault) => {
                let was = std::mem::replace(&mut self.failed[fault.switch.index()], !fault.up);
                if was == fault.up {
                    self.touch_links(graph, fault, changes);
                }
            }
        }
    }

    /// A switch changed: so do its links.
    fn touch_links(&mut self, graph: &Graph, fault: &SwitchFault, changes: &mut Vec<Fault>) {
        for (number, link) in graph.links.iter().enumerate() {
            if link.a == fault.switch || link.b == fault.switch {
                let state = &mut self.links[number];
                state.ends = if fault.up { state.ends - 1 } else { state.ends + 1 };
                let told = state.tell(fault.at, LinkId(number as u32));
                changes.extend(told.into_iter().flatten());
            }
        }
    }
}

/// All changes of links in order of time, those by switches included. Simultaneous ones are in the order
/// given, those of switches last.
pub(crate) fn link_changes(
    graph: &Graph,
    faults: &[Fault],
    switch_faults: &[SwitchFault],
) -> Vec<Fault> {
    let links = faults.iter().map(|fault| Event::Link(*fault));
    let switches = switch_faults.iter().map(|fault| Event::Switch(*fault));
    let mut events: Vec<Event> = links.chain(switches).collect();
    if events.is_empty() {
        return Vec::new();
    }
    events.sort_by_key(Event::at);
    let mut states = LinkStates::new(graph);
    let mut changes = Vec::new();
    events.iter().for_each(|event| states.apply(graph, event, &mut changes));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Link;
    use crate::units::{Rate, Span};

    /// Two links in a row: node 0, node 1, node 2.
    fn row() -> Graph {
        let link = |a, b| Link {
            a: NodeId(a),
            b: NodeId(b),
            rate: Rate::from_gbps(100),
            delay: Span::from_nanos(1),
        };
        Graph { hosts: 3, links: vec![link(0, 1), link(1, 2)], ..Graph::default() }
    }

    fn link(at: u64, link: u32, direction: Direction, change: Change) -> Fault {
        Fault { at: Time(at), link: LinkId(link), direction, change }
    }

    fn switch(at: u64, up: bool) -> SwitchFault {
        SwitchFault { at: Time(at), switch: NodeId(1), up }
    }

    /// A failing switch takes its links down; a link whose own fault is still there stays down when the
    /// switch is back, and saying the same twice changes nothing.
    #[test]
    fn a_link_is_up_when_nothing_holds_it_down() {
        use Direction::Both;
        let faults = [link(30, 0, Both, Change::Down), link(60, 0, Both, Change::Up)];
        let switches = [switch(50, true), switch(10, false), switch(20, false)];
        let expected = [
            link(10, 0, Both, Change::Down),
            link(10, 1, Both, Change::Down),
            link(50, 1, Both, Change::Up),
            link(60, 0, Both, Change::Up),
        ];
        assert_eq!(link_changes(&row(), &faults, &switches), expected);
    }

    /// A link that is down in one direction goes down in the other with its switch; rates pass through.
    #[test]
    fn directions_are_kept_apart() {
        let rate = Change::Rate { ratio: Ratio::new(1, 2), queues: false };
        let faults = [link(5, 0, Direction::Up, Change::Down), link(7, 0, Direction::Down, rate)];
        let changes = link_changes(&row(), &faults, &[switch(9, false)]);
        let expected = [
            link(5, 0, Direction::Up, Change::Down),
            link(7, 0, Direction::Down, rate),
            link(9, 0, Direction::Down, Change::Down),
            link(9, 1, Direction::Both, Change::Down),
        ];
        assert_eq!(changes, expected);
    }
}
