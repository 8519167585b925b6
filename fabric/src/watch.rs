//! Messages watched while a run goes on: what their hosts sent and received of them, and why they did not send.
//!
//! A [`Watched`] transport takes notes and otherwise is the one inside it, so a run with it gives the same digest. What
//! happens between two hosts is in a [`Capture`](crate::capture::Capture) with [`only`](crate::capture::Capture::only).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::{Endpoint, HostCx, Message, Send, TimerId};
use crate::ids::{Class, HostId, MessageId};
use crate::packet::Packet;
use crate::series::ConnectionState;
use crate::units::Time;

/// Why nothing of a message is being sent, as its transport sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hold {
    /// Nothing in the transport: a packet could go, and waits for its turn on the NIC.
    Ready,
    /// As many bytes are in flight as the window, or the range of sequence numbers, allows.
    Window,
    /// The receiver has given no credit (RCCC), or pulled no packet (NDP).
    Credit,
    /// The rate of the connection: the next packet's time has not come.
    Rate,
    /// Messages that were posted before it on the same connection.
    Behind,
    /// The other host has not asked for it yet (READ, rendezvous).
    Asked,
    /// The connection is being set up.
    Opening,
    /// The other host was out of resources.
    Refused,
    /// Nothing: all of it has been sent.
    Sent,
}

/// A message to be watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Watch {
    /// The host that posts it.
    pub src: HostId,
    /// The other one.
    pub dst: HostId,
    /// Its number.
    pub message: MessageId,
}

/// A packet that went onto a wire.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// When its first bit did.
    pub at: Time,
    /// When the port was free again; [`Time::NEVER`] if it was not seen free.
    pub free: Time,
    /// The port of the host.
    pub port: u8,
    /// The message of its payload, or that it asks for.
    pub message: Option<MessageId>,
    /// The packet.
    pub packet: Packet,
}

/// A packet that a transport was given.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// The message of its payload, or that it asks for.
    pub message: Option<MessageId>,
    /// The packet.
    pub packet: Packet,
}

/// From when on a message is held back by something else than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    /// When.
    pub at: Time,
    /// The message.
    pub message: MessageId,
    /// By what; `None`: the transport knows nothing of it.
    pub hold: Option<Hold>,
    /// Data was held back by priority flow control or credits of the link.
    pub paused: bool,
}

/// What was noted at a host, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Packets sent to hosts of watched messages.
    pub sent: Vec<Departure>,
    /// Packets received from them.
    pub received: Vec<Arrival>,
    /// What held the watched messages.
    pub holdings: Vec<Holding>,
}

/// The notes of all hosts that have watched messages.
#[derive(Clone, Default)]
pub struct Notebook {
    watches: BTreeMap<HostId, BTreeMap<MessageId, HostId>>,
    notes: BTreeMap<HostId, Arc<Mutex<Notes>>>,
}

impl Notebook {
    /// For these messages.
    pub fn new(watches: &[Watch]) -> Notebook {
        let mut book = Notebook::default();
        for watch in watches {
            for (host, peer) in [(watch.src, watch.dst), (watch.dst, watch.src)] {
                book.watches.entry(host).or_default().insert(watch.message, peer);
                book.notes.entry(host).or_default();
            }
        }
        book
    }

    /// The transport of `host`, taking notes if it has a watched message.
    pub fn watch<E>(&self, host: HostId, endpoint: E) -> Watched<E> {
        let log = self.notes.get(&host).map(|notes| {
            let watches = self.watches.get(&host).cloned().unwrap_or_default();
            Log {
                peers: watches.values().copied().collect(),
                watches,
                open: Vec::new(),
                on_wire: BTreeMap::new(),
                stopped: 0,
                notes: Arc::clone(notes),
            }
        });
        Watched { inner: endpoint, log }
    }

    /// Pairs of hosts that exchange watched messages, for [`Capture::only`](crate::capture::Capture::only).
    pub fn pairs(&self) -> Vec<(HostId, HostId)> {
        let all = self.watches.iter().flat_map(|(host, watches)| {
            watches.values().map(|peer| ((*host).min(*peer), (*host).max(*peer)))
        });
        let pairs: BTreeSet<(HostId, HostId)> = all.collect();
        pairs.into_iter().collect()
    }

