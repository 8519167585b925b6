//! The link layer of a port: what the wire loses, link-level retry, credits. Cold: a port comes here only
//! when its [`special`] byte says so.
//!
//! A port draws the errors of the direction it sends on as a frame leaves (a NIC: as it begins to leave),
//! from a stream of its own. A
//! link's own frames (PFC, credit updates) are never in error: real ones are repeated until they have
//! had their effect, which is not modelled.

use serde::{Deserialize, Serialize};

use crate::fault::Change;
use crate::ids::{Class, PortId};
use crate::link::{FrameErrors, ORDERED_SET_BYTES};
use crate::net::credit::Credits;
use crate::net::llr::{Llr, Turn};
use crate::net::outlet::Outlet;
use crate::net::port::{Port, REPLAY, WAIT, due, special};
use crate::net::profile::PortProfile;
use crate::packet::{CLASSES, Kind, Label, Packet};
use crate::rng::Stream;
use crate::units::{Ratio, Time};

/// What happens to a frame on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Arrives,
    /// Arrives, and cannot be read.
    Error,
    /// Leaves no trace.
    Vanishes,
}

/// What one direction of a link loses.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Losses {
    built: FrameErrors,
    errors: FrameErrors,
    random: Ratio,
    /// One of so many; zero: none.
    period: u32,
}

impl Losses {
    fn new(built: FrameErrors) -> Losses {
        Losses { built, errors: built, random: Ratio::new(0, 1), period: 0 }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Errors(errors) => self.errors = errors.unwrap_or(self.built),
            Change::DropRandom(ratio) => self.random = ratio,
            Change::DropPeriodic(period) => self.period = period,
            Change::Down | Change::Up | Change::Rate { .. } => {}
        }
    }

    fn any(&self) -> bool {
        self.errors != FrameErrors::None || self.random.numerator > 0 || self.period > 0
    }
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct LinkLayer {
    /// Of the direction that the port sends on.
    out: Losses,
    /// Of the other: it may lose what answers.
    back: Losses,
    /// Frames until the next periodic loss.
    countdown: u32,
    random: Stream,
    pub(crate) llr: Option<Llr>,
    pub(crate) credits: Option<Credits>,
}

impl LinkLayer {
    pub(crate) fn new(
        errors: FrameErrors,
        random: Stream,
        llr: Option<Llr>,
        credits: Option<Credits>,
    ) -> LinkLayer {
        let losses = Losses::new(errors);
        LinkLayer { out: losses, back: losses, countdown: 0, random, llr, credits }
    }

    /// A change of what the link loses: on the direction that the port sends on, or on the other.
    fn change(&mut self, change: Change, sends: bool) {
        if sends {
            self.out.change(change);
            if let Change::DropPeriodic(period) = change {
                self.countdown = period;
            }
        } else {
            self.back.change(change);
        }
    }

    fn is_active(&self) -> bool {
        self.out.any() || self.llr.is_some() || self.credits.is_some()
    }

    fn fate(&mut self, bytes: u16) -> Fate {
        if self.out.period > 0 {
            self.countdown -= 1;
            if self.countdown == 0 {
                self.countdown = self.out.period;
                return Fate::Vanishes;
            }
        }
        if self.out.random.numerator > 0 && self.random.chance(self.out.random) {
            return Fate::Vanishes;
        }
        if self.out.errors != FrameErrors::None
            && self.random.bits64() < self.out.errors.of(u64::from(bytes)).0
        {
            return Fate::Error;
        }
        Fate::Arrives
    }

    /// Whether an ordered set on the other direction is lost.
    fn loses_answer(&mut self) -> bool {
        self.back.errors != FrameErrors::None
            && self.random.bits64() < self.back.errors.of(ORDERED_SET_BYTES).0
    }

    /// A frame leaves that the receiver discards, being without an earlier one.
    fn show_gap(&mut self, now: Time) {
        if let Some(llr) = &mut self.llr
            && llr.take_unnoticed()
        {
            self.ask(now);
        }
    }

    /// The receiver misses a frame as it gets what leaves at `now`, and sends a NACK.
    fn ask(&mut self, now: Time) {
        if !self.loses_answer()
            && let Some(llr) = &mut self.llr
        {
            llr.ask(now);
        }
    }

    fn covers(&self, class: Class) -> bool {
        self.credits.as_ref().is_some_and(|credits| credits.covers(class.index()))
    }

    fn llr(&mut self) -> &mut Llr {
        self.llr.as_mut().expect("only a port with retry replays")
    }

