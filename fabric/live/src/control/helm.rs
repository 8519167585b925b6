//! The loop's side of a session that is looked at: it takes orders, and shows how things stand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fabric::changes::PortNow;
use fabric::endpoint::Endpoint;
use fabric::fault::{Change, Direction, Fault, SwitchFault};
use fabric::ids::{HostId, LinkId};
use fabric::link::FrameErrors;
use fabric::program::Program;
use fabric::units::{Span, Time};

use crate::control::view::{
    Counters, Frames, Happened, Host, LinkNow, Snapshot, State, Status, Topology, Totals, Way,
};
use crate::control::{Asked, Line, Order, Refused};
use crate::directory::address;
use crate::error::LiveError;
use crate::journal::{Entry, Writer};
use crate::motor::{Action, Motor};
use crate::pace::Pace;
use crate::session::Status as Figures;

/// Time between two snapshots, at the least.
const SHOWN_EVERY: Duration = Duration::from_millis(150);
/// Snapshots take no more than one part in so many of the loop's time.
const SHARE: u32 = 50;
/// Changes that are told.
const RECENT: usize = 20;
/// Faults that may wait for their time.
const WAITING: usize = 1 << 16;

/// What the loop does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// It goes on.
    Go,
    /// It stands still.
    Stand,
    /// It goes on after having stood still for so long.
    Resume(Duration),
    /// It ends.
    Stop,
}

/// What never changes of a session.
#[derive(Clone)]
pub struct Facts {
    /// The fabric.
    pub topology: Arc<Topology>,
    /// Attached hosts.
    pub attached: Vec<HostId>,
    /// Seconds of the clock for a second of emulated time.
    pub dilation: f64,
    /// Lag that 999 of 1,000 frames may have.
    pub tolerance: Span,
}

/// Frames and bytes of a host.
#[derive(Clone, Copy, Default)]
struct Traffic {
    sent: (u64, u64),
    received: (u64, u64),
}

/// See the module.
pub struct Helm {
    line: Line,
    facts: Facts,
    began: Instant,
    paused: Option<Instant>,
    shown: Instant,
    every: Duration,
    /// Bytes that each link's ways had carried, and when that was.
    carried: (Time, Vec<[u64; 2]>),
    traffic: BTreeMap<HostId, Traffic>,
    dropped_paused: u64,
    changes: u64,
    recent: VecDeque<Happened>,
}

impl Helm {
    /// A helm of a session that begins now.
    pub fn new(line: Line, facts: Facts) -> Helm {
        #[allow(clippy::disallowed_methods, reason = "people are shown how long it goes on")]
        let began = Instant::now();
        let carried = (Time::ZERO, vec![[0; 2]; facts.topology.links.len()]);
        let traffic = facts.attached.iter().map(|host| (*host, Traffic::default())).collect();
        Helm {
            line,
            facts,
            began,
            paused: None,
            shown: began,
            every: SHOWN_EVERY,
            carried,
            traffic,
            dropped_paused: 0,
            changes: 0,
            recent: VecDeque::new(),
        }
    }

    /// A frame of a host was taken in.
    pub(crate) fn took(&mut self, host: HostId, bytes: usize) {
        let Traffic { sent, .. } = self.traffic.entry(host).or_default();
        *sent = (sent.0 + 1, sent.1 + bytes as u64);
    }

    /// A frame was handed to a host.
    pub(crate) fn gave(&mut self, host: HostId, bytes: usize) {
        let Traffic { received, .. } = self.traffic.entry(host).or_default();
        *received = (received.0 + 1, received.1 + bytes as u64);
    }

    /// So many frames came while nothing moved.
    pub(crate) fn dropped(&mut self, frames: u64) {
        self.dropped_paused += frames;
    }

    /// Carries out the orders that wait.
    pub(crate) fn obey<E: Endpoint, P: Program>(
        &mut self,
        motor: &mut Motor<'_, E, P>,
        journal: &mut Option<Writer>,
        now: Instant,
    ) -> Result<Turn, LiveError> {
        let mut turn = if self.paused.is_some() { Turn::Stand } else { Turn::Go };
        while let Ok(Asked { order, answer }) = self.line.orders.try_recv() {
            let done = match order {
                Order::Change(actions) => self.change(motor, journal, &actions)?,
                Order::Pause if self.paused.is_some() => Err(Refused::Paused),
                Order::Pause => {
                    self.paused = Some(now);
                    turn = Turn::Stand;
                    Ok(())
                }
                Order::Resume => match self.paused.take() {
                    None => Err(Refused::Running),
                    Some(since) => {
                        // What waits for emulated time to go on is done next turn.
                        let _ = answer.send(Ok(()));
                        return Ok(Turn::Resume(now.saturating_duration_since(since)));
                    }
                },
                Order::Stop => {
                    let _ = answer.send(Ok(()));
                    return Ok(Turn::Stop);
                }
            };
            // Who asked may have gone.
            let _ = answer.send(done);
        }
        Ok(turn)
    }

