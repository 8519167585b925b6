//! What an answering host serves: echo (port 7, RFC 862), discard (9, RFC 863) and a stream of characters (19, RFC 864) over TCP;
//! echo and discard over UDP.
//!
//! A socket listens only while a SYN is taken in, so an idle host has none, and a SYN that comes twice finds its own connection.

use std::net::Ipv4Addr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, TcpPacket};

/// Most connections of a host; the next is refused.
const MOST: usize = 32;
/// Bytes that each direction of a connection buffers, and of a UDP socket.
const BUFFER: usize = 128 << 10;
/// Datagrams that a UDP socket buffers.
const DATAGRAMS: usize = 256;
/// A peer that answers nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Idle connections are asked whether they are still there this often.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a port does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    /// What comes goes back.
    Echo,
    /// What comes is thrown away.
    Discard,
    /// Lines of characters, as fast as they go.
    Characters,
}

impl Service {
    fn of(port: u16) -> Option<Service> {
        match port {
            7 => Some(Service::Echo),
            9 => Some(Service::Discard),
            19 => Some(Service::Characters),
            _ => None,
        }
    }
}

/// A TCP connection.
struct Connection {
    handle: SocketHandle,
    service: Service,
    /// The peer's address and port, and the own port.
    ends: (Ipv4Addr, u16, u16),
    /// Characters sent.
    position: u64,
}

/// All sockets of a host.
pub(super) struct Services {
    pub(super) sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    datagrams: [(SocketHandle, Service); 2],
    scratch: Vec<u8>,
}

impl Services {
    /// With their UDP sockets.
    pub(super) fn new() -> Services {
        let mut sockets = SocketSet::new(Vec::new());
        let datagrams = [(7, Service::Echo), (9, Service::Discard)].map(|(port, service)| {
            let buffer = || {
                let meta = vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
                udp::PacketBuffer::new(meta, vec![0; BUFFER])
            };
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(port).expect("a new socket may be bound");
            (sockets.add(socket), service)
        });
        Services { sockets, connections: Vec::new(), datagrams, scratch: Vec::new() }
    }

    /// Open connections.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// An IPv4 packet is about to be taken in: if it opens a connection to a service, there is a socket for it.
    pub(super) fn admit(&mut self, packet: &[u8]) {
        let Some((ends, service)) = opening(packet) else { return };
        if let Some(place) = self.connections.iter().position(|known| known.ends == ends) {
            let known = &self.connections[place];
            if self.sockets.get::<tcp::Socket<'_>>(known.handle).state() != tcp::State::TimeWait {
                return;
            }
            // The peer uses its port again: it knows that the old connection is over.
            self.sockets.remove(known.handle);
            self.connections.swap_remove(place);
        }
        if self.connections.len() == MOST {
            return;
        }
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(tcp::CongestionControl::Cubic);
        socket.set_timeout(Some(PATIENCE));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.listen(ends.2).expect("a new socket may listen");
        let handle = self.sockets.add(socket);
        self.connections.push(Connection { handle, service, ends, position: 0 });
    }

    /// Does what the services are for, and forgets connections that are over; whether there is something new to send.
    pub(super) fn serve(&mut self) -> bool {
        let mut moved = false;
        let Services { sockets, connections, scratch, .. } = self;
        connections.retain_mut(|connection| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
            moved |= serve(socket, connection, scratch);
            // A socket that still listens was made for a damaged segment.
            let over = matches!(socket.state(), tcp::State::Closed | tcp::State::Listen);
            if over {
                sockets.remove(connection.handle);
            }
            !over
        });
        for (handle, service) in self.datagrams {
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
            while socket.can_send()
                && let Ok((bytes, meta)) = socket.recv()
            {
                if service == Service::Echo {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(bytes);
                    // The peer's datagram fitted into its buffer, so this does; if many wait, it is lost, as datagrams may be.
                    moved |= socket.send_slice(&self.scratch, meta).is_ok();
                }
            }
        }
        moved
    }
}

/// The ends and the service of a TCP segment that opens a connection.
fn opening(packet: &[u8]) -> Option<((Ipv4Addr, u16, u16), Service)> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    if ip.next_header() != IpProtocol::Tcp {
        return None;
    }
    let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
    let service = Service::of(tcp.dst_port()).filter(|_| tcp.syn() && !tcp.ack() && !tcp.rst())?;
    let IpAddress::Ipv4(peer) = ip.src_addr().into();
    Some(((peer, tcp.src_port(), tcp.dst_port()), service))
}

/// Serves a connection; whether there is something new to send.
fn serve(
    socket: &mut tcp::Socket<'static>,
    connection: &mut Connection,
    scratch: &mut Vec<u8>,
) -> bool {
    let mut moved = false;
    while socket.can_recv() {
        let room = match connection.service {
            Service::Echo => socket.send_capacity() - socket.send_queue(),
            Service::Discard | Service::Characters => usize::MAX,
        };
        scratch.clear();
        let taken = socket.recv(|bytes| {
            let count = bytes.len().min(room);
            scratch.extend_from_slice(&bytes[..count]);
            (count, count)
        });
        if taken.is_err() || taken == Ok(0) {
            break;
        }
        moved = true;
        if connection.service == Service::Echo {
            let _ = socket.send_slice(scratch);
        }
    }
    if connection.service == Service::Characters {
        while socket.can_send()
            && let Ok(count) = socket.send(|room| fill(room, connection.position))
            && count > 0
        {
            connection.position += count as u64;
            moved = true;
        }
    } else if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 {
        // The peer has said its last word, and got all of its answer.
        socket.close();
        moved = true;
    }
    moved
}

/// Characters of a line, its end not among them.
const LINE: u64 = 72;

/// Fills a buffer with the characters from `position` on: lines of 72, each beginning one character later than the last.
fn fill(room: &mut [u8], position: u64) -> (usize, usize) {
    for (place, byte) in room.iter_mut().enumerate() {
        let at = position + place as u64;
        let (line, column) = (at / (LINE + 2), at % (LINE + 2));
        *byte = match column {
            LINE => b'\r',
            column if column > LINE => b'\n',
            column => b' ' + ((line + column) % 95) as u8,
        };
    }
    (room.len(), room.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream is that of RFC 864, wherever a piece of it begins.
    #[test]
    fn characters_come_in_shifted_lines() {
        let mut whole = [0; 200];
        fill(&mut whole, 0);
        assert!(whole.starts_with(b" !\"#$%&") && &whole[72..76] == b"\r\n!\"");
        let mut piece = [0; 90];
        fill(&mut piece, 70);
        assert_eq!(piece[..], whole[70..160]);
    }
}
