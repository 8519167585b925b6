//! The seam between a host and its transport: sans-IO, polled, told the time.
//!
//! The host calls `on_*` with what happened and asks [`Endpoint::poll_send`] whenever a NIC port is
//! free. The endpoint answers with a packet, a time to ask again, or nothing. It never reads a clock,
//! draws from a stream that is not its own, or waits. The same state machines drive the offline
//! engine and real sockets.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::timers::Timers;
use crate::ids::{HostId, MessageId};
use crate::packet::Packet;
use crate::probe::EndpointCounters;
use crate::series::{ConnectionState, Measured};
use crate::telemetry::Telemetry;
use crate::units::{Span, Time};
use crate::watch::Hold;

pub use crate::engine::timers::TimerId;

/// A message from one host to another, as a program posts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The workload's number for it, unique over the run.
    pub id: MessageId,
    /// The host that receives it. Never the posting host.
    pub dst: HostId,
    /// Payload bytes; never zero.
    pub bytes: u64,
    /// The host's own number for it (its place in the host's log), set by the host at posting and
    /// handed back in [`Completion::Sent`].
    pub slot: u32,
}

/// What a transport reports upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completion {
    /// Every byte of the message in log slot `slot` was acknowledged to this sender.
    Sent {
        /// [`Message::slot`] of the finished message.
        slot: u32,
    },
    /// The message in log slot `slot` can never be acknowledged: its transport has given up.
    Failed {
        /// [`Message::slot`] of the failed message.
        slot: u32,
    },
    /// Every byte of `message` from `src` has arrived at this receiver.
    Received {
        /// The message.
        message: MessageId,
        /// The host that sent it.
        src: HostId,
    },
}

/// What an endpoint sees and may touch of its host during a call.
pub struct HostCx<'a> {
    /// The time of this call.
    pub now: Time,
    /// This host.
    pub host: HostId,
    /// The host's timers; ids are the endpoint's own dense numbers.
    pub timers: &'a mut Timers,
    /// Where finished messages are reported.
    pub completions: &'a mut Vec<Completion>,
    /// What the transport counts.
    pub counters: &'a mut EndpointCounters,
    /// In `on_packet` the records that came with the packet; what `poll_send` leaves here goes with the
    /// packet it returns. Means something only in a fabric with telemetry.
    pub telemetry: &'a mut Telemetry,
    /// What this call measured.
    pub measured: &'a mut Measured,
}

impl HostCx<'_> {
    /// A round trip was measured.
    #[inline]
    pub fn observe_rtt(&mut self, rtt: Span) {
        self.measured.rtt = rtt;
    }

    /// A data packet came `packets` before those that are missing.
    #[inline]
    pub fn observe_reordering(&mut self, packets: u32) {
        self.measured.early = packets;
    }
}

/// Answer to [`Endpoint::poll_send`].
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "a packet is moved by value, one cache line")]
pub enum Send {
    /// Send this now.
    Packet(Packet),
    /// Nothing now; ask again at this time, or after the next `on_*` call.
    WakeAt(Time),
    /// Nothing until the next `on_*` call.
    Idle,
}

/// A transport whose state can be stored, and taken up in another process.
pub trait Stored: Endpoint + Serialize + DeserializeOwned {
    /// After its state was read: takes over from `built`, a new endpoint of the same host, what is not state but
    /// configuration that endpoints share.
    fn adopt(&mut self, built: &Self);
}

/// A host's transport.
pub trait Endpoint: std::marker::Send {
    /// A program posted a message.
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message);

    /// A packet addressed to this host arrived.
    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet);

    /// A timer set through [`HostCx::timers`] is due.
    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId);

    /// Whether [`Endpoint::poll_send`] could answer with anything but [`Send::Idle`]: cheaper than to ask, for
    /// after most arrivals there is nothing to send.
    #[inline]
    fn may_send(&self) -> bool {
        true
    }

    /// NIC port `port` is free: the next packet to send on it, control before data.
    ///
    /// `paused` has a bit per traffic class that priority flow control holds back on this port;
    /// a packet of such a class must not be returned. With all classes of waiting packets paused the
    /// answer is [`Send::Idle`]; the host asks again after a resume.
    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send;

    /// Lists how connections that have something to send or to hear stand, at most `most`, in the order of their opening.
    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        let _ = (most, states);
    }

    /// The message whose payload a packet of this transport carries, or that it asks for; for [`crate::watch`].
    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        let _ = packet;
        None
    }

    /// What holds back the next packet of a message to or from `peer`; `None` if this host has nothing of it to send.
    fn hold(&self, peer: HostId, message: MessageId, now: Time) -> Option<Hold> {
        let _ = (peer, message, now);
        None
    }
}
