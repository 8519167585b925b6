//! How a switch chooses a port when the hash over its rule is not all there is: around dead links, and
//! by the state of queues, turns or flowlets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{Choice, Routing};
use crate::graph::{Equal, RouteRule};
use crate::ids::{Class, HostId};
use crate::net::indirect::Indirect;
use crate::net::route::{Salt, choose};
use crate::packet::Label;
use crate::rng::{Purpose, Stream, key, mix64};
use crate::shape::Paths;
use crate::table::Table;
use crate::units::{Span, Time};

/// Entries of a switch's flowlet table; flows that share one share its port.
const FLOWLETS: usize = 4_096;

/// For each hash of a flow, when its last packet came and where it went: 0 for nowhere yet, else the
/// port and one.
#[derive(Serialize, Deserialize)]
struct Flowlets {
    gap: Span,
    last: Vec<Time>,
    port: Vec<u16>,
}

/// See the module. A switch has one only while it needs it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Steering {
    choice: Choice,
    /// Exceptions from table and rule, while links are dead.
    #[serde(skip)]
    detour: Option<Arc<Table>>,
    /// What no rule says.
    #[serde(skip)]
    table: Option<Arc<Table>>,
    #[serde(skip)]
    indirect: Option<Box<Indirect>>,
    /// Whose turn it is.
    next: u16,
    random: Stream,
    flowlets: Option<Flowlets>,
    /// Ports of packets that do not choose, by the port they come in by and their destination.
    pins: BTreeMap<(u16, HostId), u16>,
}

impl Steering {
    /// For the switch `node`, chosen by `routing`; it may have up to `ups` ports to choose from.
    pub(crate) fn new(routing: &Routing, ups: u16, seed: u64, node: u32) -> Steering {
        let choice = if ups > 1 { routing.choice } else { Choice::Ecmp };
        let gap = routing.flowlet_gap.filter(|_| choice != Choice::Ecmp);
        Steering {
            choice,
            pins: BTreeMap::new(),
            detour: None,
            table: None,
            indirect: None,
            // Switches that begin their round at the same port would send in step.
            next: (key(seed, u64::from(node), Purpose::Choice) % u64::from(ups.max(1))) as u16,
            random: Stream::new(seed, u64::from(node), Purpose::Choice),
            flowlets: gap.map(|gap| Flowlets {
                gap,
                last: vec![Time::ZERO; FLOWLETS],
                port: vec![0; FLOWLETS],
            }),
        }
    }

    /// Whether the switch could as well do without.
    pub(crate) fn is_idle(&self) -> bool {
        self.choice == Choice::Ecmp
            && self.detour.is_none()
            && self.table.is_none()
            && self.pins.is_empty()
    }

    /// Routes by a table where its rule says nothing; in a shape, also by other regions.
    pub(crate) fn set_table(&mut self, table: Arc<Table>, indirect: Option<Box<Indirect>>) {
        self.table = Some(table);
        self.indirect = indirect;
    }

    /// Takes over what is not state.
    pub(crate) fn adopt(&mut self, built: Steering) {
        self.table = built.table;
        self.indirect = built.indirect;
    }

    /// Exceptions from the rule from now on.
    pub(crate) fn set_detour(&mut self, detour: Option<Arc<Table>>) {
        self.detour = detour;
    }

    /// Packets that come in by a port for a host leave by another, whatever the rule says.
    pub(crate) fn pin(&mut self, ingress: u16, dst: HostId, egress: u16) {
        self.pins.insert((ingress, dst), egress);
    }

    #[inline]
    fn pinned(&self, label: &Label) -> Option<u16> {
        if self.pins.is_empty() {
            return None;
        }
        self.pins.get(&(label.ingress(), label.dst)).copied()
    }

    /// Whether packets have to be routed in order of time, as they are queued.
    #[inline]
    pub(crate) fn is_late(&self) -> bool {
        let adaptive = |indirect: &Indirect| indirect.paths == Paths::Adaptive;
        self.choice != Choice::Ecmp || self.indirect.as_deref().is_some_and(adaptive)
    }

