//! The sockets of an endpoint: one that receives at the protocol's UDP port, and one for each UDP source port that packets are sent
//! from, since the source port is the entropy value.
//!
//! A switch that trims a packet leaves UDP's length as it was (`uet-wire.md` §5.2), so the system takes what is left for cut short and
//! drops it. A raw socket whose filter passes nothing else gives the endpoint those; it needs CAP_NET_RAW.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket as StdSocket};
use std::os::fd::{AsRawFd, RawFd};

use fabric::ids::HostId;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use transports::wire::outer::{IPV4, UDP};
use transports::wire::receive::Datagram;

use super::config::{FIRST_PORT, MOST_MTU};
use super::host::Departure;

/// Datagrams to a call.
const BATCH: usize = 32;
/// Room for a datagram.
const LONGEST: usize = MOST_MTU as usize;
/// Bytes that the system may hold until the endpoint looks.
const ROOM: usize = 4 << 20;

/// What sockets counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct SocketCounts {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that the system did not take; the transport sends them again.
    pub not_sent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Of these those that a switch had trimmed.
    pub trimmed: u64,
    /// Datagrams of addresses that are no rank's.
    pub strangers: u64,
}

/// See the module.
pub struct Sockets {
    rank: HostId,
    addresses: Vec<Ipv4Addr>,
    port: u16,
    receiving: UdpSocket,
    trimmed: Option<AsyncFd<Socket>>,
    sending: BTreeMap<u16, StdSocket>,
    buffers: Vec<Box<[u8]>>,
    /// What was counted.
    pub counts: SocketCounts,
}

impl Sockets {
    /// Those of `rank` among `addresses`, which receives at UDP port `port`.
    ///
    /// # Errors
    /// When an address is not this machine's, or the port is in use.
    pub fn open(rank: HostId, addresses: &[Ipv4Addr], port: u16) -> io::Result<Sockets> {
        let own = addresses[rank.index()];
        let socket = StdSocket::bind(SocketAddrV4::new(own, port))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::IpRecvTos, &true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
        }
        let buffer = || vec![0; LONGEST].into_boxed_slice();
        Ok(Sockets {
            rank,
            addresses: addresses.to_vec(),
            port,
            receiving: UdpSocket::from_std(socket)?,
            // Without it what was trimmed counts as lost.
            trimmed: trimmed_only(port).ok(),
            sending: BTreeMap::new(),
            buffers: (0..BATCH).map(|_| buffer()).collect(),
            counts: SocketCounts::default(),
        })
    }

    /// Whether trimmed packets reach the endpoint.
    pub fn sees_trimmed(&self) -> bool {
        self.trimmed.is_some()
    }

    /// Waits until something has come.
    ///
    /// # Errors
    /// When a socket is broken.
    pub async fn ready(&self) -> io::Result<()> {
        let Some(trimmed) = &self.trimmed else { return self.receiving.readable().await };
        tokio::select! {
            ready = self.receiving.readable() => ready,
            ready = trimmed.readable() => ready.map(drop),
        }
    }

    /// Hands what has come to `take`, until nothing is left or `most` datagrams were taken.
    pub fn receive(&mut self, most: usize, mut take: impl FnMut(&Datagram<'_>)) {
        let mut left = most;
        while left > 0 {
            let (socket, buffers) = (&self.receiving, &mut self.buffers);
            let (rank, addresses, counts) = (self.rank, &self.addresses, &mut self.counts);
            let read = read(socket.as_raw_fd(), buffers, |source, tos, bytes| {
                counts.received += 1;
                let Some(datagram) = known((rank, addresses), source, tos, bytes) else {
                    counts.strangers += 1;
                    return;
                };
                take(&datagram);
            });
            let Ok(count) = read else {
                // Read whether tokio has heard of something or not; now it hears that nothing is left.
                let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = socket.try_io(Interest::READABLE, nothing);
                break;
            };
            left = left.saturating_sub(count);
        }
        let Some(trimmed) = &self.trimmed else { return };
        let buffer = &mut self.buffers[0];
        while left > 0 {
            let Ok(length) = trimmed.get_ref().read(buffer) else {
                let nothing = |_: &Socket| Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = trimmed.try_io(Interest::READABLE, nothing);
                break;
            };
            left -= 1;
            let (rank, addresses) = (self.rank, &self.addresses);
            let Some((source, tos, whole, bytes)) = outer(&buffer[..length]) else { continue };
            let Some(datagram) = known((rank, addresses), source, tos, bytes) else { continue };
            self.counts.received += 1;
            self.counts.trimmed += 1;
            take(&Datagram { length: whole, ..datagram });
        }
    }

    /// Sends a datagram. One that the system does not take is lost.
    ///
    /// # Errors
    /// When its source port cannot be had.
    pub fn send(&mut self, departure: &Departure) -> io::Result<()> {
        let Departure { to, port, tos, bytes } = departure;
        let own = self.addresses[self.rank.index()];
        if !self.sending.contains_key(port) {
            let socket = StdSocket::bind(SocketAddrV4::new(own, *port))?;
            socket.set_nonblocking(true)?;
            self.sending.insert(*port, socket);
        }
        let socket = self.sending[port].as_raw_fd();
        let [a, b, c, d] = self.addresses[to.index()].octets();
        let to = SockaddrIn::new(a, b, c, d, self.port);
        let slices = [io::IoSlice::new(bytes)];
        let tos = [ControlMessage::Ipv4Tos(tos)];
        match sendmsg(socket, &slices, &tos, MsgFlags::MSG_DONTWAIT, Some(&to)) {
            Ok(_) => self.counts.sent += 1,
            Err(_) => self.counts.not_sent += 1,
        }
        Ok(())
    }
}

