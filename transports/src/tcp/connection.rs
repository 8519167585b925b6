//! A connection: a socket of the stack, and the message on it.

use std::cmp::Ordering;

use fabric::endpoint::Message;
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::series::ConnectionState;
use fabric::watch::Hold;
use smoltcp::iface::{Context, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};

use crate::tcp::header::{Framing, SERVER_PORT, Segment};
use crate::wire::outer;

/// Buffer of the direction in which a connection carries nothing.
const UNUSED: u32 = 64;

/// One end of a connection.
pub(super) struct Connection {
    pub(super) peer: HostId,
    /// Bytes that its sender and receiver buffer.
    pub(super) buffer: u32,
    /// The flow label of what this end sends.
    pub(super) flow: u32,
    /// It is in the list of those to ask for a segment.
    pub(super) ready: bool,
    /// The stack's timer was due and nothing has been sent since.
    pub(super) timer_due: bool,
    /// The socket, alone in its set, so that the stack's work does not grow with their number.
    pub(super) sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// The message that this end sends, and how much of it the socket has not taken yet.
    sending: Option<(Message, u64)>,
    framing: Framing,
    /// One beyond the highest sequence number that this end has sent; `None` before its SYN.
    sent_to: Option<u32>,
    /// The sequence number of the next byte that the application reads; `None` before the peer's SYN.
    read_to: Option<u32>,
    /// The message that this end receives, and how much of it is missing.
    receiving: Option<(MessageId, u64)>,
}

