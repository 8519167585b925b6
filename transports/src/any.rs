//! One type for all transports, so that the engine is generic over a single endpoint.

use serde::{Deserialize, Serialize};

use fabric::endpoint::{Endpoint, HostCx, Message, Send, Stored, TimerId};
use fabric::ids::{HostId, MessageId};
use fabric::packet::Packet;
use fabric::series::ConnectionState;
use fabric::units::Time;
use fabric::watch::Hold;

use crate::roce::Roce;
use crate::sprayed::Sprayed;
use crate::tcp::Tcp;
use crate::uet::Uet;
use crate::uet::congestion::Constant;
use crate::uet::dctcp::Dctcp;
use crate::uet::nscc::Nscc;

/// Declares the enum and passes each call to the transport it holds: one match a call, no pointer.
macro_rules! transports {
    ($($(#[$doc:meta])* $name:ident($type:ty),)*) => {
        /// The transport of a host.
        #[derive(Serialize, Deserialize)]
        pub enum AnyEndpoint {
            $($(#[$doc])* $name($type),)*
        }

        impl Stored for AnyEndpoint {
            fn adopt(&mut self, built: &AnyEndpoint) {
                match (self, built) {
                    $((AnyEndpoint::$name(own), AnyEndpoint::$name(built)) => own.adopt(built),)*
                    _ => {}
                }
            }
        }

        impl Endpoint for AnyEndpoint {
            fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.on_post(cx, message),)*
                }
            }
            #[inline]
            fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.on_packet(cx, packet),)*
                }
            }
            fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.on_timer(cx, timer),)*
                }
            }
            #[inline]
            fn may_send(&self) -> bool {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.may_send(),)*
                }
            }
            #[inline]
            fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.poll_send(cx, port, paused),)*
                }
            }
            fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.connections(most, states),)*
                }
            }
            fn message_of(&self, packet: &Packet) -> Option<MessageId> {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.message_of(packet),)*
                }
            }
            fn hold(&self, peer: HostId, message: MessageId, now: Time) -> Option<Hold> {
                match self {
                    $(AnyEndpoint::$name(transport) => transport.hold(peer, message, now),)*
                }
            }
        }
    };
}

transports! {
    /// UET with NSCC.
    UetNscc(Uet<Nscc>),
    /// UET with DCTCP.
    UetDctcp(Uet<Dctcp>),
    /// UET with a constant window, or none where credit alone rules.
    UetConstant(Uet<Constant>),
    /// RoCEv2.
    Roce(Roce),
    /// NDP, SRD-like, STrack-like.
    Sprayed(Sprayed),
    /// TCP.
    #[serde(skip)]
    Tcp(Box<Tcp>),
}
