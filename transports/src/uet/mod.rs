//! Ultra Ethernet Transport: reliable and unreliable delivery with packet spraying.
//!
//! # Map of the code
//! - [`config`]: every option, with the specification's default and the reference's value
//! - `sender`, `receiver`: the two halves of a packet delivery context (PDC); `outstanding`: what a
//!   sender has sent and not seen acknowledged; `messages`: what its packets are cut from; `recovery`:
//!   losses inferred
//! - `initiator`, `target`, `close`: the endpoint's side of each half, and how PDCs end
//! - `ses`: reads, rendezvous, receives that come late
//! - `guaranteed`: responses with data, kept until they are cleared
//! - [`header`]: the transport's fields in a packet
//! - `ccc`: the congestion control context that PDCs to one destination share; [`congestion`]: the seam
//!   to its window; [`nscc`], [`dctcp`]; `credit`: RCCC; `host_buffer`: destination flow control
//! - [`entropy`]: choice of entropy values
//! - this file: the endpoint, which owns all of them and feeds the NIC
//!
//! A context begins with its first packet: until an acknowledgement has named the target's context
//! (SYN state), the target finds it by source and initiator's number.

mod ccc;
mod close;
pub mod config;
pub mod congestion;
mod credit;
pub mod dctcp;
pub mod entropy;
mod guaranteed;
pub mod header;
mod host_buffer;
pub(crate) mod initiator;
mod messages;
pub mod nscc;
mod outstanding;
mod receiver;
mod recovery;
mod sender;
pub(crate) mod ses;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::rng::{Purpose, Stream};
use fabric::series::ConnectionState;
use fabric::units::Time;
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use ccc::Ccc;
use config::UetConfig;
use congestion::CongestionControl;
use credit::oversubscription::Oversubscription;
use credit::pacer::{Pacer, Source};
use header::{Control, ControlType, Data, UNKNOWN};
use host_buffer::HostBuffer;
use initiator::Destination;
use receiver::Receiver;
use sender::{Room, Sender};
use ses::Ses;
use target::{Known, RECENT};

/// What can be seen of a sending context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderState {
    /// Where it sends to.
    pub dst: HostId,
    /// Bytes that may be in flight (cwnd) of its congestion control context.
    pub window: u64,
    /// Bytes in flight of that context; negative for a moment when packets wrongly taken for lost are
    /// acknowledged.
    pub in_flight: i64,
    /// Packets posted and not acknowledged yet.
    pub backlog: u32,
}

/// Timers: three of the host, then four of each sender.
mod timer {
    use fabric::endpoint::TimerId;

    pub(super) const PACER: TimerId = 0;
    pub(super) const OVERSUBSCRIPTION: TimerId = 1;
    pub(super) const SES: TimerId = 2;
    /// Retransmission, of a sender.
    pub(super) const RTO: u32 = 0;
    /// Tail probe, of a sender.
    pub(super) const PROBE: u32 = 1;
    /// End of the wait for the target's resources, of a sender; of one that is idle, of the wait for data that
    /// would clear responses.
    pub(super) const HOLD: u32 = 2;
    /// Close of an idle context, or again of one that got no answer.
    pub(super) const CLOSE: u32 = 3;

    /// Timer `kind` of sender `spdcid`.
    #[inline]
    pub(super) fn of(spdcid: u32, kind: u32) -> TimerId {
        4 + 4 * spdcid + kind
    }

    /// The sender and kind of a sender's timer.
    pub(super) fn split(timer: TimerId) -> (u32, u32) {
        ((timer - 4) / 4, (timer - 4) % 4)
    }
}

