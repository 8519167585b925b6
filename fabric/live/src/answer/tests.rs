//! A stack alone, and against a client of the same make.

use super::*;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{Icmpv4Message, Icmpv4Packet};

/// An echo request of 1,000 B from host 1 to host 2.
pub(crate) static ECHO: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let mut frame = vec![7; ETHERNET + 28 + 1_000];
    let (src_addr, dst_addr) = (outer::mac(HostId(1)), outer::mac(HostId(2)));
    let ethernet = EthernetRepr { src_addr, dst_addr, ethertype: EthernetProtocol::Ipv4 };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    let header = [0x45, 0, 4, 4, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3];
    frame[ETHERNET..][..20].copy_from_slice(&header);
    Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]).fill_checksum();
    let mut icmp = Icmpv4Packet::new_unchecked(&mut frame[ETHERNET + 20..]);
    icmp.set_msg_type(Icmpv4Message::EchoRequest);
    icmp.set_msg_code(0);
    icmp.fill_checksum();
    frame
});

/// How hosts of tests answer.
pub(crate) fn answering() -> Answering {
    Answering { seed: 1, dilation: 1.0, mtu: 1_500, routed: None }
}

fn packet() -> Packet {
    Packet { src: HostId(1), dst: HostId(2), ..Packet::default() }
}

/// An echo is answered to whom asked, with what was sent; of the address that is asked for, the owner answers ARP.
#[test]
fn echoes_and_addresses_are_answered() {
    let yard = SharedYard::new(1 << 20);
    let mut stack = Stack::new(HostId(2), &answering(), Time::ZERO);
    stack.on_frame(Time(7), &packet(), &ECHO, &yard);
    let mut own = yard.lock();
    let answer = own.pop(HostId(2)).expect("an answer");
    assert_eq!((answer.src, answer.dst), (HostId(2), HostId(1)));
    let (kind, bytes) = own.bytes(&answer).expect("its bytes");
    assert_eq!((kind, &bytes[..6]), (Kind::Ipv4, &ECHO[6..12]));
    assert_eq!(bytes[ETHERNET + 28..], ECHO[ETHERNET + 28..]);
    let ask = |last| {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2];
        arp.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, last]);
        resolve(HostId(2), &arp)
    };
    let reply = ask(3).expect("a reply");
    assert_eq!((&reply[..6], look(&reply).kind), (&ECHO[6..12], Kind::Arp));
    assert_eq!(ask(4), None);
}

/// What claims to come from the host itself, and what is not for its address, has no answer.
#[test]
fn lies_are_not_answered() {
    let yard = SharedYard::new(1 << 20);
    let mut stack = Stack::new(HostId(2), &answering(), Time::ZERO);
    for (place, byte) in [(ETHERNET + 15, 3), (ETHERNET + 19, 9)] {
        let mut lie = ECHO.clone();
        lie[place] = byte;
        Ipv4Packet::new_unchecked(&mut lie[ETHERNET..]).fill_checksum();
        stack.on_frame(Time(7), &packet(), &lie, &yard);
    }
    assert!(yard.lock().first(HostId(2)).is_none());
}

/// Host 1 with some TCP sockets, against the stack of host 2.
struct Client {
    interface: Interface,
    nic: Nic,
    sockets: SocketSet<'static>,
    stack: Stack,
    yard: SharedYard,
    now: Time,
    /// Most frames of the stack that waited at its NIC.
    waited: usize,
}

