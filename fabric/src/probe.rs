//! What the fabric counts, and what a run hands out at its end.

use serde::{Deserialize, Serialize};

use crate::capture::CaptureRecord;
use crate::ids::{HostId, LinkId, MessageId, NodeId};
use crate::program::Report;
use crate::series::Series;
use crate::units::Time;

/// Declares a struct of `u64` counters with `merge` and a list of names and values.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: u64,)* }

        impl $name {
            /// Adds `other` to this, field by field.
            pub fn merge(&mut self, other: &$name) {
                $(self.$field += other.$field;)*
            }

            /// Names and values, in order of declaration.
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)*]
            }
        }
    };
}

counters! {
    /// What a transport counts, per host.
    EndpointCounters {
        /// Data packets sent for the first time.
        new,
        /// Data packets sent again.
        retransmitted,
        /// Acknowledgements sent.
        acks,
        /// Negative acknowledgements sent.
        nacks,
        /// Credits (pulls) sent.
        credits,
        /// Congestion notification packets sent; for transports that echo marks in ACKs, echoes sent.
        cnps,
        /// Data packets that arrived marked.
        ecn_marked,
        /// Data packets that arrived trimmed.
        trimmed,
        /// Data packets that arrived a second time.
        duplicates,
        /// Data packets that arrived out of order.
        out_of_order,
        /// Retransmission timeouts.
        timeouts,
        /// Losses that this receiver has inferred.
        inferred,
        /// Tail probes sent.
        probes,
        /// Connections (UET PDCs) opened.
        pdcs,
        /// Connections closed.
        closes,
        /// Connections given up.
        pdc_errors,
        /// Queue pairs given up (RoCE).
        qp_errors,
        /// Payload bytes delivered, without duplicates.
        delivered_bytes,
    }
}

counters! {
    /// What a port counts, egress side unless said.
    PortCounters {
        /// Packets sent, PFC frames included: packet-hops.
        packets,
        /// Frame bytes sent (without preamble and gap).
        bytes,
        /// Longest egress queue, all classes together, in bytes.
        queue_bytes_max,
        /// Packets dropped because a queue was full.
        dropped_full,
        /// Packets dropped because the shared buffer was full (counted at the ingress port).
        dropped_buffer,
        /// Packets lost because the link was down, or with the switch in whose queue they stood.
        dropped_link_down,
        /// Packets lost because they arrived in error at the other end of the link.
        dropped_error,
        /// Packets lost on the wire by a `drop` fault.
        dropped_injected,
        /// Packets dropped because no port led to their destination (counted at the ingress port).
        dropped_unroutable,
        /// Packets dropped by the PFC watchdog.
        dropped_watchdog,
        /// Packets trimmed here.
        trimmed,
        /// Packets marked with congestion experienced here.
        ecn_marked,
        /// PFC pauses sent.
        pauses_sent,
        /// PFC resumes sent.
        resumes_sent,
        /// PFC pauses received.
        pauses_received,
        /// PFC watchdog: times a queue was found paused for too long.
        watchdog_storms,
        /// Link-level retry: frames sent again.
        llr_replayed,
        /// Link-level retry: NACKs received.
        llr_nacks,
        /// Link-level retry: replays because the timer ran out.
        llr_timeouts,
        /// Credits: times a class ran out of them.
        credit_stalls,
        /// Credits: updates sent to the other end of the link.
        credit_updates,
    }
}

impl PortCounters {
    /// Packets dropped, all causes.
    pub fn dropped(&self) -> u64 {
        self.dropped_full
            + self.dropped_buffer
            + self.dropped_link_down
            + self.dropped_error
            + self.dropped_injected
            + self.dropped_unroutable
            + self.dropped_watchdog
    }
}

/// One port at the end of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PortRecord {
    /// The node it belongs to.
    pub node: NodeId,
    /// Its number at that node.
    pub port: u16,
    /// The node at the other end of the link.
    pub peer: NodeId,
    /// The link.
    pub link: LinkId,
    /// What it counted.
    pub counters: PortCounters,
}

/// One message at the end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageRecord {
    /// The workload's number.
    pub id: MessageId,
    /// Sending host.
    pub src: HostId,
    /// Receiving host.
    pub dst: HostId,
    /// Payload bytes.
    pub bytes: u64,
    /// When the program posted it.
    pub posted: Time,
    /// When its last byte arrived; [`Time::NEVER`] if it did not.
    pub received: Time,
    /// When the sender had the last acknowledgement; [`Time::NEVER`] if it did not.
    pub acked: Time,
    /// When the sender's transport gave up on it; [`Time::NEVER`] if it did not.
    pub failed: Time,
}

/// An egress port that its peer holds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Blocked {
    /// The switch.
    pub node: NodeId,
    /// The node at the other end of the link.
    pub peer: NodeId,
    /// The traffic class.
    pub class: u8,
}

/// Totals of the engine's work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Packets sent by ports.
    pub hops: u64,
    /// Events handled: departures, arrivals, timers, wake-ups.
    pub events: u64,
    /// Windows run.
    pub windows: u64,
    /// Most packets in the fabric at once, summed over shards.
    pub packets_in_flight_max: u64,
}

/// All that a finished run knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// Every message posted, by id.
    pub messages: Vec<MessageRecord>,
    /// Messages that programs never posted.
    pub unposted: u64,
    /// How programs spent their time, in host order; those that know.
    pub reports: Vec<(HostId, Report)>,
    /// Every port, in port order.
    pub ports: Vec<PortRecord>,
    /// Every host's transport counters, in host order.
    pub endpoints: Vec<EndpointCounters>,
    /// The engine's work.
    pub work: Work,
    /// Simulated time of the last event.
    pub end: Time,
    /// 128-bit witness of all deliveries and drops.
    pub digest: u128,
    /// Frames captured.
    pub capture: CaptureRecord,
    /// What was recorded over time, if anything was.
    pub series: Option<Series>,
    /// Whether the run was stopped before its events ran out.
    pub stopped: bool,
    /// Ports that held each other back in a circle at the end: what `deadlock` finds.
    pub deadlock: Vec<Blocked>,
}