/// A host's UET with congestion control `C`.
#[derive(Serialize, Deserialize)]
pub struct Uet<C: CongestionControl> {
    host: HostId,
    config: Arc<UetConfig>,
    parameters: C::Parameters,
    seed: u64,
    /// For what belongs to the host, not to a context.
    random: Stream,
    senders: Vec<Sender>,
    /// Places of closed senders, and since when.
    free_senders: VecDeque<(Time, u32)>,
    /// Senders opened so far: what their random streams are numbered by.
    opened: u32,
    cccs: Vec<Ccc<C>>,
    destinations: BTreeMap<HostId, Destination>,
    receivers: Vec<Receiver>,
    free_receivers: Vec<u32>,
    /// Memory of contexts that have nothing to do, for new ones.
    #[serde(skip)]
    rooms: Vec<Room>,
    /// Receivers open that initiators have opened, which is all but those of the return direction.
    targets: u32,
    /// Receivers by source and its PDC, for packets in the SYN state.
    by_initiator: BTreeMap<(HostId, u32), Known>,
    /// Some of these that were found last, each at a place of its own.
    recent: [u32; RECENT],
    /// The senders' congestion control contexts.
    sources: Vec<Source>,
    by_context: BTreeMap<(HostId, u32), u32>,
    pacer: Pacer,
    oversubscription: Option<Oversubscription>,
    buffer: Option<HostBuffer>,
    /// Guaranteed responses kept, of all receivers.
    kept: u32,
    ses: Ses,
    /// Senders that may send, in turn.
    ready: VecDeque<u32>,
    /// Acknowledgements and control packets that wait for the NIC.
    control: VecDeque<Packet>,
    /// Control packets sent in a row while data waited.
    control_run: u32,
    /// Datagrams that wait for the NIC.
    datagrams: VecDeque<Packet>,
}

impl<C: CongestionControl> Uet<C> {
    /// After its state was read: shares the configuration of `built`.
    pub(crate) fn adopt(&mut self, built: &Uet<C>) {
        self.config = Arc::clone(&built.config);
    }

    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<UetConfig>, seed: u64) -> Uet<C> {
        // Contexts number their streams from 0 in the low half.
        let entity = u64::from(host.0) << 32 | u64::from(u32::MAX);
        let mut random = Stream::new(seed, entity, Purpose::Transport);
        let correction = config.rccc.and_then(|rccc| rccc.oversubscription);
        let oversubscription = correction.map(|correction| {
            let own = Stream::new(random.bits64(), entity, Purpose::Transport);
            Oversubscription::new(correction.rtt, correction.least, own)
        });
        Uet {
            host,
            parameters: C::parameters(&config),
            seed,
            random,
            senders: Vec::new(),
            free_senders: VecDeque::new(),
            opened: 0,
            cccs: Vec::new(),
            destinations: BTreeMap::new(),
            rooms: Vec::new(),
            receivers: Vec::new(),
            free_receivers: Vec::new(),
            targets: 0,
            by_initiator: BTreeMap::new(),
            recent: [UNKNOWN; RECENT],
            sources: Vec::new(),
            by_context: BTreeMap::new(),
            pacer: Pacer::default(),
            oversubscription,
            buffer: config.host_buffer.map(HostBuffer::new),
            kept: 0,
            ses: Ses::default(),
            ready: VecDeque::new(),
            control: VecDeque::new(),
            control_run: 0,
            datagrams: VecDeque::new(),
            config,
        }
    }

    /// The sending contexts, in the order of their opening.
    pub fn senders(&self) -> impl Iterator<Item = SenderState> {
        self.senders.iter().map(|sender| {
            let ccc = &self.cccs[sender.ccc as usize];
            SenderState {
                dst: sender.dst,
                window: ccc.control.window(),
                in_flight: ccc.in_flight,
                backlog: sender.backlog(&self.config),
            }
        })
    }

    /// Queues a control packet (CP) with PSN `psn` for the NIC. Those that want an answer ask for it.
    fn push_control(&mut self, dst: HostId, flow: u32, psn: u32, entropy: u16, control: Control) {
        let asks = matches!(control.kind, ControlType::CloseCmd | ControlType::Probe);
        let flags = if asks { flags::ACK_REQUEST } else { 0 };
        self.control.push_back(Packet {
            phase: Phase::FRESH,
            dst,
            src: self.host,
            flow,
            psn,
            entropy,
            bytes: self.config.nack_bytes,
            kind: Kind::Control,
            class: Class::CONTROL,
            flags,
            body: control.pack(),
        });
    }

    /// Whether it is control's turn: always, or, while data waits, `control_weight` times in a row.
    fn control_first(&mut self, data_waits: bool) -> bool {
        let Some(weight) = self.config.control_weight else { return true };
        if !data_waits {
            return true;
        }
        self.control_run += 1;
        if self.control_run > weight {
            self.control_run = 0;
            return false;
        }
        true
    }

    fn on_control(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let control = Control::unpack(packet);
        match control.kind {
            ControlType::Credit => self.on_credit(packet.src, &control),
            ControlType::CreditReq => self.on_credit_request(cx, packet, &control),
            ControlType::Probe => self.on_probe(cx, packet, &control),
            ControlType::CloseCmd => self.on_close_command(cx, packet, &control),
            ControlType::CloseReq => self.on_close_request(cx, packet, &control),
            ControlType::ClearCmd => self.on_clear_command(cx, packet, &control),
            ControlType::ClearReq => self.on_clear_request(packet, &control),
        }
    }
}

