//! Options of the UET transport.
//!
//! Defaults follow the specification as far as it is public; every point where the reference simulator
//! (uet-htsim) does otherwise is a field of its own, set together by [`UetConfig::htsim`].

use fabric::units::{Rate, Span};

/// How a sender chooses the entropy value (EV) of each packet (`uet-cc.md` §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spraying {
    /// Every EV once a round, in an order that changes from round to round.
    Oblivious,
    /// The same walk, passing over EVs that were marked, trimmed or timed out.
    Bitmap,
    /// Recycled entropies: EVs that came back unmarked are used again (REPS).
    Reps,
    /// Recycled EVs first, else the bitmap's.
    Mixed,
    /// One EV for the life of the PDC: one path, as per-flow ECMP.
    Ecmp,
}

/// Which messages share a packet delivery context (PDC).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PdcScope {
    /// All messages to one host, in order (the specification's, per traffic class).
    Destination,
    /// One PDC a message (htsim: a connection for every flow of its matrix).
    Message,
}

/// Congestion control of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Congestion {
    /// NSCC, the specification's window-based control.
    Nscc,
    /// A constant window of 1.5 bandwidth-delay products.
    Constant,
}

/// What counts towards the next acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckCount {
    /// Payload, at least this much a packet (`ACK_Gen_Min_Pkt_Add`).
    Payload {
        /// Bytes counted at the least for a packet.
        least: u32,
    },
    /// The whole frame (htsim).
    Frame,
}

/// Where the 64 packets of a selective acknowledgement begin (`uet-transport.md` §5.1). An answer to a
/// marked packet, or to one that asked, always begins at that packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SackBase {
    /// Where the one before ended, back to the first hole after the last arrival (the UEC reference
    /// provider): every arrival is reported sooner or later.
    Walk,
    /// So that the packet that caused it comes last, not below the first hole (htsim).
    Packet,
}

/// Options of NSCC (`uet-cc.md` §1–2).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NsccOptions {
    /// Weight of a new sample in the average delay; the specification leaves the filter open, 0.0125 is
    /// the reference's.
    pub delay_weight: f64,
    /// Queueing delay that arms QuickAdapt, in target delays; `None` with trimming (specification).
    /// htsim: 4.
    pub quick_adapt_targets: Option<f64>,
    /// Without a valid round-trip sample: `false` ends the update (specification), `true` goes on with
    /// the average delay (htsim).
    pub continue_without_sample: bool,
    /// Whether bytes found lost by timeout count as ignored by QuickAdapt (specification: yes).
    pub count_lost_as_ignored: bool,
    /// Whether a NACK takes its packet out of the bytes in flight before (specification) or after
    /// (htsim) the window is updated.
    pub nack_leaves_flight_first: bool,
}

/// Options of a UET endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct UetConfig {
    /// Payload of a full packet.
    pub payload: u16,
    /// Everything else of a data frame: Ethernet, IP, UDP, PDS, SES, FCS (`uet-wire.md` §5.3: 106).
    pub header: u16,
    /// Frame of an acknowledgement (ACK_CC: 78).
    pub ack_bytes: u16,
    /// Frame of a negative acknowledgement (64).
    pub nack_bytes: u16,
    /// Rate of the NIC.
    pub rate: Rate,
    /// `config_base_rtt`: the longest unloaded round trip of the network.
    pub base_rtt: Span,
    /// Whether switches trim.
    pub trimming: bool,
    /// Congestion control.
    pub congestion: Congestion,
    /// Options of NSCC.
    pub nscc: NsccOptions,
    /// Choice of entropy values.
    pub spraying: Spraying,
    /// Number of entropy values; a power of two.
    pub entropy_values: u16,
    /// Bytes received that cause an acknowledgement (`ACK_Gen_Trigger`).
    pub ack_trigger: u32,
    /// What counts towards it.
    pub ack_count: AckCount,
    /// Where selective acknowledgements begin.
    pub sack_base: SackBase,
    /// Packets that may be outstanding (`MP_RANGE`).
    pub mp_range: u32,
    /// Retransmission timeout of the oldest outstanding packet.
    pub rto: Span,
    /// Whether the timeout doubles with each retransmission of a packet (specification) or not (htsim).
    pub rto_backoff: bool,
    /// Which messages share a PDC.
    pub pdc_scope: PdcScope,
    /// Before sending, the window must have room for a whole MTU (specification) or for the next packet
    /// (htsim).
    pub window_for_mtu: bool,
    /// Whether a window below `ack_trigger` asks for an acknowledgement with every packet
    /// (specification).
    pub request_below_trigger: bool,
    /// Control packets sent for one data packet when both wait; `None`: control always first.
    pub control_weight: Option<u32>,
    /// Whether a timeout tells the path selection which EV was lost (htsim forgets it and blames EV 0).
    pub timeout_keeps_entropy: bool,
}

