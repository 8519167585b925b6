//! Simulated hosts that answer real ones: ARP, ICMP echo, TCP and UDP services, by smoltcp's stack.
//!
//! - this file: a host's stack, its clock and its peers; `device`: its NIC; `services`: what it serves
//!
//! A stack is made when the first frame for its host arrives, and runs in emulated time, with random numbers of the seed and the
//! host; so a journal gives the same answers again. IPv6 and fragments are not answered.

mod device;
mod services;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use fabric::ids::HostId;
use fabric::packet::Packet;
use fabric::rng::mix64;
use fabric::units::{Span, Time};
use smoltcp::iface::{Config, Interface};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, HardwareAddress, IpCidr, Ipv4Cidr, Ipv4Packet,
};
use transports::wire::compose::SHORTEST;
use transports::wire::outer::{self, ETHERNET};

use self::device::Nic;
use self::services::Services;
use crate::directory::address;
use crate::frame::{Kind, look};
use crate::leave::Hops;
use crate::yard::SharedYard;

/// Frames that may wait at a host's NIC before its stack is held back.
const ROOM: usize = 64;
/// With so many or fewer, it goes on.
const AGAIN: usize = ROOM / 2;
/// Most peers that a host remembers.
const PEERS: usize = 1_024;
/// The stack's clock counts microseconds.
const TICK: Span = Span::from_micros(1);

/// How simulated hosts answer.
#[derive(Clone)]
pub struct Answering {
    /// Seed of their random numbers.
    pub seed: u64,
    /// Seconds of the clock for a second of emulated time: the stack's timers go by the clock, as those of its peers.
    pub dilation: f64,
    /// Longest IP packet that they send, in bytes.
    pub mtu: u32,
    /// Routers between two hosts, if switches route.
    pub routed: Option<Hops>,
}

/// A simulated host's stack.
pub(crate) struct Stack {
    host: HostId,
    dilation: f64,
    interface: Interface,
    nic: Nic,
    services: Services,
    /// Where IP addresses are.
    peers: BTreeMap<Ipv4Addr, (HostId, EthernetAddress)>,
    /// When it has to be polled.
    deadline: Time,
    /// Its frames that wait at the NIC.
    waiting: usize,
    /// It has something to send, and no room.
    is_held: bool,
}

/// Whether a frame is one that a stack can answer.
pub(crate) fn is_answered(kind: Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::Arp => true,
        Kind::Ipv4 => Ipv4Packet::new_checked(&bytes[ETHERNET..])
            .is_ok_and(|ip| !ip.more_frags() && ip.frag_offset() == 0),
        _ => false,
    }
}

impl Stack {
    /// The stack of a host.
    pub(crate) fn new(host: HostId, answering: &Answering, now: Time) -> Stack {
        let mut nic = Nic::new(answering.mtu as usize);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = mix64(answering.seed ^ mix64(u64::from(host.0)));
        let at = instant(now, answering.dilation);
        let mut interface = Interface::new(config, &mut nic, at);
        let own = address(host);
        interface.update_ip_addrs(|all| {
            let _ = all.push(IpCidr::Ipv4(Ipv4Cidr::new(own, 8)));
        });
        // Peers with addresses of their own are on the same wire.
        let _ = interface.routes_mut().add_default_ipv4_route(own);
        Stack {
            host,
            dilation: answering.dilation,
            interface,
            nic,
            services: Services::new(),
            peers: BTreeMap::new(),
            deadline: Time::NEVER,
            waiting: 0,
            is_held: false,
        }
    }

