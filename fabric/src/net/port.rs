//! An egress port: queues by class, marking, overflow, and the choice of what leaves next.
//!
//! A port is served *lazily*: what leaves it up to a time depends only on what arrived up to then, so
//! [`Port::serve`] catches up when the next packet arrives and once more when the window ends, and no
//! "port free" event exists. A packet keeps its place in the queue until its last byte has left; the
//! mark is decided at that moment, on the bytes that stay behind.

use serde::{Deserialize, Serialize};

use crate::config::Overflow;
use crate::fifo::Fifo;
use crate::ids::{Class, PortId};
use crate::net::link::LinkLayer;
use crate::net::outlet::{Flying, Outlet, Peer};
use crate::net::profile::PortProfile;
use crate::packet::{CLASSES, Kind, Label, Packet, flags};
use crate::probe::PortCounters;
use crate::rng::Stream;
use crate::telemetry::Sampler;
use crate::units::{Rate, Ratio, Span, Time};

/// In [`Port::serving`]: the frame on the wire is a PFC frame.
const PFC: u8 = CLASSES as u8;
/// In [`Port::serving`]: the frame on the wire is sent again by link-level retry.
pub(crate) const REPLAY: u8 = PFC + 1;
/// In [`Port::serving`]: nothing is on the wire; link-level retry has to look again when it is over.
pub(crate) const WAIT: u8 = PFC + 2;

/// Reasons why a frame that leaves a port is not simply sent: bits of [`Port::special`]. With none set,
/// which is what a run without faults and captures has, a departure tests one byte.
pub(crate) mod special {
    /// The link is down.
    pub(crate) const DOWN: u8 = 1 << 0;
    /// The link loses frames, repeats them, or counts credits: see [`crate::net::link`].
    pub(crate) const LINK: u8 = 1 << 1;
    /// What leaves is captured.
    pub(crate) const TAP: u8 = 1 << 2;
    /// What leaves may carry telemetry.
    pub(crate) const TELEMETRY: u8 = 1 << 3;
}

/// What goes before queued packets: bits of [`Port::due`].
pub(crate) mod due {
    /// A PFC frame waits to be sent.
    pub(crate) const PFC: u8 = 1 << 0;
    /// Link-level retry has to be asked.
    pub(crate) const LINK: u8 = 1 << 1;
    /// The beginning of each frame is noted, for telemetry.
    pub(crate) const TELEMETRY: u8 = 1 << 2;
}

/// An egress port. In order of use: what every packet reads and writes lies in the first four cache lines.
#[derive(Serialize, Deserialize)]
#[repr(C, align(64))]
pub(crate) struct Port {
    /// Bytes queued, by class.
    queued: [u64; CLASSES],
    pub(crate) rate: Rate,
    /// From the end of a frame here to its end of processing at the peer.
    pub(crate) latency: Span,
    pub(crate) peer: Peer,
    /// Index of its profile in the shard.
    pub(crate) profile: u16,
    /// Mask of classes with packets.
    occupied: u8,
    /// Mask of classes that the peer has paused.
    pub(crate) paused: u8,
    /// Class on the wire, or [`PFC`], [`REPLAY`] or [`WAIT`].
    pub(crate) serving: u8,
    /// See [`due`].
    pub(crate) due: u8,
    /// See [`special`].
    pub(crate) special: u8,
    /// Classes this port holds paused at its peer: the content of the next PFC frame.
    pub(crate) pausing: u8,
    queues: [Fifo<Label>; CLASSES],
    random: Stream,
    deficit: [u32; CLASSES],
    pub(crate) counters: PortCounters,
    /// Weighted class whose turn it is.
    turn: u8,
    pub(crate) id: PortId,
    /// The rate it was built with.
    pub(crate) built_rate: Rate,
    /// Where [`special::LINK`] may be set.
    pub(crate) link: Option<Box<LinkLayer>>,
    /// What telemetry needs; only switches have it.
    sampler: Option<Box<Sampler>>,
}

const _: () = {
    assert!(std::mem::offset_of!(Port, queues) == 64, "the first line is full");
    assert!(
        std::mem::offset_of!(Port, counters) <= 4 * 64 - 24,
        "and the fourth has the counters in use"
    );
};

impl Port {
    pub(crate) fn new(
        id: PortId,
        peer: Peer,
        rate: Rate,
        latency: Span,
        profile: u16,
        random: Stream,
    ) -> Port {
        Port {
            peer,
            rate,
            latency,
            queued: [0; CLASSES],
            occupied: 0,
            paused: 0,
            serving: 0,
            due: 0,
            pausing: 0,
            special: 0,
            profile,
            turn: 0,
            queues: Default::default(),
            deficit: [0; CLASSES],
            random,
            id,
            built_rate: rate,
            counters: PortCounters::default(),
            link: None,
            sampler: None,
        }
    }