    /// The port of a packet by hash, as far as it can be said before its time has come; `None` if there
    /// is no way. Where the choice is late, or a link's own frame is not routed, the number means nothing.
    pub(crate) fn early(&self, route: &RouteRule, salt: Salt, label: &mut Label) -> Option<u16> {
        if self.is_late() || label.class == Class::LINK {
            return Some(0);
        }
        if let Some(port) = self.pinned(label) {
            return Some(port);
        }
        let Some(indirect) = &self.indirect else {
            return by_hash(self.equal(route, label.dst), salt, label);
        };
        let (target, turned) = indirect.target(label, |_| 0);
        let port = by_hash(self.equal(route, target), salt, label)?;
        indirect.enter_channel(label, port, turned);
        Some(port)
    }

    /// The port of a packet that is queued at `now`; `None` if there is no way. `queue` tells the bytes
    /// that stand at a port at that moment.
    pub(crate) fn late(
        &mut self,
        route: &RouteRule,
        salt: Salt,
        label: &mut Label,
        now: Time,
        mut queue: impl FnMut(u16) -> u64,
    ) -> Option<u16> {
        if let Some(port) = self.pinned(label) {
            return Some(port);
        }
        let Some(indirect) = self.indirect.take() else {
            return self.choose(route, salt, label, now, label.dst, queue);
        };
        let seen = *label;
        let (target, turned) = indirect.target(label, |host| {
            by_hash(self.equal(route, host), salt, &seen).map_or(0, &mut queue)
        });
        let port = self.choose(route, salt, label, now, target, queue);
        if let Some(port) = port {
            indirect.enter_channel(label, port, turned);
        }
        self.indirect = Some(indirect);
        port
    }

    /// One of the equal ports towards `dst`, by what went before.
    fn choose(
        &mut self,
        route: &RouteRule,
        salt: Salt,
        label: &Label,
        now: Time,
        dst: HostId,
        queue: impl FnMut(u16) -> u64,
    ) -> Option<u16> {
        let Steering { choice, detour, table, next, random, flowlets, .. } = self;
        let ports = equal([&*detour, &*table], route, dst);
        if ports.count() <= 1 || route.is_below(dst) {
            return by_hash(ports, salt, label);
        }
        let pick = || match choice {
            Choice::Ecmp => ports.nth(choose(label, salt, ports.count())),
            Choice::LeastQueue => least_queue(ports, choose(label, salt, ports.count()), queue),
            Choice::TwoChoices => two_choices(ports, random, queue),
            Choice::RoundRobin => {
                let turn = if *next < ports.count() { *next } else { 0 };
                *next = turn + 1;
                ports.nth(turn)
            }
        };
        let Some(flowlets) = flowlets else { return Some(pick()) };
        let entry = (mix64(u64::from(label.flow) ^ salt.0) % FLOWLETS as u64) as usize;
        let last = std::mem::replace(&mut flowlets.last[entry], now);
        let port = match flowlets.port[entry].checked_sub(1) {
            Some(port) if now.since(last) <= flowlets.gap && ports.contains(port) => port,
            _ => pick(),
        };
        flowlets.port[entry] = port + 1;
        Some(port)
    }

    /// The equal ports towards `dst`.
    fn equal(&self, route: &RouteRule, dst: HostId) -> Equal<'_> {
        equal([&self.detour, &self.table], route, dst)
    }
}

/// The ports towards `dst`: those of the first table that says any, or the rule's.
fn equal<'a>(tables: [&'a Option<Arc<Table>>; 2], route: &RouteRule, dst: HostId) -> Equal<'a> {
    for table in tables.into_iter().flatten() {
        if let Some(ports) = table.towards(dst) {
            return Equal::List(ports);
        }
    }
    let (first, count) = route.towards(dst);
    Equal::Run(first, count)
}

fn by_hash(ports: Equal<'_>, salt: Salt, label: &Label) -> Option<u16> {
    match ports.count() {
        0 => None,
        1 => Some(ports.nth(0)),
        count => Some(ports.nth(choose(label, salt, count))),
    }
}

/// The port with the fewest bytes; of several, the first from place `start` on.
fn least_queue(ports: Equal<'_>, start: u16, mut queue: impl FnMut(u16) -> u64) -> u16 {
    let around = (start..ports.count()).chain(0..start).map(|place| ports.nth(place));
    around.min_by_key(|port| queue(*port)).expect("there are ports to choose from")
}