impl UetConfig {
    /// The specification's defaults for a network of the given rate and base round trip.
    pub fn new(rate: Rate, base_rtt: Span, trimming: bool) -> UetConfig {
        UetConfig {
            payload: 4_096,
            header: 106,
            ack_bytes: 78,
            nack_bytes: 64,
            rate,
            base_rtt,
            trimming,
            congestion: Congestion::Nscc,
            nscc: NsccOptions {
                delay_weight: 0.0125,
                quick_adapt_targets: (!trimming).then_some(4.0),
                continue_without_sample: false,
                count_lost_as_ignored: true,
                nack_leaves_flight_first: true,
            },
            spraying: Spraying::Reps,
            entropy_values: 256,
            ack_trigger: 16 * 1_024,
            ack_count: AckCount::Payload { least: 1_024 },
            sack_base: SackBase::Walk,
            mp_range: 1_024,
            rto: default_rto(rate, base_rtt),
            rto_backoff: true,
            pdc_scope: PdcScope::Destination,
            window_for_mtu: true,
            request_below_trigger: true,
            control_weight: None,
            timeout_keeps_entropy: true,
        }
    }

    /// The conventions of the reference simulator (`htsim-profile.md`); `queue` is the bytes of a
    /// switch queue, from which it derives its timeout: 15 us + 6 queues.
    pub fn htsim(rate: Rate, base_rtt: Span, trimming: bool, queue: u64) -> UetConfig {
        UetConfig {
            payload: 4_086,
            header: 64,
            ack_bytes: 64,
            nscc: NsccOptions {
                delay_weight: 0.0125,
                quick_adapt_targets: Some(4.0),
                continue_without_sample: true,
                count_lost_as_ignored: false,
                nack_leaves_flight_first: false,
            },
            spraying: Spraying::Mixed,
            entropy_values: 64,
            ack_count: AckCount::Frame,
            sack_base: SackBase::Packet,
            mp_range: 1 << 14,
            rto: Span::from_micros(15) + rate.time_for(6 * queue),
            rto_backoff: false,
            pdc_scope: PdcScope::Message,
            window_for_mtu: false,
            request_below_trigger: false,
            control_weight: Some(10),
            timeout_keeps_entropy: false,
            ..UetConfig::new(rate, base_rtt, trimming)
        }
    }

    /// Frame of a full data packet: the MTU of the congestion control.
    pub fn mtu(&self) -> u64 {
        u64::from(self.payload) + u64::from(self.header)
    }

    /// How long a packet sent again `tries` times may stay unanswered. Doubling ends at ten.
    #[inline]
    pub fn timeout_after(&self, tries: u8) -> Span {
        let doublings = if self.rto_backoff { tries.min(10) } else { 0 };
        self.rto * (1 << doublings)
    }
}

/// A first timeout for data-centre round trips: 15 us and six queues of one bandwidth-delay product,
/// like the reference's; the specification leaves `RTO_Init_Time` open (0 to 8 s).
fn default_rto(rate: Rate, base_rtt: Span) -> Span {
    Span::from_micros(15) + rate.time_for(6 * rate.bytes_in(base_rtt))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's timeout at 400 and 100 Gb/s.
    #[test]
    fn htsim_timeouts_are_the_reference_ones() {
        let rto = |gbps, queue| {
            UetConfig::htsim(Rate::from_gbps(gbps), Span::from_micros(12), true, queue).rto
        };
        assert_eq!(rto(400, 626_650), Span(90_198_000));
        assert_eq!(rto(100, 178_450), Span(100_656_000));
    }

    /// The specification's timeout doubles with each retransmission up to ten times, the reference's
    /// never does.
    #[test]
    fn backing_off_is_an_option() {
        let (rate, rtt) = (Rate::from_gbps(400), Span::from_micros(12));
        let config = UetConfig::new(rate, rtt, true);
        let doubled = [0, 1, 3, 10, 200].map(|tries| config.timeout_after(tries).0 / config.rto.0);
        assert_eq!(doubled, [1, 2, 8, 1_024, 1_024]);
        let htsim = UetConfig::htsim(rate, rtt, true, 600_000);
        assert_eq!(htsim.timeout_after(7), htsim.rto);
    }
}