    /// A frame has arrived for this host, whose `packet` it was.
    pub(crate) fn on_frame(&mut self, now: Time, packet: &Packet, bytes: &[u8], yard: &SharedYard) {
        let frame = EthernetFrame::new_unchecked(bytes);
        let peer = (packet.src, frame.src_addr());
        if frame.ethertype() == EthernetProtocol::Arp {
            if let Some(reply) = resolve(self.host, frame.payload()) {
                self.emit(now, packet.src, &reply, yard);
            }
            return;
        }
        let Ok(ip) = Ipv4Packet::new_checked(frame.payload()) else { return };
        // What claims to be from this host is not.
        if ip.src_addr() == address(self.host) {
            return;
        }
        if self.peers.len() == PEERS && !self.peers.contains_key(&ip.src_addr()) {
            self.peers.clear();
        }
        self.peers.insert(ip.src_addr(), peer);
        let whole = &frame.payload()[..usize::from(ip.total_len())];
        self.services.admit(whole);
        self.nic.arrives(whole);
        self.poll(now, yard);
    }

    /// Does what is due, if anything is.
    pub(crate) fn poll_due(&mut self, now: Time, yard: &SharedYard) {
        if self.deadline <= now {
            self.poll(now, yard);
        }
    }

    /// When [`Stack::poll_due`] has something to do; [`Time::NEVER`] if not by itself.
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    /// A frame of it has left the NIC.
    pub(crate) fn on_sent(&mut self, now: Time, yard: &SharedYard) {
        self.waiting -= 1;
        if self.is_held && self.waiting <= AGAIN {
            self.poll(now, yard);
        }
    }

    fn poll(&mut self, now: Time, yard: &SharedYard) {
        let at = instant(now, self.dilation);
        self.nic.room = ROOM.saturating_sub(self.waiting);
        loop {
            self.interface.poll(at, &mut self.nic, &mut self.services.sockets);
            if !self.services.serve() {
                break;
            }
        }
        let due = self.interface.poll_at(at, &self.services.sockets);
        let due = due.map_or(Time::NEVER, |due| time(due, self.dilation));
        self.is_held = due <= now && self.nic.is_full();
        self.deadline = if self.is_held { Time::NEVER } else { due.max(now + TICK) };
        let mut outbound = std::mem::take(&mut self.nic.outbound);
        for mut frame in outbound.drain(..) {
            if let Some(host) = self.address(&mut frame) {
                self.emit(now, host, &frame, yard);
            }
            self.nic.recycle(frame);
        }
        self.nic.outbound = outbound;
    }

    /// Writes the Ethernet header of a frame; whom it is for.
    fn address(&self, frame: &mut Vec<u8>) -> Option<HostId> {
        let to = Ipv4Packet::new_checked(&frame[ETHERNET..]).ok()?.dst_addr();
        let (host, dst_addr) = *self.peers.get(&to)?;
        let src_addr = outer::mac(self.host);
        let ethernet = EthernetRepr { src_addr, dst_addr, ethertype: EthernetProtocol::Ipv4 };
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        frame.resize(frame.len().max(SHORTEST), 0);
        Some(host)
    }

    /// Puts a frame to the NIC.
    fn emit(&mut self, now: Time, to: HostId, frame: &[u8], yard: &SharedYard) {
        let mut yard = yard.lock();
        if yard.take_in((now, self.host, to), frame, &look(frame)) {
            yard.counts.answers += 1;
            self.waiting += 1;
        }
    }
}

/// The reply to an ARP request for a host's address.
fn resolve(host: HostId, arp: &[u8]) -> Option<Vec<u8>> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(arp).ok()?).ok()?
    else {
        return None;
    };
    if target_protocol_addr != address(host) || !source_hardware_addr.is_unicast() {
        return None;
    }
    let src_addr = outer::mac(host);
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: src_addr,
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut frame = vec![0; SHORTEST];
    let (dst_addr, ethertype) = (source_hardware_addr, EthernetProtocol::Arp);
    let ethernet = EthernetRepr { src_addr, dst_addr, ethertype };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    reply.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET..]));
    Some(frame)
}

/// The stack's clock at an emulated time, rounded down.
fn instant(time: Time, dilation: f64) -> Instant {
    Instant::from_micros((time.0 as f64 * dilation / 1e6) as i64)
}

/// An emulated time at which the stack's clock shows `instant`, or a little more.
fn time(instant: Instant, dilation: f64) -> Time {
    Time((instant.total_micros().max(0) as f64 * 1e6 / dilation).ceil() as u64)
}
