//! How PDCs end (`uet-transport.md` §2.3): only the initiator closes, once all is acknowledged; a target that
//! runs out of contexts asks for it.

use fabric::endpoint::HostCx;
use fabric::packet::Packet;

use crate::uet::congestion::CongestionControl;
use crate::uet::header::{Ack, Control, ControlType, UNKNOWN};
use crate::uet::receiver::Reply;
use crate::uet::sender::State;
use crate::uet::target::Known;
use crate::uet::{Uet, timer};

/// Attempts to close after which the initiator forgets the context all the same.
const ATTEMPTS: u8 = 5;

impl<C: CongestionControl> Uet<C> {
    /// All that was posted on a context is acknowledged.
    pub(super) fn on_idle(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &self.senders[spdcid as usize];
        if sender.state == State::Quiesce {
            self.close(cx, spdcid);
        } else if let Some(idle) = self.config.pdc_idle {
            cx.timers.set(timer::of(spdcid, timer::CLOSE), cx.now + idle);
        }
    }

    /// An idle context's time is over, or a close was not answered.
    pub(super) fn on_close_due(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        match sender.state {
            State::Open if sender.is_idle() => self.close(cx, spdcid),
            State::AckWait if sender.tries < ATTEMPTS => self.command_close(cx, spdcid),
            State::AckWait => self.forget(cx, spdcid),
            _ => {}
        }
    }

    /// Closes an idle context; one whose return direction may still be used waits.
    pub(super) fn close(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        if !self.ses.is_quiet() {
            let again = self.config.pdc_idle.unwrap_or(self.config.rto);
            cx.timers.set(timer::of(spdcid, timer::CLOSE), cx.now + again);
            return;
        }
        let sender = &mut self.senders[spdcid as usize];
        sender.state = State::AckWait;
        sender.tries = 0;
        self.command_close(cx, spdcid);
    }

    fn command_close(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        sender.tries += 1;
        let (dst, flow, dpdcid, psn) = (sender.dst, sender.flow, sender.dpdcid, sender.close_psn());
        cx.timers.set(timer::of(spdcid, timer::CLOSE), cx.now + self.config.rto);
        let control = Control { kind: ControlType::CloseCmd, spdcid, dpdcid, payload: 0 };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, psn, entropy, control);
    }

    /// An answer while a close is under way.
    pub(super) fn on_close_answer(&mut self, cx: &mut HostCx<'_>, spdcid: u32, ack: &Ack) {
        if ack.cack > self.senders[spdcid as usize].close_psn() {
            self.forget(cx, spdcid);
        }
    }

    /// The context is no more; its place can be used again.
    fn forget(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        cx.counters.closes += 1;
        cx.timers.cancel(timer::of(spdcid, timer::CLOSE));
        let sender = &mut self.senders[spdcid as usize];
        sender.release();
        self.cccs[sender.ccc as usize].members.retain(|member| *member != spdcid);
        debug_assert!(!sender.ready, "nothing waits on a context that closes");
        self.free_senders.push(spdcid);
    }

    /// The target's side of a close. A second copy of the command is answered like the first.
    pub(super) fn on_close_command(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        let closed = self.with_receiver(cx, packet, control, |receiver, around| {
            Some(receiver.on_close(packet, &around))
        });
        if closed {
            let start = self.receivers[control.dpdcid as usize].start;
            let known = Known { number: control.dpdcid, start, open: false };
            self.by_initiator.insert((packet.src, control.spdcid), known);
            self.free_receivers.push(control.dpdcid);
        } else {
            let cack = packet.psn + 1;
            let ack = Ack { cack, sack_base: cack, ..Ack::to(packet, control.spdcid) };
            self.answer(cx, packet.flow, packet.src, &Reply { ack, psn: packet.psn });
        }
    }

    /// The target wants a PDC back: the initiator takes no new messages on it and closes it when idle.
    pub(super) fn on_close_request(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        let Some(sender) = self.senders.get_mut(control.dpdcid as usize) else { return };
        if sender.dst != packet.src || sender.state != State::Open || sender.dpdcid == UNKNOWN {
            return;
        }
        sender.state = State::Quiesce;
        if sender.is_idle() {
            self.close(cx, control.dpdcid);
        }
    }

    /// Asks the initiator of the context that has been idle longest to close it.
    pub(super) fn ask_for_close(&mut self) {
        let idle = |number: &u32| {
            let receiver = &self.receivers[*number as usize];
            receiver.open && !receiver.asked_to_close && receiver.is_idle()
        };
        let oldest = (0..self.receivers.len() as u32)
            .filter(idle)
            .min_by_key(|number| (self.receivers[*number as usize].last, *number));
        let Some(number) = oldest else { return };
        let receiver = &mut self.receivers[number as usize];
        receiver.asked_to_close = true;
        let (dst, flow, dpdcid) = (receiver.src, receiver.flow, receiver.spdcid);
        let control = Control { kind: ControlType::CloseReq, spdcid: number, dpdcid, payload: 0 };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, 0, entropy, control);
    }
}