impl Client {
    fn new() -> Client {
        let mut nic = Nic::new(1_500);
        nic.room = usize::MAX;
        let at = instant(Time::ZERO, 1.0);
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut nic, at);
        interface.update_ip_addrs(|all| {
            let _ = all.push(IpCidr::Ipv4(Ipv4Cidr::new(address(HostId(1)), 8)));
        });
        let stack = Stack::new(HostId(2), &answering(), Time::ZERO);
        let (sockets, yard) = (SocketSet::new(Vec::new()), SharedYard::new(1 << 20));
        Client { interface, nic, sockets, stack, yard, now: Time::ZERO, waited: 0 }
    }

    fn connect(&mut self, from: u16, to: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 64 << 10]);
        let handle = self.sockets.add(tcp::Socket::new(buffer(), buffer()));
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        let server = (address(HostId(2)), to);
        socket.connect(self.interface.context(), server, from).expect("a new socket");
        handle
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut::<tcp::Socket<'_>>(handle)
    }

    /// So many steps of 100 us: all frames of both cross; `twice` says that the client's do two times.
    fn step(&mut self, steps: u32, twice: bool) {
        for _ in 0..steps {
            self.now += Span::from_micros(100);
            let at = instant(self.now, 1.0);
            self.interface.poll(at, &mut self.nic, &mut self.sockets);
            for mut frame in std::mem::take(&mut self.nic.outbound) {
                let (src_addr, dst_addr) = (outer::mac(HostId(1)), outer::mac(HostId(2)));
                let ethertype = EthernetProtocol::Ipv4;
                let ethernet = EthernetRepr { src_addr, dst_addr, ethertype };
                ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
                for _ in 0..=u8::from(twice) {
                    self.stack.on_frame(self.now, &packet(), &frame, &self.yard);
                }
            }
            self.stack.poll_due(self.now, &self.yard);
            self.waited = self.waited.max(self.stack.waiting);
            let mut bytes = Vec::new();
            loop {
                let mut yard = self.yard.lock();
                let Some(sent) = yard.pop(HostId(2)) else { break };
                yard.copy(&sent, 0, &mut bytes).expect("its bytes");
                drop(yard);
                self.stack.on_sent(self.now, &self.yard);
                let ip = Ipv4Packet::new_checked(&bytes[ETHERNET..]).expect("IPv4");
                let whole = usize::from(ip.total_len());
                self.nic.arrives(&bytes[ETHERNET..ETHERNET + whole]);
                self.interface.poll(at, &mut self.nic, &mut self.sockets);
            }
        }
    }
}

/// What is sent to the echo service comes back, though every frame arrives twice; it closes after its peer, and nothing stays.
#[test]
fn streams_are_echoed() {
    let mut client = Client::new();
    let handle = client.connect(4_000, 7);
    let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let (mut given, mut back) = (0, Vec::new());
    for _ in 0..2_000 {
        client.step(1, true);
        let socket = client.socket(handle);
        given += socket.send_slice(&sent[given..]).unwrap_or(0);
        while socket.can_recv() {
            let part = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).expect("bytes");
            back.extend(part);
        }
        if back.len() == sent.len() {
            break;
        }
    }
    assert!(back == sent, "{} of {} B", back.len(), sent.len());
    assert_eq!(client.stack.services.connections(), 1, "a SYN that comes twice opens one");
    client.socket(handle).close();
    client.step(100, false);
    assert_eq!(client.stack.services.connections(), 0);
}

/// A stream of characters never has more at the NIC than there is room for, and goes on as frames leave.
#[test]
fn streams_wait_for_the_nic() {
    let mut client = Client::new();
    let handle = client.connect(4_000, 19);
    let mut count = 0;
    for _ in 0..300 {
        client.step(1, false);
        let socket = client.socket(handle);
        while socket.can_recv() {
            count += socket.recv(|bytes| (bytes.len(), bytes.len())).expect("bytes");
        }
    }
    assert!(count > 1 << 20, "{count} B");
    assert!(client.waited <= ROOM + 2, "{} frames waited", client.waited);
}

/// A host has 32 connections; the next is refused, and so is what no service is for.
#[test]
fn connections_are_limited() {
    let mut client = Client::new();
    let handles: Vec<_> = (0..70).map(|number| client.connect(4_000 + number, 9)).collect();
    let other = client.connect(5_000, 80);
    client.step(100, false);
    let mut open = 0;
    for handle in handles {
        open += u32::from(client.socket(handle).state() == tcp::State::Established);
    }
    assert_eq!((open, client.socket(other).state()), (32, tcp::State::Closed));
    assert_eq!(client.stack.services.connections(), 32);
}

/// The clock of a stack and the emulation's are each other's inverse, up to a tick, dilated or not.
#[test]
fn clocks_agree() {
    for dilation in [0.5, 1.0, 100.0] {
        for at in [0, 7_000_000, 123_456_789_000_000] {
            let there = instant(Time(at), dilation);
            let back = time(there, dilation);
            assert!(back.0.abs_diff(at) <= (2e6 / dilation) as u64, "{at}, {dilation}");
            assert_eq!(instant(back, dilation), there);
        }
    }
}
