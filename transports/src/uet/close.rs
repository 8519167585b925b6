//! How PDCs end (`uet-transport.md` §2.3): only the initiator closes, once all is acknowledged; a target that
//! runs out of contexts asks for it.

use fabric::endpoint::{Completion, HostCx};
use fabric::packet::{Packet, flags};

use crate::uet::config::Delivery;
use crate::uet::congestion::CongestionControl;
use crate::uet::header::{Ack, Control, ControlType, UNKNOWN};
use crate::uet::initiator::RETURN;
use crate::uet::receiver::Reply;
use crate::uet::sender::State;
use crate::uet::{Uet, timer};

/// Attempts to close after which the initiator forgets the context all the same.
const ATTEMPTS: u8 = 5;

impl<C: CongestionControl> Uet<C> {
    /// All that was posted on a context is acknowledged.
    pub(super) fn on_idle(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        self.settle(self.senders[spdcid as usize].ccc);
        let sender = &self.senders[spdcid as usize];
        if sender.is_return {
            return;
        }
        if sender.state == State::Quiesce {
            self.close(cx, spdcid);
        } else if let Some(idle) = self.config.pdc_idle
            // RUDI has no context at the target to close.
            && self.config.delivery != Delivery::Rudi
        {
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

    /// Closes an idle context; one that waits for data in the return direction closes after that.
    pub(super) fn close(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        if sender.reading > 0 {
            return;
        }
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
        let (dst, returns) = (sender.dst, sender.returns.take());
        self.cccs[sender.ccc as usize].members.retain(|member| *member != spdcid);
        if let Some(number) = returns {
            let receiver = &mut self.receivers[number as usize];
            receiver.open = false;
            self.by_initiator.remove(&(dst, receiver.spdcid | RETURN));
            self.free_receivers.push(number);
        }
        let sender = &mut self.senders[spdcid as usize];
        debug_assert!(!sender.ready, "nothing waits on a context that closes");
        self.free_senders.push_back((cx.now, spdcid));
    }

    /// The target's side of a close. A second copy of the command is answered like the first.
    pub(super) fn on_close_command(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        let asked = packet.has(flags::ACK_REQUEST);
        let closed = self.with_receiver(cx, packet, control, |receiver, around| {
            Some(receiver.on_close(packet, &around)).filter(|_| asked)
        });
        if closed {
            self.free_receiver(cx, control.dpdcid);
        } else if asked {
            let cack = packet.psn + 1;
            let dpdcid = control.dpdcid;
            let ack = Ack { dpdcid, cack, sack_base: cack, ..Ack::to(packet, control.spdcid) };
            self.answer(cx, packet.flow, packet.src, &Reply { ack, psn: packet.psn });
        }
    }

    /// With nothing outstanding on any of its contexts, nothing of a congestion control context is in flight.
    fn settle(&mut self, ccc: u32) {
        let context = &mut self.cccs[ccc as usize];
        let outstanding = |member: &u32| self.senders[*member as usize].has_outstanding();
        if !context.members.iter().any(outstanding) {
            context.settle();
        }
        self.kick_all(ccc);
    }

    /// Gives a closed receiver's place back. Its start is remembered, to know late copies by.
    pub(super) fn free_receiver(&mut self, cx: &mut HostCx<'_>, number: u32) {
        let receiver = &mut self.receivers[number as usize];
        receiver.open = false;
        receiver.clear_below(u32::MAX, &mut self.kept);
        if let Some(known) = self.by_initiator.get_mut(&(receiver.src, receiver.spdcid)) {
            known.open = false;
        }
        self.free_receivers.push(number);
        self.targets -= 1;
        if let Some(back) = receiver.returns.take() {
            self.release_return(cx, back);
        }
    }

    /// The initiator has closed the PDC whose return direction `back` sends on. It does so when it has all
    /// that it read: what is not acknowledged yet has arrived.
    pub(super) fn end_return(&mut self, cx: &mut HostCx<'_>, back: u32) {
        let sender = &mut self.senders[back as usize];
        let number = sender.ccc;
        for (message, _) in sender.arrive(&mut self.cccs[number as usize], &self.config) {
            let slot = self.ses.on_part_sent(message.id.0);
            cx.completions.extend(slot.map(|slot| Completion::Sent { slot }));
        }
        self.settle(number);
        cx.timers.cancel(timer::of(back, timer::RTO));
        cx.timers.cancel(timer::of(back, timer::PROBE));
    }

    /// The PDC whose return direction `back` has sent on is no more.
    fn release_return(&mut self, cx: &mut HostCx<'_>, back: u32) {
        self.end_return(cx, back);
        let sender = &self.senders[back as usize];
        self.cccs[sender.ccc as usize].members.retain(|member| *member != back);
        if !sender.ready {
            self.free_senders.push_back((cx.now, back));
        }
    }

    /// The target wants a PDC back: the initiator takes no new messages on it and closes it when idle.
    pub(super) fn on_close_request(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        let known = self.senders.get_mut(control.dpdcid as usize).filter(|sender| {
            sender.dst == packet.src
                && sender.state != State::Closed
                && (sender.dpdcid == control.spdcid || sender.dpdcid == UNKNOWN)
        });
        let Some(sender) = known else { return self.disown(packet, control) };
        if sender.state == State::Open && sender.dpdcid != UNKNOWN {
            sender.state = State::Quiesce;
            if sender.is_idle() {
                self.close(cx, control.dpdcid);
            }
        }
    }

    /// The target holds a context that its initiator has given up: it may have it back, unanswered.
    fn disown(&mut self, packet: &Packet, control: &Control) {
        let (spdcid, dpdcid) = (control.dpdcid, control.spdcid);
        let kind = ControlType::CloseCmd;
        let close = Control { kind, spdcid, dpdcid, payload: 0 };
        self.push_control(packet.src, packet.flow, 0, packet.entropy, close);
        if let Some(last) = self.control.back_mut() {
            last.flags = 0;
        }
    }

    /// Asks the initiator of the context that has been idle longest to close it.
    pub(super) fn ask_for_close(&mut self, cx: &HostCx<'_>) {
        let idle = |number: &u32| {
            let receiver = &self.receivers[*number as usize];
            let waits =
                receiver.asked_to_close.is_some_and(|at| cx.now < at + self.config.nack_retry);
            receiver.open && !waits && receiver.is_idle() && !receiver.is_return
        };
        let oldest = (0..self.receivers.len() as u32)
            .filter(idle)
            .min_by_key(|number| (self.receivers[*number as usize].last, *number));
        let Some(number) = oldest else { return };
        let receiver = &mut self.receivers[number as usize];
        receiver.asked_to_close = Some(cx.now);
        let (dst, flow, dpdcid) = (receiver.src, receiver.flow, receiver.spdcid);
        let control = Control { kind: ControlType::CloseReq, spdcid: number, dpdcid, payload: 0 };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, 0, entropy, control);
    }
}
