//! The endpoints of a live fabric: an attached host's takes frames in and gives them out, and knows no protocol; a simulated host's
//! is its transport, and a stack that answers real hosts beside it.

use fabric::endpoint::{Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::HostId;
use fabric::packet::Packet;
use fabric::series::ConnectionState;
use fabric::units::Time;

use crate::answer::{Answering, Stack, is_answered};
use crate::yard::{Delivery, SharedYard, is_frame};

/// The endpoint of an attached host.
pub struct Gate {
    host: HostId,
    yard: SharedYard,
}

impl Gate {
    /// The gate of a host.
    pub fn new(host: HostId, yard: SharedYard) -> Gate {
        Gate { host, yard }
    }

    fn poll_send(&self, now: Time, paused: u8) -> Send {
        let mut yard = self.yard.lock();
        match yard.first(self.host) {
            None => Send::Idle,
            Some((at, _)) if *at > now => Send::WakeAt(*at),
            Some((_, packet)) if packet.class.bit() & paused != 0 => Send::Idle,
            Some(_) => yard.pop(self.host).map_or(Send::Idle, Send::Packet),
        }
    }
}

/// The endpoint of a simulated host.
pub struct Simulated<E> {
    host: HostId,
    transport: E,
    yard: SharedYard,
    answering: Option<Answering>,
    /// Made when the first frame arrives that it can answer.
    stack: Option<Box<Stack>>,
    /// Bytes that the stack has sent beyond those of the transport, while both had something to send.
    ahead: i64,
}

impl<E: Endpoint> Simulated<E> {
    /// A host with this transport, which answers frames if it is said how.
    pub fn new(
        host: HostId,
        transport: E,
        yard: SharedYard,
        answering: Option<Answering>,
    ) -> Simulated<E> {
        Simulated { host, transport, yard, answering, stack: None, ahead: 0 }
    }

    #[cold]
    fn on_frame(&mut self, now: Time, packet: &Packet) {
        let mut yard = self.yard.lock();
        yard.end(packet);
        let Some(answering) = &self.answering else {
            yard.counts.unanswered += 1;
            return;
        };
        let hops = answering.routed.as_ref().map_or(0, |hops| hops(packet.src, self.host));
        let mut bytes = Vec::new();
        let Some(kind) = yard.copy(packet, hops, &mut bytes) else { return };
        if !is_answered(kind, &bytes) {
            yard.counts.unanswered += 1;
            return;
        }
        yard.counts.answered += 1;
        drop(yard);
        let stack = || Box::new(Stack::new(self.host, answering, now));
        self.stack.get_or_insert_with(stack).on_frame(now, packet, &bytes, &self.yard);
    }

    /// Stack and transport share the NIC byte by byte, while both have something to send.
    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        let Some(stack) = &mut self.stack else {
            return self.transport.poll_send(cx, port, paused);
        };
        stack.poll_due(cx.now, &self.yard);
        let first = self.yard.lock().first(self.host).map(|(_, packet)| *packet);
        let frame = first.filter(|packet| packet.class.bit() & paused == 0);
        if let Some(packet) = frame.filter(|_| self.ahead <= 0) {
            self.ahead += i64::from(packet.bytes);
            return self.send_frame(cx.now);
        }
        match (self.transport.poll_send(cx, port, paused), frame) {
            (Send::Packet(packet), frame) => {
                self.ahead = if frame.is_some() { self.ahead - i64::from(packet.bytes) } else { 0 };
                Send::Packet(packet)
            }
            (_, Some(_)) => {
                self.ahead = 0;
                self.send_frame(cx.now)
            }
            (other, None) => {
                self.ahead = 0;
                let at = match other {
                    Send::WakeAt(at) => at,
                    _ => Time::NEVER,
                };
                // The port may have been busy when this was due.
                let at = at.min(self.stack.as_ref().map_or(Time::NEVER, |own| own.deadline()));
                if at == Time::NEVER { Send::Idle } else { Send::WakeAt(at) }
            }
        }
    }

    fn send_frame(&mut self, now: Time) -> Send {
        let Some(packet) = self.yard.lock().pop(self.host) else { return Send::Idle };
        if let Some(stack) = &mut self.stack {
            stack.on_sent(now, &self.yard);
        }
        Send::Packet(packet)
    }
}

/// The endpoint of any host of a live fabric.
pub enum Live<E> {
    /// A simulated host.
    Simulated(Simulated<E>),
    /// An attached host.
    Gate(Gate),
}