    /// Makes changes, all or none, and writes them into the journal.
    fn change<E: Endpoint, P: Program>(
        &mut self,
        motor: &mut Motor<'_, E, P>,
        journal: &mut Option<Writer>,
        actions: &[Action],
    ) -> Result<Result<(), Refused>, LiveError> {
        if motor.changes.waiting() + actions.len() > WAITING {
            return Ok(Err(Refused::TooMany(WAITING)));
        }
        let now = motor.done();
        // What may be refused comes first, and there is one of it in an order.
        let (delays, others): (Vec<Action>, Vec<Action>) =
            actions.iter().partition(|action| matches!(action, Action::Delay { .. }));
        for action in delays.into_iter().chain(others) {
            let action = action.after(now);
            if let Err(error) = motor.change(action) {
                return Ok(Err(error.into()));
            }
            if let Some(journal) = journal {
                journal.add(&Entry::Change { at_ps: now.0, action })?;
            }
            self.note(now, &action);
        }
        self.shown = self.began;
        Ok(Ok(()))
    }

    fn note(&mut self, now: Time, action: &Action) {
        self.changes += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        let what = describe(action, now, &self.facts.topology);
        self.recent.push_back(Happened { emulated_us: now.as_micros(), what });
    }

    /// Shows how things stand, if that was long enough ago.
    pub(crate) fn show<E: Endpoint, P: Program>(
        &mut self,
        motor: &Motor<'_, E, P>,
        pace: &Pace,
        figures: impl FnOnce() -> Figures,
        now: impl Fn() -> Instant,
    ) {
        let start = now();
        if start.saturating_duration_since(self.shown) < self.every && self.shown != self.began {
            return;
        }
        let state = if self.paused.is_some() { State::Paused } else { State::Running };
        let wall = start.saturating_duration_since(self.began);
        let mut snapshot = self.snapshot(motor, &figures(), state, wall);
        if self.paused.is_none() {
            let behind = pace.real(pace.emulated(start).since(motor.done()));
            snapshot.status.behind_us = behind.as_micros() as f64;
        }
        self.line.shown.send_replace(Arc::new(snapshot));
        let end = now();
        self.every = SHOWN_EVERY.max(end.saturating_duration_since(start) * SHARE);
        self.shown = end;
    }

    /// Shows that it is over.
    pub(crate) fn end(self) {
        self.line.shown.send_modify(|shown| {
            let mut last = Snapshot::clone(shown);
            last.status.state = State::Over;
            *shown = Arc::new(last);
        });
    }

    fn snapshot<E: Endpoint, P: Program>(
        &mut self,
        motor: &Motor<'_, E, P>,
        figures: &Figures,
        state: State,
        wall: Duration,
    ) -> Snapshot {
        let (links, totals) = self.links(motor);
        let topology = &self.facts.topology;
        let hosts = topology.nodes.iter().filter(|node| node.level == 0).count();
        let status = Status {
            name: topology.name.clone(),
            state,
            emulated_us: motor.done().as_micros(),
            behind_us: 0.0,
            wall_s: wall.as_secs_f64(),
            dilation: self.facts.dilation,
            lag: figures.lag,
            tolerance_us: self.facts.tolerance.as_micros(),
            hosts: hosts as u32,
            attached: self.facts.attached.len() as u32,
            links_down: links.iter().filter(|link| link.up.down || link.down.down).count() as u32,
            changes: self.changes,
            changes_waiting: motor.changes.waiting() as u64,
            recent: self.recent.iter().cloned().collect(),
        };
        let counters = Counters {
            emulated_us: status.emulated_us,
            frames: frames(figures, self.dropped_paused),
            totals,
            hosts: self.traffic.iter().map(|(host, traffic)| of_host(*host, traffic)).collect(),
            lag: figures.lag,
        };
        Snapshot { status, counters, links }
    }