    /// Packets that ask for telemetry get it here from now on, with units of `multiple`.
    pub(crate) fn sample(&mut self, multiple: u32) {
        self.special |= special::TELEMETRY;
        self.due |= due::TELEMETRY;
        self.sampler = Some(Box::new(Sampler::new(multiple)));
    }

    /// Loads what a window needs of the port.
    #[inline]
    pub(crate) fn touch(&self) {
        let front = |class: usize| self.queues[class].front().map_or(0, |label| label.bytes);
        let words = u64::from(self.occupied) ^ self.counters.bytes ^ u64::from(self.deficit[0]);
        std::hint::black_box(words ^ u64::from(front(0) ^ front(1) ^ front(2)));
    }

    /// Completes every departure up to and including `until`. `busy` is when the frame on the wire
    /// ends, [`Time::NEVER`] when there is none.
    #[inline]
    pub(crate) fn serve(
        &mut self,
        busy: &mut Time,
        until: Time,
        profile: &PortProfile,
        outlet: &mut Outlet,
    ) {
        while *busy <= until {
            let now = *busy;
            self.depart(now, profile, outlet);
            *busy = self.start(now, profile);
        }
    }

    /// The frame on the wire ends: sends it on and returns its label (`None` if it stood in no queue).
    #[inline]
    pub(crate) fn depart(
        &mut self,
        now: Time,
        profile: &PortProfile,
        outlet: &mut Outlet,
    ) -> Option<Label> {
        if self.serving >= PFC {
            self.depart_special(now, profile, outlet);
            return None;
        }
        let label = self.leave(profile);
        self.emit(now, label, outlet);
        Some(label)
    }

