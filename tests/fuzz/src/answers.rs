//! Frames of an attached host for a simulated one, in steps: how long after the one before, and its bytes.

use fabric::endpoint::{Endpoint, HostCx, Message, Send, TimerId};
use fabric::engine::timers::Timers;
use fabric::ids::HostId;
use fabric::packet::Packet;
use fabric::probe::EndpointCounters;
use fabric::series::Measured;
use fabric::telemetry::Telemetry;
use fabric::units::{Span, Time};
use live::answer::Answering;
use live::frame::{Kind, look};
use live::gate::{Gate, Live, Simulated};
use live::yard::SharedYard;
use transports::wire::outer::ETHERNET;

use crate::frames::is_right;
use crate::steps::Steps;

/// Who asks.
const ASKS: HostId = HostId(1);
/// Who is asked.
const ANSWERS: HostId = HostId(2);
/// IP packets of the one that answers are no longer, in bytes.
const MTU: usize = 1_500;
/// Frames that it may send at a time.
const TURN: usize = 64;

/// A transport that has nothing to send.
pub(crate) struct Silent;

impl Endpoint for Silent {
    fn on_post(&mut self, _: &mut HostCx<'_>, _: Message) {}
    fn on_packet(&mut self, _: &mut HostCx<'_>, _: &Packet) {}
    fn on_timer(&mut self, _: &mut HostCx<'_>, _: TimerId) {}
    fn poll_send(&mut self, _: &mut HostCx<'_>, _: u8, _: u8) -> Send {
        Send::Idle
    }
}

/// Calls an endpoint of `host`.
pub(crate) fn with<R>(host: HostId, now: Time, call: impl FnOnce(&mut HostCx<'_>) -> R) -> R {
    call(&mut HostCx {
        now,
        host,
        timers: &mut Timers::default(),
        completions: &mut Vec::new(),
        counters: &mut EndpointCounters::default(),
        telemetry: &mut Telemetry::default(),
        measured: &mut Measured::default(),
    })
}

/// What is answered goes to the one that asked, is of a protocol that is known, fits, and has right checksums.
pub fn run(data: &[u8]) {
    let yard = SharedYard::new(1 << 20);
    let answering = Answering { seed: 1, dilation: 1.0, mtu: MTU as u32, routed: None };
    let mut gate = Live::<Silent>::Gate(Gate::new(ASKS, yard.clone()));
    let mut host = Live::Simulated(Simulated::new(ANSWERS, Silent, yard.clone(), Some(answering)));
    let (mut now, mut arrived) = (Time::ZERO, Vec::new());
    for (wait, frame) in Steps(data) {
        // Up to half a second: timers of TCP run out too.
        now += Span::from_micros(1 << (wait % 20));
        let sight = look(frame);
        let ends = (now, ASKS, ANSWERS);
        if sight.kind.is_carried() && yard.lock().take_in(ends, frame, &sight) {
            let Send::Packet(packet) = with(ASKS, now, |cx| gate.poll_send(cx, 0, 0)) else {
                panic!("what was taken in is sent")
            };
            with(ANSWERS, now, |cx| host.on_packet(cx, &packet));
        }
        for _ in 0..TURN {
            match with(ANSWERS, now, |cx| host.poll_send(cx, 0, 0)) {
                Send::Packet(packet) => check(&yard, &packet),
                Send::WakeAt(at) => {
                    assert!(at > now, "it would be asked for ever");
                    break;
                }
                Send::Idle => break,
            }
        }
        yard.lock().collect(&mut arrived);
        arrived.clear();
    }
    assert_eq!(yard.lock().counts.overwritten, 0);
}

fn check(yard: &SharedYard, packet: &Packet) {
    let mut yard = yard.lock();
    assert_eq!((packet.src, packet.dst), (ANSWERS, ASKS));
    let (kind, bytes) = yard.bytes(packet).expect("it lies there");
    assert_eq!(look(bytes).kind, kind);
    assert!(bytes.len() <= MTU + ETHERNET, "{} bytes", bytes.len());
    assert!(kind == Kind::Arp || is_right(bytes), "{bytes:02x?}");
}