    /// What was noted, by host.
    pub fn into_notes(self) -> BTreeMap<HostId, Notes> {
        let take = |notes: &Mutex<Notes>| {
            std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.notes.iter().map(|(host, notes)| (*host, take(notes))).collect()
    }
}

/// A watched message that this host has something to do with.
struct Open {
    message: MessageId,
    peer: HostId,
    last: Option<Holding>,
}

/// What one transport notes.
struct Log {
    /// Watched messages of this host, and who is at their other end.
    watches: BTreeMap<MessageId, HostId>,
    peers: BTreeSet<HostId>,
    open: Vec<Open>,
    /// The departure in the notes that is on the wire of a port.
    on_wire: BTreeMap<u8, usize>,
    /// Mask of ports that wait because data is paused.
    stopped: u64,
    notes: Arc<Mutex<Notes>>,
}

/// See the module.
pub struct Watched<E> {
    inner: E,
    /// `None`: nothing is noted.
    log: Option<Log>,
}

impl Log {
    fn begin(&mut self, message: MessageId) {
        let known = self.open.iter().any(|open| open.message == message);
        if let Some(peer) = self.watches.get(&message).filter(|_| !known) {
            self.open.push(Open { message, peer: *peer, last: None });
        }
    }

    /// A packet was received.
    fn receive(&mut self, at: Time, packet: &Packet, message: Option<MessageId>) {
        if self.peers.contains(&packet.src) {
            let arrival = Arrival { at, message, packet: *packet };
            self.with_notes(|notes| notes.received.push(arrival));
            message.into_iter().for_each(|message| self.begin(message));
        }
    }

    /// Port `port` was free and offered; the answer.
    fn offered(
        &mut self,
        at: Time,
        (port, paused): (u8, u8),
        answer: &Send,
        message: Option<MessageId>,
    ) {
        let before = self.on_wire.remove(&port);
        let bit = 1 << (port & 63);
        self.stopped &= !bit;
        let packet = match answer {
            Send::Packet(packet) if self.peers.contains(&packet.dst) => Some(*packet),
            Send::Packet(_) => None,
            Send::WakeAt(_) | Send::Idle => {
                self.stopped |= if paused & Class::DATA.bit() != 0 { bit } else { 0 };
                None
            }
        };
        let place = self.with_notes(|notes| {
            if let Some(departure) = before.and_then(|place| notes.sent.get_mut(place)) {
                departure.free = at;
            }
            packet.map(|packet| {
                notes.sent.push(Departure { at, free: Time::NEVER, port, message, packet });
                notes.sent.len() - 1
            })
        });
        if let Some(place) = place {
            self.on_wire.insert(port, place);
        }
    }

    /// Notes what holds each open message now, where that has changed.
    fn look<E: Endpoint>(&mut self, at: Time, endpoint: &E) {
        let (paused, notes) = (self.stopped != 0, Arc::clone(&self.notes));
        self.open.retain_mut(|open| {
            let hold = endpoint.hold(open.peer, open.message, at);
            let now = Holding { at, message: open.message, hold, paused };
            let same = |last: Holding| (last.hold, last.paused) == (hold, paused);
            if !open.last.is_some_and(same) {
                notes.lock().unwrap_or_else(PoisonError::into_inner).holdings.push(now);
                open.last = Some(now);
            }
            hold.is_some()
        });
    }

    fn with_notes<R>(&self, change: impl FnOnce(&mut Notes) -> R) -> R {
        change(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E: Endpoint> Watched<E> {
    fn look(&mut self, at: Time) {
        if let Some(log) = &mut self.log {
            log.look(at, &self.inner);
        }
    }
}

impl<E: Endpoint> Endpoint for Watched<E> {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        self.inner.on_post(cx, message);
        if let Some(log) = &mut self.log {
            log.begin(message.id);
        }
        self.look(cx.now);
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        if let Some(log) = &mut self.log {
            log.receive(cx.now, packet, self.inner.message_of(packet));
        }
        self.inner.on_packet(cx, packet);
        self.look(cx.now);
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        self.inner.on_timer(cx, timer);
        self.look(cx.now);
    }

    fn may_send(&self) -> bool {
        // Every free port is to be seen.
        self.log.is_some() || self.inner.may_send()
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        let answer = self.inner.poll_send(cx, port, paused);
        if let Some(log) = &mut self.log {
            let message = match &answer {
                Send::Packet(packet) => self.inner.message_of(packet),
                Send::WakeAt(_) | Send::Idle => None,
            };
            log.offered(cx.now, (port, paused), &answer, message);
        }
        self.look(cx.now);
        answer
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        self.inner.connections(most, states);
    }

    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        self.inner.message_of(packet)
    }

    fn hold(&self, peer: HostId, message: MessageId, now: Time) -> Option<Hold> {
        self.inner.hold(peer, message, now)
    }
}