    /// Whether what leaves is simply sent, and the next frame is simply the next in the queues.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.special | self.due == 0
    }

    /// The same as [`Port::serve`] for a [plain](Port::is_plain) port, into a list.
    #[inline]
    pub(crate) fn serve_plain(
        &mut self,
        busy: &mut Time,
        until: Time,
        profile: &PortProfile,
        sent: &mut Vec<Flying>,
    ) {
        while *busy <= until {
            let now = *busy;
            let label = self.leave(profile);
            self.counters.packets += 1;
            sent.push(Flying { at: now + self.latency, label });
            *busy = self.start_queued(now, profile);
        }
    }

    /// Takes the packet on the wire out of its queue, marked if it has to be.
    #[inline]
    fn leave(&mut self, profile: &PortProfile) -> Label {
        let class = self.serving as usize;
        let mut label = self.queues[class].pop().expect("a class on the wire has a packet");
        self.queued[class] -= u64::from(label.bytes);
        if self.queues[class].len() == 0 {
            self.occupied &= !(1 << class);
        }
        let limits = &profile.classes[class];
        let behind = self.queued[class];
        if behind > limits.kmin {
            let excess = behind - limits.kmin;
            let marked =
                behind > limits.kmax || u64::from(self.random.bits()) << 16 < excess * limits.slope;
            if marked && label.flags & flags::ECN_CAPABLE != 0 {
                label.flags |= flags::CE;
                self.counters.ecn_marked += 1;
            }
        }
        self.counters.bytes += u64::from(label.bytes);
        label
    }

    /// Puts a packet on the wire whose last byte leaves at `now`.
    #[inline]
    pub(crate) fn emit(&mut self, now: Time, label: Label, outlet: &mut Outlet) {
        self.counters.packets += 1;
        outlet.work.hops += 1;
        if self.special == 0 {
            outlet.send(self.peer, now + self.latency, label);
        } else {
            self.emit_special(now, label, outlet);
        }
    }

    #[cold]
    fn emit_special(&mut self, now: Time, label: Label, outlet: &mut Outlet) {
        if self.special & special::DOWN != 0 {
            self.flush_link(now, outlet);
            outlet.lose(now, self.id, label);
            self.counters.dropped_link_down += 1;
            return;
        }
        if let Some(sampler) = &mut self.sampler {
            if label.flags & flags::TELEMETRY != 0 {
                outlet.arena.telemetry_mut(label.slot).push(sampler.hop(self.rate));
            }
            sampler.count(label.bytes);
        }
        if self.special & special::TAP != 0 {
            outlet.tap_sent(now, self.id, label);
        }
        if self.special & special::LINK != 0 && label.class != Class::LINK {
            self.emit_link(now, label, outlet);
            return;
        }
        outlet.send(self.peer, now + self.latency, label);
    }

    #[cold]
    fn depart_special(&mut self, now: Time, profile: &PortProfile, outlet: &mut Outlet) {
        match self.serving {
            PFC => self.depart_pfc(now, profile, outlet),
            REPLAY => self.depart_replay(now, outlet),
            _ => {}
        }
    }

    fn depart_pfc(&mut self, now: Time, profile: &PortProfile, outlet: &mut Outlet) {
        let mut packet = Packet {
            kind: Kind::Pfc,
            bytes: profile.pfc_bytes,
            class: Class::LINK,
            flow: self.id.0,
            ..Packet::default()
        };
        packet.body[0] = u64::from(self.pausing);
        let label = outlet.create(&packet);
        self.counters.bytes += u64::from(packet.bytes);
        self.emit(now, label, outlet);
    }

    /// Chooses the next frame at `now`; returns when it ends, [`Time::NEVER`] if nothing may leave.
    #[inline]
    pub(crate) fn start(&mut self, now: Time, profile: &PortProfile) -> Time {
        if self.due != 0 {
            self.start_special(now, profile)
        } else {
            self.start_queued(now, profile)
        }
    }

    fn start_special(&mut self, now: Time, profile: &PortProfile) -> Time {
        if self.due & due::PFC != 0 {
            self.due &= !due::PFC;
            self.serving = PFC;
            return self.end_of(now, profile.pfc_bytes, profile);
        }
        let end = if self.due & due::LINK != 0 {
            self.start_link(now, profile)
        } else {
            self.start_queued(now, profile)
        };
        if self.due & due::TELEMETRY != 0 && end != Time::NEVER && self.serving < PFC {
            self.note_start(now);
        }
        end
    }

    /// A queued packet begins to leave.
    fn note_start(&mut self, now: Time) {
        let leaving = self.queues[self.serving as usize].front().map_or(0, |label| label.bytes);
        let behind = self.queue_bytes() - u64::from(leaving);
        if let Some(sampler) = &mut self.sampler {
            sampler.start(now, behind);
        }
    }

    /// Chooses the next packet of the queues.
    #[inline]
    pub(crate) fn start_queued(&mut self, now: Time, profile: &PortProfile) -> Time {
        let eligible = self.occupied & !self.paused;
        if eligible == 0 {
            return Time::NEVER;
        }
        let strict = eligible & profile.strict;
        let class = if strict != 0 {
            strict.trailing_zeros() as usize
        } else if eligible.is_power_of_two() {
            eligible.trailing_zeros() as usize
        } else {
            self.weighted(eligible, profile)
        };
        self.serving = class as u8;
        let front = self.queues[class].front().expect("an occupied class has a packet");
        self.end_of(now, front.bytes, profile)
    }

    #[inline]
    pub(crate) fn end_of(&self, now: Time, bytes: u16, profile: &PortProfile) -> Time {
        now + self.rate.time_for(u64::from(bytes) + u64::from(profile.overhead))
    }

    /// Deficit round robin: each weighted class in turn may send its quantum of bytes.
    fn weighted(&mut self, eligible: u8, profile: &PortProfile) -> usize {
        loop {
            let class = self.turn as usize;
            if eligible & (1 << class) != 0 {
                let bytes = self.queues[class].front().map_or(0, |label| u32::from(label.bytes));
                if self.deficit[class] >= bytes {
                    self.deficit[class] -= bytes;
                    return class;
                }
            } else {
                self.deficit[class] = 0;
            }
            self.turn = (self.turn + 1) % CLASSES as u8;
            let next = self.turn as usize;
            if eligible & (1 << next) != 0 {
                self.deficit[next] += profile.classes[next].quantum;
            }
        }
    }

    /// Queues a packet in its class, or trims or drops it or the newest one by the class's rule.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        now: Time,
        label: Label,
        profile: &PortProfile,
        outlet: &mut Outlet,
    ) -> bool {
        let class = label.class.index();
        if self.queued[class] + u64::from(label.bytes) <= profile.classes[class].limit {
            self.enqueue(label);
            return true;
        }
        self.overflow(now, label, profile, outlet)
    }

    #[inline]
    fn enqueue(&mut self, label: Label) {
        let class = label.class;
        self.queues[class.index()].push(label);
        self.occupied |= class.bit();
        self.queued[class.index()] += u64::from(label.bytes);
        let total = self.queue_bytes();
        self.counters.queue_bytes_max = self.counters.queue_bytes_max.max(total);
    }

    /// Bytes queued in all classes.
    #[inline]
    pub(crate) fn queue_bytes(&self) -> u64 {
        self.queued.iter().sum()
    }

    /// Bytes queued in classes under flow control.
    pub(crate) fn lossless_bytes(&self, profiles: &[PortProfile]) -> u64 {
        let lossless = profiles[self.profile as usize].lossless;
        (0..CLASSES).filter(|c| lossless & (1 << c) != 0).map(|c| self.queued[c]).sum()
    }

    /// Packets queued in all classes, or kept for link-level retry.
    pub(crate) fn queue_packets(&self) -> u64 {
        self.queues.iter().map(|queue| queue.len() as u64).sum::<u64>() + self.kept_packets()
    }

    #[cold]
    fn overflow(
        &mut self,
        now: Time,
        label: Label,
        profile: &PortProfile,
        outlet: &mut Outlet,
    ) -> bool {
        let rule = profile.classes[label.class.index()].overflow;
        let victim = match rule {
            Overflow::TailDrop | Overflow::Trim { .. } => label,
            Overflow::CoinDrop | Overflow::CoinTrim { .. } => self.toss(label),
        };
        let kept = victim.slot != label.slot;
        match rule {
            Overflow::Trim { bytes, to } | Overflow::CoinTrim { bytes, to } => {
                self.trim(now, victim, bytes, to, profile, outlet) || kept
            }
            Overflow::TailDrop | Overflow::CoinDrop => {
                self.drop_full(now, victim, outlet);
                kept
            }
        }
    }

    /// Tosses a coin between the arriving packet and the newest queued one; returns the loser. The
    /// packet on the wire cannot lose.
    fn toss(&mut self, label: Label) -> Label {
        let class = label.class;
        let waiting = self.queues[class.index()].len();
        let on_wire = usize::from(self.serving == class.0);
        if waiting <= on_wire || self.random.chance(Ratio::new(1, 2)) {
            return label;
        }
        let newest = self.queues[class.index()].back_mut().expect("counted above");
        let loser = std::mem::replace(newest, label);
        let queued = &mut self.queued[class.index()];
        *queued = *queued - u64::from(loser.bytes) + u64::from(label.bytes);
        loser
    }

    fn trim(
        &mut self,
        now: Time,
        victim: Label,
        bytes: u16,
        to: Class,
        profile: &PortProfile,
        outlet: &mut Outlet,
    ) -> bool {
        let limit = profile.classes[to.index()].limit;
        let is_foreign = outlet.arena.get(victim.slot).kind == Kind::Foreign;
        if is_foreign || victim.bytes <= bytes || self.queued[to.index()] + u64::from(bytes) > limit
        {
            self.drop_full(now, victim, outlet);
            return false;
        }
        let mut trimmed = victim.flags | flags::TRIMMED;
        if profile.host_facing {
            trimmed |= flags::LAST_HOP;
        }
        self.counters.trimmed += 1;
        self.enqueue(Label { bytes, class: to, flags: trimmed, ..victim });
        true
    }

    fn drop_full(&mut self, now: Time, victim: Label, outlet: &mut Outlet) {
        self.counters.dropped_full += 1;
        outlet.lose(now, self.id, victim);
    }

    /// Takes one packet out of the queues and loses it; `None` when they are empty. The port must be idle.
    pub(crate) fn discard(&mut self, now: Time, outlet: &mut Outlet) -> Option<Label> {
        let label = self.take(self.occupied.trailing_zeros() as usize)?;
        self.counters.dropped_link_down += 1;
        outlet.lose(now, self.id, label);
        Some(label)
    }

    /// Whether a class has packets.
    pub(crate) fn occupied(&self, class: usize) -> bool {
        self.occupied & (1 << class) != 0
    }

    /// The watchdog takes a packet out of a class that is paused, but not one on the wire; `None` when
    /// there is no more.
    pub(crate) fn drop_paused(
        &mut self,
        now: Time,
        class: usize,
        outlet: &mut Outlet,
    ) -> Option<Label> {
        let label = self.take(class)?;
        self.counters.dropped_watchdog += 1;
        outlet.lose(now, self.id, label);
        Some(label)
    }

    fn take(&mut self, class: usize) -> Option<Label> {
        let label = self.queues.get_mut(class)?.pop()?;
        self.queued[class] -= u64::from(label.bytes);
        if self.queues[class].len() == 0 {
            self.occupied &= !(1 << class);
        }
        Some(label)
    }

    /// The queued packets of a class, from the front.
    pub(crate) fn queue(&self, class: usize) -> impl Iterator<Item = &Label> {
        self.queues[class].iter()
    }

    /// A failed switch comes back with empty queues and holds nobody back.
    pub(crate) fn reset(&mut self) {
        self.pausing = 0;
        self.due &= !due::PFC;
        self.deficit = [0; CLASSES];
        self.forget_peer();
    }

    /// The link goes down or comes up: what the peer had asked for is forgotten.
    pub(crate) fn forget_peer(&mut self) {
        self.paused = 0;
    }

    /// Asks for a PFC frame with the present [`Port::pausing`] mask to be sent before anything else.
    pub(crate) fn request_pfc(&mut self) {
        self.due |= due::PFC;
    }

    /// The peer says which classes it holds back from now on.
    pub(crate) fn on_pfc(&mut self, mask: u8) {
        self.counters.pauses_received += u64::from((mask & !self.paused).count_ones());
        self.paused = mask;
    }
}
