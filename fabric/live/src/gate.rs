//! The endpoint of an attached host: it takes frames in and gives them out, and knows no protocol.

use fabric::endpoint::{Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::HostId;
use fabric::packet::Packet;
use fabric::series::ConnectionState;

use crate::yard::{Delivery, SharedYard, is_frame};

/// See the module.
pub struct Gate {
    host: HostId,
    yard: SharedYard,
}

impl Gate {
    /// The gate of a host.
    pub fn new(host: HostId, yard: SharedYard) -> Gate {
        Gate { host, yard }
    }
}

/// The endpoint of any host of a live fabric.
pub enum Live<E> {
    /// A simulated host's transport. It hears nothing from attached hosts, whose frames mean nothing to it.
    Simulated(E, SharedYard),
    /// An attached host.
    Gate(Gate),
}

impl<E: Endpoint> Endpoint for Live<E> {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        match self {
            Live::Simulated(endpoint, _) => endpoint.on_post(cx, message),
            Live::Gate(gate) => panic!("a program of attached {} posts a message", gate.host),
        }
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match self {
            Live::Simulated(_, yard) if is_frame(packet) => yard.lock().counts.unanswered += 1,
            Live::Simulated(endpoint, _) => endpoint.on_packet(cx, packet),
            Live::Gate(gate) => {
                let delivery = Delivery { at: cx.now, host: gate.host, packet: *packet };
                gate.yard.lock().delivered.push(delivery);
            }
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        if let Live::Simulated(endpoint, _) = self {
            endpoint.on_timer(cx, timer);
        }
    }

    fn may_send(&self) -> bool {
        match self {
            Live::Simulated(endpoint, _) => endpoint.may_send(),
            Live::Gate(_) => true,
        }
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        let gate = match self {
            Live::Simulated(endpoint, _) => return endpoint.poll_send(cx, port, paused),
            Live::Gate(gate) => gate,
        };
        let mut yard = gate.yard.lock();
        match yard.first(gate.host) {
            None => Send::Idle,
            Some((at, _)) if *at > cx.now => Send::WakeAt(*at),
            Some((_, packet)) if packet.class.bit() & paused != 0 => Send::Idle,
            Some(_) => yard.pop(gate.host).map_or(Send::Idle, Send::Packet),
        }
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        if let Live::Simulated(endpoint, _) = self {
            endpoint.connections(most, states);
        }
    }
}