/// The port with fewer bytes of two different ones drawn at random; the first drawn if they have as many.
fn two_choices(ports: Equal<'_>, random: &mut Stream, mut queue: impl FnMut(u16) -> u64) -> u16 {
    let count = u32::from(ports.count());
    let first = random.below(count);
    let second = random.below(count - 1);
    let second = if second < first { second } else { second + 1 };
    let [first, second] = [first, second].map(|place| ports.nth(place as u16));
    if queue(second) < queue(first) { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    const RULE: RouteRule = RouteRule::UpDown {
        first_host: 0,
        host_count: 2,
        hosts_per_child: 1,
        down_base: 0,
        bundle: 1,
        up_base: 2,
        up_count: 4,
    };

    fn label(flow: u32, dst: u32) -> Label {
        Label::new(&Packet { flow, dst: HostId(dst), ..Packet::default() }, 0)
    }

    fn steering(choice: Choice, gap: Option<u64>) -> Steering {
        let routing = Routing { choice, flowlet_gap: gap.map(Span), ..Routing::default() };
        Steering::new(&routing, 4, 1, 9)
    }

    /// The ports that packets take one after the other, each adding 100 B to its port's queue.
    fn ports(steering: &mut Steering, packets: &[(u64, u32, u32)]) -> Vec<u16> {
        let mut queues = [0u64; 8];
        let route = |&(now, flow, dst): &(u64, u32, u32)| {
            let queue = |port: u16| queues[usize::from(port)];
            let port =
                steering.late(&RULE, Salt(77), &mut label(flow, dst), Time(now), queue).unwrap();
            queues[usize::from(port)] += 100;
            port
        };
        packets.iter().map(route).collect()
    }

    fn counts(taken: &[u16]) -> [usize; 4] {
        [2, 3, 4, 5].map(|port| taken.iter().filter(|taken| **taken == port).count())
    }

    /// One flow's packets spread evenly by queue and in turn, and nearly so over two random ports.
    #[test]
    fn packets_of_one_flow_spread() {
        let packets = [(0, 5, 100); 40];
        for choice in [Choice::LeastQueue, Choice::RoundRobin] {
            assert_eq!(
                counts(&ports(&mut steering(choice, None), &packets)),
                [10; 4],
                "{choice:?}"
            );
        }
        let counts = counts(&ports(&mut steering(Choice::TwoChoices, None), &packets));
        assert!(counts.iter().all(|count| (8..=12).contains(count)), "{counts:?}");
    }

    /// On empty queues the least queue is the hashed port, so that an unloaded flow keeps its order.
    #[test]
    fn ties_are_decided_by_hash() {
        let mut steering = steering(Choice::LeastQueue, None);
        let mut seen = [false; 8];
        for flow in 0..40 {
            let mut label = label(flow, 100);
            let port = steering.late(&RULE, Salt(7), &mut label, Time(1), |_| 0).unwrap();
            assert_eq!(port, 2 + choose(&label, Salt(7), 4));
            seen[usize::from(port)] = true;
        }
        assert_eq!(seen, [false, false, true, true, true, true, false, false]);
    }

    /// Way down there is no choice, whatever stands in the queue.
    #[test]
    fn there_is_no_choice_on_the_way_down() {
        assert_eq!(ports(&mut steering(Choice::LeastQueue, None), &[(0, 1, 1); 3]), [1, 1, 1]);
    }

    /// Packets within the gap keep their port, however full it is; after a longer pause the flow
    /// chooses anew, and another flow chooses on its own.
    #[test]
    fn flowlets_keep_their_port_within_the_gap() {
        let mut steering = steering(Choice::LeastQueue, Some(10));
        let times = [5, 15, 25, 36, 46];
        let taken = ports(&mut steering, &times.map(|at| (at, 5, 100)));
        assert!(taken[0] == taken[1] && taken[1] == taken[2], "{taken:?}");
        assert!(taken[3] != taken[2] && taken[3] == taken[4], "{taken:?}");
    }
}