impl Connection {
    fn new(peer: HostId, flow: u32, buffer: u32, socket: Socket<'static>) -> Connection {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Connection {
            peer,
            buffer,
            flow,
            ready: false,
            timer_due: false,
            sockets,
            handle,
            sending: None,
            framing: Framing::default(),
            sent_to: None,
            read_to: None,
            receiving: None,
        }
    }

    /// A connection that this host opens, for messages that `buffer` suffices for.
    pub(super) fn client(
        peer: HostId,
        port: u16,
        flow: u32,
        buffer: u32,
        control: CongestionControl,
        context: &mut Context,
    ) -> Connection {
        let mut socket = socket(UNUSED, buffer, control);
        socket
            .connect(context, (outer::ip(peer), SERVER_PORT), port)
            .expect("a new socket may connect");
        Connection::new(peer, flow, buffer, socket)
    }

    /// One that waits for `peer`'s first segment.
    pub(super) fn server(
        peer: HostId,
        flow: u32,
        buffer: u32,
        control: CongestionControl,
    ) -> Connection {
        let mut socket = socket(buffer, UNUSED, control);
        socket.listen(SERVER_PORT).expect("a new socket may listen");
        Connection::new(peer, flow, buffer, socket)
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'_>>(self.handle)
    }

    /// What can be seen of the connection `number`; `None` while it carries nothing. The stack tells neither its window nor
    /// its round trips.
    pub(super) fn state(&self, number: u32) -> Option<ConnectionState> {
        self.sending?;
        let queued = self.sockets.get::<Socket<'_>>(self.handle).send_queue();
        let in_flight = Some(queued as u64);
        Some(ConnectionState { number, dst: self.peer, in_flight, ..ConnectionState::default() })
    }

    /// What holds back the next packet of a message; `None` if it is not on this connection.
    pub(super) fn hold(&self, message: MessageId) -> Option<Hold> {
        let (sending, left) = self.sending.filter(|(sending, _)| sending.id == message)?;
        let socket = self.sockets.get::<Socket<'_>>(self.handle);
        let taken = sending.bytes - left;
        let sent = self.sent_to.map_or(0, |to| to.wrapping_sub(self.framing.start));
        Some(match () {
            () if !socket.may_send() => Hold::Opening,
            () if u64::from(sent) >= taken && left == 0 => Hold::Sent,
            () if self.ready => Hold::Ready,
            // The stack was asked and gave nothing: congestion or receive window, or its buffer, is full.
            () => Hold::Window,
        })
    }

    /// Begins a message; the last one has been acknowledged.
    pub(super) fn post(&mut self, message: Message) {
        debug_assert!(self.sending.is_none(), "a connection carries one message at a time");
        self.sending = Some((message, message.bytes));
        self.framing =
            Framing { id: message.id, start: self.sent_to.unwrap_or(0), bytes: message.bytes };
        self.fill();
    }

    /// Gives the socket what it has room for. The payload is zeros, which its buffer has already.
    fn fill(&mut self) {
        let Some((_, mut left)) = self.sending else { return };
        let socket = self.socket();
        while left > 0 && socket.can_send() {
            let room = |buffer: &mut [u8]| {
                let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                (count, count)
            };
            left -= socket.send(room).expect("an open socket takes bytes") as u64;
        }
        if let Some((_, rest)) = &mut self.sending {
            *rest = left;
        }
    }

    /// Gives the socket more to send; returns the message that has been acknowledged to its end.
    pub(super) fn refill(&mut self) -> Option<Message> {
        self.fill();
        let (message, left) = self.sending?;
        let done = left == 0 && self.socket().send_queue() == 0;
        done.then(|| {
            self.sending = None;
            message
        })
    }

    /// Completes a segment that the stack sends; returns whether its payload was sent before.
    pub(super) fn note_sent(&mut self, segment: &mut Segment) -> bool {
        let length = u32::from(segment.payload) + u32::from(segment.is_syn());
        let end = segment.seq.wrapping_add(length);
        if segment.is_syn() && self.sent_to.is_none() {
            self.framing.start = end;
        }
        segment.framing = self.framing;
        let sent_to = *self.sent_to.get_or_insert(segment.seq);
        if length == 0 {
            return false;
        }
        let again = (end.wrapping_sub(sent_to) as i32) <= 0;
        if !again {
            self.sent_to = Some(end);
        }
        again
    }

    /// A segment of the stack's as a packet on the wire.
    pub(super) fn packet(&self, host: HostId, segment: &Segment, again: bool) -> Packet {
        let kind = match (segment.payload, segment.is_syn()) {
            (0, false) => Kind::Ack,
            (0, true) => Kind::Control,
            _ => Kind::Data,
        };
        Packet {
            phase: Phase::FRESH,
            dst: self.peer,
            src: host,
            flow: self.flow,
            psn: segment.seq,
            entropy: segment.src_port,
            bytes: segment.frame_bytes(),
            kind,
            class: Class::DATA,
            flags: if again { flags::RETRANSMITTED } else { 0 },
            body: segment.pack(),
        }
    }

    /// Where a segment's payload stands against what this end has read.
    pub(super) fn place_of(&self, segment: &Segment) -> Ordering {
        let read_to = self.read_to.unwrap_or(segment.seq);
        (segment.seq.wrapping_sub(read_to) as i32).cmp(&0)
    }

    /// Reads what the stack has in order; returns how much, and the message that it ends.
    pub(super) fn take(&mut self, segment: &Segment) -> (u64, Option<MessageId>) {
        if segment.is_syn() && self.read_to.is_none() {
            self.read_to = Some(segment.seq.wrapping_add(1));
        }
        let Some(read_to) = self.read_to else { return (0, None) };
        let framing = segment.framing;
        if self.receiving.is_none() && segment.payload > 0 && framing.start == read_to {
            self.receiving = Some((framing.id, framing.bytes));
        }
        let mut taken = 0;
        let socket = self.socket();
        while socket.can_recv() {
            taken += socket
                .recv(|bytes| (bytes.len(), bytes.len()))
                .expect("an open socket gives bytes") as u64;
        }
        self.read_to = Some(read_to.wrapping_add(taken as u32));
        let Some((id, missing)) = &mut self.receiving else { return (taken, None) };
        *missing -= taken;
        let done = (*missing == 0).then_some(*id);
        if done.is_some() {
            self.receiving = None;
        }
        (taken, done)
    }
}

/// A socket as applications in a cluster set it: no waiting for more to send (TCP_NODELAY).
fn socket(receive: u32, send: u32, control: CongestionControl) -> Socket<'static> {
    let buffer = |bytes: u32| SocketBuffer::new(vec![0; bytes as usize]);
    let mut socket = Socket::new(buffer(receive), buffer(send));
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(control);
    socket
}