impl<E: Endpoint> Endpoint for Live<E> {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        match self {
            Live::Simulated(host) => host.transport.on_post(cx, message),
            Live::Gate(gate) => panic!("a program of attached {} posts a message", gate.host),
        }
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match self {
            Live::Simulated(host) if is_frame(packet) => host.on_frame(cx.now, packet),
            Live::Simulated(host) => host.transport.on_packet(cx, packet),
            Live::Gate(gate) => {
                let delivery = Delivery { at: cx.now, host: gate.host, packet: *packet };
                gate.yard.lock().delivered.push(delivery);
            }
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        if let Live::Simulated(host) = self {
            host.transport.on_timer(cx, timer);
        }
    }

    fn may_send(&self) -> bool {
        match self {
            Live::Simulated(host) => host.stack.is_some() || host.transport.may_send(),
            Live::Gate(_) => true,
        }
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        match self {
            Live::Simulated(host) => host.poll_send(cx, port, paused),
            Live::Gate(gate) => gate.poll_send(cx.now, paused),
        }
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        if let Live::Simulated(host) = self {
            host.transport.connections(most, states);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::engine::timers::Timers;
    use fabric::ids::Class;
    use fabric::probe::EndpointCounters;
    use fabric::series::Measured;
    use fabric::telemetry::Telemetry;

    use crate::answer::tests::{ECHO, answering};
    use crate::frame::look;

    /// A transport that always has a packet of 4 KB.
    struct Endless;

    impl Endpoint for Endless {
        fn on_post(&mut self, _: &mut HostCx<'_>, _: Message) {}
        fn on_packet(&mut self, _: &mut HostCx<'_>, _: &Packet) {}
        fn on_timer(&mut self, _: &mut HostCx<'_>, _: TimerId) {}
        fn poll_send(&mut self, _: &mut HostCx<'_>, _: u8, _: u8) -> Send {
            Send::Packet(Packet { bytes: 4_000, ..Packet::default() })
        }
    }

    /// Calls with a context.
    fn with<R>(now: Time, call: impl FnOnce(&mut HostCx<'_>) -> R) -> R {
        let (mut timers, mut completions) = (Timers::default(), Vec::new());
        let (mut counters, mut telemetry) = (EndpointCounters::default(), Telemetry::default());
        let mut measured = Measured::default();
        call(&mut HostCx {
            now,
            host: HostId(2),
            timers: &mut timers,
            completions: &mut completions,
            counters: &mut counters,
            telemetry: &mut telemetry,
            measured: &mut measured,
        })
    }

    /// A host of number 2 to which host 1 has sent so many echo requests of 1,042 B.
    fn asked(times: usize) -> Live<Endless> {
        let yard = SharedYard::new(1 << 20);
        let answers = Some(answering());
        let mut live = Live::Simulated(Simulated::new(HostId(2), Endless, yard.clone(), answers));
        for _ in 0..times {
            let ends = (Time::ZERO, HostId(1), HostId(2));
            assert!(yard.lock().take_in(ends, &ECHO, &look(&ECHO)));
            let packet = yard.lock().pop(HostId(1)).expect("it waits");
            with(Time(5), |cx| live.on_packet(cx, &packet));
        }
        assert_eq!(yard.lock().counts.answers, times as u64);
        live
    }

    /// While both have something to send, transport and stack have the same share of the NIC in bytes.
    #[test]
    fn stack_and_transport_share_the_nic() {
        let mut live = asked(100);
        let (mut frames, mut packets) = (0, 0);
        while frames < 90 * 1_046 {
            match with(Time(9), |cx| live.poll_send(cx, 0, 0)) {
                Send::Packet(packet) if is_frame(&packet) => frames += i64::from(packet.bytes),
                Send::Packet(packet) => packets += i64::from(packet.bytes),
                other => panic!("{other:?}"),
            }
            assert!((frames - packets).abs() <= 5_046, "{frames} and {packets} B");
        }
    }

    /// A class that is paused holds back the stack's frames, not what the transport may send; a host that nobody asked has no stack.
    #[test]
    fn pauses_hold_back_frames() {
        let mut live = asked(3);
        let paused = Class::DATA.bit();
        for _ in 0..5 {
            let sent = with(Time(9), |cx| live.poll_send(cx, 0, paused));
            assert!(matches!(sent, Send::Packet(packet) if !is_frame(&packet)));
        }
        let Live::Simulated(host) = asked(0) else { panic!("a simulated host") };
        assert!(host.stack.is_none());
    }
}