/// Something that tokio tells of when it can be read.
pub(super) fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    // Its successor cannot be called without unsafe code; what is wrong with it are types that do not keep their descriptor
    // open, and these do.
    #[allow(deprecated)]
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// The MTU of the interface that has this address; `None` if none has.
pub fn mtu(address: Ipv4Addr) -> Option<u16> {
    let all = pnet::datalink::interfaces();
    let has = |network: &pnet::ipnetwork::IpNetwork| network.ip() == address;
    let name = all.into_iter().find(|interface| interface.ips.iter().any(has))?.name;
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?;
    let mtu: u32 = text.trim().parse().ok()?;
    Some(mtu.min(u32::from(u16::MAX)) as u16)
}

/// A datagram of a rank.
fn known<'a>(
    (rank, addresses): (HostId, &[Ipv4Addr]),
    source: SocketAddrV4,
    tos: u8,
    bytes: &'a [u8],
) -> Option<Datagram<'a>> {
    let src = addresses.iter().position(|address| address == source.ip())?;
    let entropy = source.port().wrapping_sub(FIRST_PORT);
    let src = HostId(src as u32);
    (src != rank).then_some(Datagram { src, dst: rank, entropy, tos, length: bytes.len(), bytes })
}

/// Datagrams of one call; how many.
fn read(
    socket: RawFd,
    buffers: &mut [Box<[u8]>],
    mut take: impl FnMut(SocketAddrV4, u8, &[u8]),
) -> io::Result<usize> {
    let mut slices: Vec<[io::IoSliceMut<'_>; 1]> =
        buffers.iter_mut().map(|buffer| [io::IoSliceMut::new(buffer)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, Some(nix::cmsg_space!(u32)));
    let flags = MsgFlags::MSG_DONTWAIT;
    let messages = recvmmsg(socket, &mut headers, slices.iter_mut(), flags, None)?;
    let mut count = 0;
    for message in messages {
        count += 1;
        let Some(source) = message.address else { continue };
        let mut all = message.cmsgs().into_iter().flatten();
        let tos = all.find_map(|told| match told {
            ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
            _ => None,
        });
        let source = SocketAddrV4::new(source.ip(), source.port());
        if let Some(bytes) = message.iovs().next() {
            take(source, tos.unwrap_or(0), bytes);
        }
    }
    Ok(count)
}

/// Sender, TOS, the length that UDP says, and what there is, of an IPv4 packet that a raw socket gave.
fn outer(packet: &[u8]) -> Option<(SocketAddrV4, u8, usize, &[u8])> {
    let header = usize::from(packet.first()? & 15) * 4;
    let field = |place: usize| -> Option<u16> {
        Some(u16::from_be_bytes([*packet.get(place)?, *packet.get(place + 1)?]))
    };
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let (port, length) = (field(header)?, usize::from(field(header + 4)?));
    let bytes = packet.get(header.max(IPV4) + UDP..)?;
    Some((SocketAddrV4::new(source.into(), port), packet[1], length.checked_sub(UDP)?, bytes))
}

/// A raw socket that gives UDP packets to `port` of which less is there than UDP says.
fn trimmed_only(port: u16) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.attach_filter(&filter(port))?;
    // What came before the filter is not wanted.
    let mut rest = [0; 64];
    while (&socket).read(&mut rest).is_ok() {}
    watched(socket)
}

/// The filter, in the instructions of the classic BPF; a raw socket sees packets from the IPv4 header on.
fn filter(port: u16) -> [SockFilter; 12] {
    // Instructions by their names in the system's headers.
    const LDX_MSH: u16 = 0xb1;
    const LDH_IND: u16 = 0x48;
    const LDH_ABS: u16 = 0x28;
    const ST: u16 = 0x02;
    const LD_MEM: u16 = 0x60;
    const SUB_X: u16 = 0x1c;
    const TAX: u16 = 0x07;
    const JEQ: u16 = 0x15;
    const JGT_X: u16 = 0x2d;
    const RET: u16 = 0x06;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    [
        step(LDX_MSH, 0),
        // UDP destination port.
        step(LDH_IND, 2),
        SockFilter::new(JEQ, 0, 7, u32::from(port)),
        // UDP length against what IP has beside its header.
        step(LDH_IND, 4),
        step(ST, 0),
        step(LDH_ABS, 2),
        step(SUB_X, 0),
        step(TAX, 0),
        step(LD_MEM, 0),
        SockFilter::new(JGT_X, 1, 0, 0),
        step(RET, 0),
        step(RET, u32::MAX),
    ]
}