    fn credits(&mut self) -> &mut Credits {
        self.credits.as_mut().expect("only a port with credits counts them")
    }
}

impl Port {
    /// Gives the port a link layer.
    pub(crate) fn set_link(&mut self, link: LinkLayer) {
        if link.llr.is_some() {
            self.due |= due::LINK;
        }
        if link.is_active() {
            self.special |= special::LINK;
        }
        self.link = Some(Box::new(link));
    }

    fn link(&mut self) -> &mut LinkLayer {
        self.link.as_mut().expect("a port with `special::LINK` has a link layer")
    }

    /// What the link loses changes, on the direction that this port sends on or on the other.
    pub(crate) fn change_link(&mut self, change: Change, sends: bool) {
        let link = self.link();
        link.change(change, sends);
        if link.is_active() {
            self.special |= special::LINK;
        } else {
            self.special &= !special::LINK;
        }
    }

    /// The share of frames that this port's direction loses at random.
    pub(crate) fn random_loss(&self) -> Ratio {
        self.link.as_ref().map_or(Ratio::new(0, 1), |link| link.out.random)
    }

    /// A frame of a host or switch goes on a wire with losses, retry or credits.
    pub(crate) fn emit_link(&mut self, now: Time, label: Label, outlet: &mut Outlet) {
        let (peer, at) = (self.peer, now + self.latency);
        let link = self.link.as_mut().expect("a port with `special::LINK` has a link layer");
        if link.covers(label.class)
            && link.credits().consume(label.class.index(), label.bytes)
            && self.paused & label.class.bit() == 0
        {
            self.paused |= label.class.bit();
            self.counters.credit_stalls += 1;
            if self.special & special::TAP != 0 {
                outlet.taps.held(now, self.id, self.paused);
            }
        }
        if link.llr.as_ref().is_some_and(Llr::discards) {
            link.show_gap(now);
            link.llr().keep(label);
            return;
        }
        let fate = link.fate(label.bytes);
        match (&mut link.llr, fate) {
            (llr, Fate::Arrives) => {
                if let Some(llr) = llr {
                    llr.deliver(now, label);
                }
                self.count_passed(label);
                outlet.send(peer, at, label);
            }
            (None, _) => self.lose_on_wire(now, label, fate, outlet),
            (Some(llr), _) => {
                llr.keep(label);
                self.retry(now, label, fate, outlet);
            }
        }
    }

    /// A frame that retry has kept leaves once more.
    pub(crate) fn depart_replay(&mut self, now: Time, outlet: &mut Outlet) {
        let (peer, at) = (self.peer, now + self.latency);
        if self.special & special::DOWN != 0 {
            self.flush_link(now, outlet);
            return;
        }
        let label = self.link().llr().replayed();
        self.counters.packets += 1;
        self.counters.bytes += u64::from(label.bytes);
        self.counters.llr_replayed += 1;
        outlet.work.hops += 1;
        if self.special & special::TAP != 0 {
            outlet.tap_sent(now, self.id, label);
        }
        let link = self.link();
        if link.llr().discards() {
            link.show_gap(now);
            link.llr().discard_replayed();
            return;
        }
        match link.fate(label.bytes) {
            Fate::Arrives => {
                link.llr().deliver_replayed(now);
                self.count_passed(label);
                outlet.send(peer, at, label);
            }
            fate => self.retry(now, label, fate, outlet),
        }
    }

    /// The first of the frames kept was lost as it left: the receiver will ask for it.
    fn retry(&mut self, now: Time, label: Label, fate: Fate, outlet: &mut Outlet) {
        let link = self.link();
        if !link.llr().lose(now, fate == Fate::Vanishes) {
            self.lose_on_wire(now, label, fate, outlet);
        } else if fate == Fate::Error {
            link.ask(now);
        }
    }

    fn lose_on_wire(&mut self, now: Time, label: Label, fate: Fate, outlet: &mut Outlet) {
        match fate {
            Fate::Vanishes => self.counters.dropped_injected += 1,
            _ => self.counters.dropped_error += 1,
        }
        self.count_passed(label);
        outlet.lose(now, self.id, label);
        if self.link().covers(label.class) {
            // UE 1.0 §5.2: the count of what was sent frees the credits of what was lost. The standard
            // sends it at intervals.
            self.send_credits(now, outlet);
        }
    }

    fn count_passed(&mut self, label: Label) {
        let link = self.link();
        if link.covers(label.class) {
            link.credits().pass(label.class.index(), label.bytes);
        }
    }

