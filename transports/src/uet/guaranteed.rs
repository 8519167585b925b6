//! Guaranteed delivery (`uet-transport.md` §6): responses that carry data ride in the acknowledgement, must
//! reach the initiator exactly once, and are therefore kept by the target until they are cleared.
//!
//! What has been answered is cleared by the next data packet (`clear_psn_offset`), by a CLEAR_CMD when
//! there is none for a while, or when the target, short of room, asks with a CLEAR_REQ.

use std::collections::BTreeMap;

use fabric::endpoint::{Completion, HostCx};
use fabric::ids::HostId;
use fabric::packet::Packet;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::uet::config::{Delivery, Operation, UetConfig};
use crate::uet::congestion::CongestionControl;
use crate::uet::header::{Ack, Control, ControlType, Op, UNKNOWN};
use crate::uet::receiver::Receiver;
use crate::uet::sender::State;
use crate::uet::{Uet, timer};

/// The bytes of data that the acknowledgement of a request carries; `None`: it is a default response, which
/// nobody has to keep.
#[inline]
pub(super) fn in_ack(op: Op, message_bytes: u64, config: &UetConfig) -> Option<u16> {
    let fits = match op {
        Op::FetchingAtomic => true,
        // What a rendezvous reads always comes by itself: its initiator counts on the acknowledgement.
        Op::Read => {
            config.operation == Operation::Read
                && config.delivery != Delivery::Rudi
                && message_bytes <= u64::from(config.max_ack_data)
        }
        _ => false,
    };
    fits.then_some(message_bytes as u16)
}

/// The responses that one PDC's target keeps: their bytes, by the PSN of the request.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    responses: BTreeMap<u32, u16>,
    /// When the initiator was last asked to clear them.
    asked: Option<Time>,
}

impl Kept {
    /// The response to `psn`, if it is kept.
    pub(super) fn get(&self, psn: u32) -> Option<u16> {
        self.responses.get(&psn).copied()
    }

    /// Keeps a response.
    pub(super) fn keep(&mut self, psn: u32, bytes: u16) {
        self.responses.insert(psn, bytes);
    }

    /// Forgets those to requests below `psn`; returns how many.
    #[inline]
    pub(super) fn clear_below(&mut self, psn: u32) -> u32 {
        if self.responses.is_empty() {
            return 0;
        }
        let kept = self.responses.split_off(&psn);
        std::mem::replace(&mut self.responses, kept).len() as u32
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        self.responses.len() as u32
    }

    /// The last one.
    fn last(&self) -> Option<u32> {
        self.responses.last_key_value().map(|(psn, _)| *psn)
    }
}

impl<C: CongestionControl> Uet<C> {
    /// An acknowledgement carries the response to request `psn`.
    pub(super) fn on_response(
        &mut self,
        cx: &mut HostCx<'_>,
        spdcid: u32,
        src: HostId,
        (psn, ack): (u32, &Ack),
    ) {
        let sender = &mut self.senders[spdcid as usize];
        let ccc = &mut self.cccs[sender.ccc as usize];
        let Some(piece) = sender.on_response(psn, ccc, &self.config) else { return };
        let message = piece.message.id;
        if piece.op == Op::Read
            && let Some(slot) = self.ses.on_data_read(message.0)
        {
            cx.counters.delivered_bytes += u64::from(ack.data);
            cx.completions.push(Completion::Received { message, src });
            cx.completions.push(Completion::Sent { slot });
        }
    }

    /// An idle context whose last responses no packet has cleared does it by itself, after a while.
    pub(super) fn clear_later(&self, cx: &mut HostCx<'_>, spdcid: u32) {
        if self.senders[spdcid as usize].owes_clear() {
            cx.timers.set(timer::of(spdcid, timer::HOLD), cx.now + self.config.clear_time);
        }
    }

    /// Tells the target what it need not keep any longer.
    pub(super) fn clear(&mut self, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        if sender.dpdcid == UNKNOWN || sender.state == State::Closed {
            return;
        }
        let (dst, flow, dpdcid, payload) =
            (sender.dst, sender.flow, sender.dpdcid, sender.tell_clear());
        let control = Control { kind: ControlType::ClearCmd, spdcid, dpdcid, payload };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, 0, entropy, control);
    }

    /// The initiator has everything below the PSN it names.
    pub(super) fn on_clear_command(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        self.with_receiver(cx, packet, control, |receiver, around| {
            receiver.clear_below(control.payload, around.kept);
            None
        });
    }

    /// The target is short of room: the initiator says at once what it has.
    pub(super) fn on_clear_request(&mut self, packet: &Packet, control: &Control) {
        let known = self
            .senders
            .get(control.dpdcid as usize)
            .is_some_and(|sender| sender.dst == packet.src && sender.dpdcid == control.spdcid);
        if known {
            self.clear(control.dpdcid);
        }
    }

    /// Asks the initiator of a context for a clear: of those never asked the one that keeps most, then the one asked longest ago, since one
    /// that waits for a missing request has nothing to clear. Each is left a round trip to do it.
    pub(super) fn ask_for_clear(&mut self, now: Time) {
        let patience = self.config.base_rtt;
        let waits = |kept: &Kept| kept.asked.is_some_and(|asked| now < asked + patience);
        let open = self.receivers.iter_mut().enumerate().filter(|(_, receiver)| receiver.open);
        let receivers = open.filter_map(|(number, receiver)| {
            let Receiver { kept, src, flow, spdcid, .. } = receiver;
            let kept = kept.as_deref_mut().filter(|kept| kept.len() > 0)?;
            Some((number, kept, (*src, *flow, *spdcid)))
        });
        let first = receivers
            .filter(|(_, kept, _)| !waits(kept))
            .min_by_key(|(number, kept, _)| (kept.asked, std::cmp::Reverse(kept.len()), *number));
        let Some((number, kept, (dst, flow, dpdcid))) = first else { return };
        let Some(payload) = kept.last() else { return };
        kept.asked = Some(now);
        let kind = ControlType::ClearReq;
        let control = Control { kind, spdcid: number as u32, dpdcid, payload };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, 0, entropy, control);
    }
}
