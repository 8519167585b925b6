//! TCP: smoltcp's stack over the emulated NIC, on a dilated clock.
//!
//! A kernel's TCP with window scaling, delayed acknowledgements, fast retransmission and CUBIC, as
//! smoltcp has them: no ECN, selective acknowledgements told but not used by the sender, an initial
//! window of 2 KiB. Its timers are for the Internet, so its clock runs faster ([`clock`]).
//!
//! As RPC frameworks do, a host keeps a pool of connections to each other host: a message takes one
//! that is idle and has buffers for it, or opens a new one; a connection carries one message at a
//! time and is never closed.
//!
//! # Map of the code
//! - [`config`]: options; [`clock`]: the emulation's time as the stack sees it
//! - [`header`]: the stack's segments as packets of the model
//! - `connection`: a socket, and the message on it; `device`: the stack's view of the NIC
//! - this file: the endpoint, which owns the connections and feeds the NIC

pub mod clock;
pub mod config;
mod connection;
mod device;
pub mod header;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet};
use fabric::rng::{Purpose, Stream};
use fabric::series::ConnectionState;
use fabric::units::Time;
use fabric::watch::Hold;
use smoltcp::iface::{Config, Interface};
use smoltcp::socket::tcp::CongestionControl;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use config::{Control, TcpConfig};
use connection::Connection;
use device::Nic;
use header::Segment;

use crate::wire::outer;

/// The first port of those that clients get (RFC 6335).
const FIRST_PORT: u16 = 49_152;
/// How many there are of them.
const PORTS: u32 = 16_384;

/// A connection's name at one of its ends: the other host, the client's port, and who is the client.
type Name = (HostId, u16, bool);

/// A host's transport.
pub struct Tcp {
    host: HostId,
    config: Arc<TcpConfig>,
    interface: Interface,
    nic: Nic,
    random: Stream,
    connections: Vec<Connection>,
    by_name: BTreeMap<Name, u32>,
    /// Connections without a message, by destination.
    idle: BTreeMap<HostId, Vec<u32>>,
    /// Messages to hosts to which no port is free, until a connection is idle.
    waiting: BTreeMap<HostId, VecDeque<Message>>,
    /// Connections to ask for a segment, in turn, of each port.
    ready: Vec<VecDeque<u32>>,
    /// Answers that the stack gave at once, until the NIC is free.
    answers: VecDeque<Packet>,
}

impl Tcp {
    /// Nothing: the stack's sockets have no stored form, so this state is never read.
    pub(crate) fn adopt(&mut self, _: &Tcp) {}

    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<TcpConfig>, seed: u64) -> Tcp {
        let mut random = Stream::new(seed, u64::from(host.0), Purpose::Transport);
        let mut nic = Nic::new(usize::from(config.payload) + header::LEAST);
        let mut options = Config::new(HardwareAddress::Ip);
        options.random_seed = random.bits64();
        let mut interface = Interface::new(options, &mut nic, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(outer::ip(host)), 8);
            addresses.push(own).expect("an interface has room for one address");
        });
        Tcp {
            host,
            ready: vec![VecDeque::new(); usize::from(config.ports)],
            config,
            interface,
            nic,
            random,
            connections: Vec::new(),
            by_name: BTreeMap::new(),
            idle: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answers: VecDeque::new(),
        }
    }

    fn kick(&mut self, number: u32) {
        let connection = &mut self.connections[number as usize];
        if !connection.ready {
            connection.ready = true;
            let port = number as usize % self.ready.len();
            self.ready[port].push_back(number);
        }
    }

    fn add(&mut self, name: Name, connection: Connection) -> u32 {
        let number = self.connections.len() as u32;
        self.connections.push(connection);
        self.by_name.insert(name, number);
        number
    }

    /// The idle connection to `peer` that was used last of those with at least `buffer`.
    fn idle(&mut self, peer: HostId, buffer: u32) -> Option<u32> {
        let idle = self.idle.get_mut(&peer)?;
        let suits = |number: &u32| self.connections[*number as usize].buffer >= buffer;
        idle.iter().rposition(suits).map(|place| idle.remove(place))
    }

    /// A new connection to `peer`, from a port that no other to it has; `None` if there is none.
    fn connect(&mut self, peer: HostId, buffer: u32) -> Option<u32> {
        let first = self.random.below(PORTS);
        let ports = (0..PORTS).map(|offset| FIRST_PORT + ((first + offset) % PORTS) as u16);
        let free = |port: &u16| !self.by_name.contains_key(&(peer, *port, true));
        let port = ports.into_iter().find(free)?;
        let flow = self.random.bits();
        let control = control(self.config.control);
        let context = self.interface.context();
        let connection = Connection::client(peer, port, flow, buffer, control, context);
        Some(self.add((peer, port, true), connection))
    }

    /// A connection whose message is done takes the next one that waits, or is idle.
    fn next_message(&mut self, peer: HostId, number: u32) {
        match self.waiting.get_mut(&peer).and_then(VecDeque::pop_front) {
            Some(message) => self.connections[number as usize].post(message),
            None => self.idle.entry(peer).or_default().push(number),
        }
    }

    /// The connection that a packet belongs to; its first one opens it.
    fn named(&mut self, packet: &Packet, segment: &Segment) -> u32 {
        let (client, port) = match segment.to_server() {
            true => (false, segment.src_port),
            false => (true, segment.dst_port),
        };
        let name = (packet.src, port, client);
        match self.by_name.get(&name) {
            Some(number) => *number,
            None => {
                let flow = self.random.bits();
                let buffer = self.config.buffer_for(segment.framing.bytes);
                let control = control(self.config.control);
                let connection = Connection::server(packet.src, flow, buffer, control);
                self.add(name, connection)
            }
        }
    }

    /// Sets the timer for the stack's next deadline, or asks the connection again.
    fn schedule(&mut self, cx: &mut HostCx<'_>, number: u32, sent: bool) {
        let now = clock::instant(cx.now, self.config.dilation);
        let connection = &self.connections[number as usize];
        match self.interface.poll_at(now, &connection.sockets) {
            None => cx.timers.cancel(number),
            Some(at) if at > now => {
                cx.timers.set(number, clock::time(at, self.config.dilation));
            }
            // What is due and sends nothing comes back with the next event of the connection.
            Some(_) if sent => self.kick(number),
            Some(_) => {}
        }
    }

    /// The next segment of a connection, if it has one now.
    fn segment(&mut self, cx: &mut HostCx<'_>, number: u32) -> Option<Packet> {
        let now = clock::instant(cx.now, self.config.dilation);
        let connection = &mut self.connections[number as usize];
        connection.ready = false;
        self.interface.poll_egress(now, &mut self.nic, &mut connection.sockets);
        let segment = self.nic.sent();
        let packet = segment.map(|mut segment| {
            let again = connection.note_sent(&mut segment);
            let timeout = again && std::mem::take(&mut connection.timer_due);
            let count = match (segment.payload, again) {
                (0, _) => &mut cx.counters.acks,
                (_, false) => &mut cx.counters.new,
                (_, true) => &mut cx.counters.retransmitted,
            };
            *count += u64::from(!segment.is_syn());
            cx.counters.timeouts += u64::from(timeout);
            connection.packet(self.host, &segment, again)
        });
        self.schedule(cx, number, packet.is_some());
        packet
    }
}