    /// The link is down: what retry has kept is lost, and it begins anew.
    pub(crate) fn flush_link(&mut self, now: Time, outlet: &mut Outlet) {
        while let Some(label) = self.link.as_mut().and_then(|link| link.llr.as_mut()?.flush()) {
            self.counters.dropped_link_down += 1;
            self.count_passed(label);
            outlet.lose(now, self.id, label);
        }
    }

    /// What retry wants at `now`.
    pub(crate) fn link_turn(&mut self, now: Time) -> Turn {
        let (turn, told) = self.link().llr().turn(now);
        match told {
            Some(true) => self.counters.llr_timeouts += 1,
            Some(false) => self.counters.llr_nacks += 1,
            None => {}
        }
        turn
    }

    /// Chooses the next frame of a port with retry, as [`Port::start`] does. While nothing may leave
    /// the port [waits](Port::waits) until it has to look again.
    pub(crate) fn start_link(&mut self, now: Time, profile: &PortProfile) -> Time {
        let wait = match self.link_turn(now) {
            Turn::Replay(bytes) => {
                self.serving = REPLAY;
                return self.end_of(now, bytes, profile);
            }
            Turn::Stalled(at) => at,
            Turn::New(at) => {
                let end = self.start_queued(now, profile);
                if end != Time::NEVER {
                    return end;
                }
                at
            }
        };
        self.serving = WAIT;
        wait
    }

    /// Whether nothing is on the wire although the port counts as busy.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.serving == WAIT
    }

    /// Whether retry may make the port [wait](Port::waits).
    #[inline]
    pub(crate) fn has_retry(&self) -> bool {
        self.due & due::LINK != 0
    }

    /// Frames that retry keeps.
    pub(crate) fn kept_packets(&self) -> u64 {
        self.link.as_ref().and_then(|link| link.llr.as_ref()).map_or(0, Llr::kept)
    }

    /// Bytes that came in under credits and have not left.
    pub(crate) fn credited_bytes(&self) -> u64 {
        self.link.as_ref().and_then(|link| link.credits.as_ref()).map_or(0, Credits::held)
    }

    /// Whether frames of the class come in under credits.
    #[inline]
    pub(crate) fn has_credits(&self, class: Class) -> bool {
        self.special & special::LINK != 0
            && self.link.as_ref().is_some_and(|link| link.covers(class))
    }

    /// A frame under credits came in here.
    pub(crate) fn take_in(&mut self, label: Label) {
        self.link().credits().take_in(label.class.index(), label.bytes);
    }

    /// A frame that came in here under credits has left: its credits are free, and the peer is told if
    /// they are many.
    pub(crate) fn release(&mut self, now: Time, label: Label, outlet: &mut Outlet) {
        if self.link().credits().release(label.class.index(), label.bytes) {
            self.send_credits(now, outlet);
        }
    }

    /// Sends an update of credits at `now`: an ordered set between or within frames, which takes no
    /// time on the wire. Nothing that leaves later may have been put on the wire yet.
    pub(crate) fn send_credits(&mut self, now: Time, outlet: &mut Outlet) {
        let Some(credits) = self.link.as_mut().and_then(|link| link.credits.as_mut()) else {
            return;
        };
        let mut packet = Packet {
            kind: Kind::LinkCredit,
            bytes: ORDERED_SET_BYTES as u16,
            class: Class::LINK,
            flow: self.id.0,
            ..Packet::default()
        };
        packet.body[..CLASSES].copy_from_slice(&credits.update());
        self.counters.credit_updates += 1;
        let label = outlet.create(&packet);
        outlet.send(self.peer, now + self.latency, label);
    }

    /// A link's own frame came in. True if the peer is to be told of credits that were freed.
    pub(crate) fn on_link_frame(&mut self, now: Time, frame: &Packet, outlet: &mut Outlet) -> bool {
        let leaked = if frame.kind == Kind::LinkCredit {
            let (waiting, leaked) = self.link().credits().on_update(&frame.body);
            self.paused = waiting;
            leaked
        } else {
            self.on_pfc(frame.body[0] as u8);
            false
        };
        self.note_paused(now, outlet);
        leaked
    }

    /// What the peer holds back has changed: noted where frames are captured.
    pub(crate) fn note_paused(&self, now: Time, outlet: &mut Outlet) {
        if self.special & special::TAP != 0 {
            outlet.taps.held(now, self.id, self.paused);
        }
    }
}

/// Names the stream of a port's link.
pub(crate) fn stream(seed: u64, port: PortId) -> Stream {
    Stream::new(seed, u64::from(port.0), crate::rng::Purpose::Link)
}