    /// All links, and all their ports together.
    fn links<E: Endpoint, P: Program>(
        &mut self,
        motor: &Motor<'_, E, P>,
    ) -> (Vec<LinkNow>, Totals) {
        let now = motor.done();
        let (then, carried) = &mut self.carried;
        let passed = now.since(*then);
        let mut totals = Totals::default();
        let mut links = Vec::with_capacity(carried.len());
        for (number, before) in carried.iter_mut().enumerate() {
            let id = LinkId(number as u32);
            let ports = [true, false].map(|upwards| motor.changes.port(&motor.run, id, upwards));
            let mut ways = [0, 1].map(|place| way(&ports[place], before[place], passed));
            if passed == Span::ZERO {
                // Nothing has moved: what was shown of the load stays true.
                let known = self.line.shown.borrow();
                if let Some(link) = known.links.get(number) {
                    (ways[0].load, ways[1].load) = (link.up.load, link.down.load);
                }
            }
            for (port, before) in ports.iter().zip(before) {
                *before = port.counters.bytes;
                totals.packets += port.counters.packets;
                totals.bytes += port.counters.bytes;
                totals.dropped += port.counters.dropped();
                totals.trimmed += port.counters.trimmed;
                totals.ecn_marked += port.counters.ecn_marked;
                totals.queue_bytes += port.queue_bytes;
            }
            let [up, down] = ways;
            let delay_us_min = motor.changes.shortest(&motor.run, id).as_micros();
            let delay_us = ports[0].delay.as_micros();
            links.push(LinkNow { id: id.0, delay_us, delay_us_min, up, down });
        }
        *then = now;
        (links, totals)
    }
}

fn way(port: &PortNow, before: u64, passed: Span) -> Way {
    let room = port.rate.bytes_in(passed);
    let counters = &port.counters;
    let load = (counters.bytes - before) as f64 / room.max(1) as f64;
    Way {
        down: port.is_down,
        rate_bps: port.rate.bits_per_second(),
        loss: port.loss.as_f64(),
        load: if room == 0 { 0.0 } else { load.min(1.0) },
        queue_bytes: port.queue_bytes,
        queue_bytes_max: counters.queue_bytes_max,
        packets: counters.packets,
        bytes: counters.bytes,
        dropped: counters.dropped(),
        trimmed: counters.trimmed,
        ecn_marked: counters.ecn_marked,
    }
}

fn of_host(host: HostId, traffic: &Traffic) -> Host {
    Host {
        host: host.0,
        address: address(host).to_string(),
        sent_frames: traffic.sent.0,
        sent_bytes: traffic.sent.1,
        received_frames: traffic.received.0,
        received_bytes: traffic.received.1,
    }
}

fn frames(figures: &Figures, dropped_paused: u64) -> Frames {
    let counts = &figures.counts;
    let named = |(kind, count)| (format!("{kind:?}").to_lowercase(), count);
    Frames {
        taken: counts.kinds().map(named).collect(),
        delivered: counts.delivered,
        marked: counts.marked,
        trimmed: counts.trimmed,
        undeliverable: counts.undeliverable,
        dropped_nic: counts.dropped_nic,
        dropped_paused,
        unanswered: counts.unanswered,
        answered: counts.answered,
        answers: counts.answers,
        overwritten: counts.overwritten,
        dropped_ttl: counts.dropped_ttl,
        lost_in: figures.lost_in,
        lost_out: figures.lost_out,
    }
}

/// A change in words.
fn describe(action: &Action, now: Time, topology: &Topology) -> String {
    let name = |link: LinkId| {
        let link = &topology.links[link.index()];
        format!("{} – {}", link.a, link.b)
    };
    let later = |at: Time| match at.since(now) {
        Span::ZERO => String::new(),
        span => format!(", in {span}"),
    };
    match action {
        Action::Link(Fault { at, link, direction, change }) => {
            let direction = match direction {
                Direction::Both => "",
                Direction::Up => ", upwards",
                Direction::Down => ", downwards",
            };
            let what = match change {
                Change::Down => "down".to_owned(),
                Change::Up => "up".to_owned(),
                Change::Rate { ratio, .. } => {
                    let built = topology.links[link.index()].rate_bps as f64;
                    // Rates are kept as times of bytes: what is asked for is met to the fifth digit.
                    let megabits = (ratio.as_f64() * built / 1e4).round() / 100.0;
                    format!("{megabits} Mb/s")
                }
                Change::Errors(None | Some(FrameErrors::None)) => "errors as built".to_owned(),
                Change::Errors(Some(_)) => "frames in error".to_owned(),
                Change::DropRandom(ratio) => format!("loses {} %", ratio.as_f64() * 100.0),
                Change::DropPeriodic(0) => "loses nothing periodically".to_owned(),
                Change::DropPeriodic(every) => format!("loses one frame in {every}"),
            };
            format!("{}: {what}{direction}{}", name(*link), later(*at))
        }
        Action::Switch(SwitchFault { at, switch, up }) => {
            let switch = &topology.nodes[switch.index()].name;
            format!("{switch}: {}{}", if *up { "up" } else { "down" }, later(*at))
        }
        Action::Delay { link, delay } => format!("{}: delay {delay}", name(*link)),
    }
}