impl Endpoint for Tcp {
    fn on_post(&mut self, _: &mut HostCx<'_>, message: Message) {
        let buffer = self.config.buffer_for(message.bytes);
        let found = self.idle(message.dst, buffer).or_else(|| self.connect(message.dst, buffer));
        let Some(number) = found else {
            self.waiting.entry(message.dst).or_default().push_back(message);
            return;
        };
        self.connections[number as usize].post(message);
        self.kick(number);
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let segment = Segment::unpack(packet);
        let number = self.named(packet, &segment);
        let now = clock::instant(cx.now, self.config.dilation);
        let connection = &mut self.connections[number as usize];
        if segment.payload > 0 {
            match connection.place_of(&segment) {
                std::cmp::Ordering::Less => cx.counters.duplicates += 1,
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => cx.counters.out_of_order += 1,
            }
        }
        self.nic.arrives(packet.src, packet.dst, &segment);
        self.interface.poll_ingress_single(now, &mut self.nic, &mut connection.sockets);
        if let Some(mut answer) = self.nic.sent() {
            connection.note_sent(&mut answer);
            cx.counters.acks += 1;
            self.answers.push_back(connection.packet(self.host, &answer, false));
        }
        let (taken, message) = connection.take(&segment);
        cx.counters.delivered_bytes += taken;
        if let Some(message) = message {
            cx.completions.push(Completion::Received { message, src: packet.src });
        }
        if let Some(message) = connection.refill() {
            cx.completions.push(Completion::Sent { slot: message.slot });
            self.next_message(packet.src, number);
        }
        self.kick(number);
    }

    fn on_timer(&mut self, _: &mut HostCx<'_>, timer: TimerId) {
        self.connections[timer as usize].timer_due = true;
        self.kick(timer);
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        if paused & Class::DATA.bit() != 0 {
            return Send::Idle;
        }
        if let Some(packet) = self.answers.pop_front() {
            return Send::Packet(packet);
        }
        while let Some(number) = self.ready[usize::from(port)].pop_front() {
            if let Some(packet) = self.segment(cx, number) {
                return Send::Packet(packet);
            }
        }
        Send::Idle
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        let all = self.connections.iter().enumerate();
        states.extend(all.filter_map(|(number, one)| one.state(number as u32)).take(most));
    }

    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        (packet.kind == Kind::Data).then(|| Segment::unpack(packet).framing.id)
    }

    fn hold(&self, peer: HostId, message: MessageId, _: Time) -> Option<Hold> {
        let waits = self
            .waiting
            .get(&peer)
            .is_some_and(|waiting| waiting.iter().any(|posted| posted.id == message));
        if waits {
            return Some(Hold::Behind);
        }
        let to_peer = self.connections.iter().filter(|connection| connection.peer == peer);
        to_peer.filter_map(|connection| connection.hold(message)).next()
    }
}

/// What smoltcp calls a congestion control.
fn control(control: Control) -> CongestionControl {
    match control {
        Control::Cubic => CongestionControl::Cubic,
        Control::Reno => CongestionControl::Reno,
        Control::None => CongestionControl::None,
    }
}