impl<C: CongestionControl> Endpoint for Uet<C> {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        self.post(cx, message);
    }

    #[inline]
    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match packet.kind {
            Kind::Data => self.on_data(cx, packet),
            Kind::Ack | Kind::Nack => self.on_answer(cx, packet),
            Kind::Control => self.on_control(cx, packet),
            kind => panic!("UET at host {} got a packet of kind {kind:?}", self.host),
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        match timer {
            timer::PACER => self.on_pacer(cx),
            timer::OVERSUBSCRIPTION => self.on_period(cx),
            timer::SES => self.on_later(cx),
            _ => {
                let (spdcid, kind) = timer::split(timer);
                match kind {
                    timer::RTO => self.on_timeout(cx, spdcid),
                    timer::PROBE => self.on_probe_due(cx, spdcid),
                    timer::HOLD => self.on_hold_over(spdcid),
                    _ => self.on_close_due(cx, spdcid),
                }
            }
        }
    }

    #[inline]
    fn may_send(&self) -> bool {
        !(self.control.is_empty() && self.ready.is_empty() && self.datagrams.is_empty())
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut HostCx<'_>, _port: u8, paused: u8) -> Send {
        let control = !self.control.is_empty() && paused & Class::CONTROL.bit() == 0;
        let data = !self.ready.is_empty() && paused & Class::DATA.bit() == 0;
        if control && self.control_first(data) {
            return self.control.pop_front().map_or(Send::Idle, Send::Packet);
        }
        if !self.datagrams.is_empty() && paused & Class::DATA.bit() == 0 {
            return self.datagrams.pop_front().map_or(Send::Idle, Send::Packet);
        }
        if data && let Some(packet) = self.next_data(cx) {
            return Send::Packet(packet);
        }
        if control {
            return self.control.pop_front().map_or(Send::Idle, Send::Packet);
        }
        Send::Idle
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        let busy = self.senders.iter().enumerate().filter(|(_, sender)| !sender.is_idle());
        states.extend(busy.take(most).map(|(number, sender)| {
            let ccc = &self.cccs[sender.ccc as usize];
            // Where credit alone rules the window is boundless.
            let window = Some(ccc.control.window()).filter(|window| *window < u64::MAX / 4);
            ConnectionState {
                number: number as u32,
                dst: sender.dst,
                window,
                rate: None,
                in_flight: Some(ccc.in_flight.max(0) as u64),
                rtt: ccc.rtt,
            }
        }));
    }

    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        (packet.kind == Kind::Data).then(|| MessageId(Data::unpack(packet).message))
    }

    fn hold(&self, peer: HostId, message: MessageId, _: Time) -> Option<Hold> {
        if self.datagrams.iter().any(|packet| self.message_of(packet) == Some(message)) {
            return Some(Hold::Ready);
        }
        let to_peer = self.senders.iter().filter(|sender| sender.dst == peer);
        let parts = to_peer.filter_map(|sender| {
            sender.hold(message, &self.cccs[sender.ccc as usize], &self.config)
        });
        match parts.min() {
            Some(Hold::Sent) | None if self.ses.waits_for_peer(message.0) => Some(Hold::Asked),
            found => found,
        }
    }
}
