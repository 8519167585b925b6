//! Options of the UET transport.
//!
//! Defaults follow the specification as far as it is public; every point where the reference simulator
//! (uet-htsim) does otherwise is a field of its own, set together by [`UetConfig::htsim`].

use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

/// How a sender chooses the entropy value (EV) of each packet (`uet-cc.md` §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// REPS as first published: a first window of EVs in order, then what comes back, else at random.
    RepsFirst,
    /// EVs in order, over and over.
    RoundRobin,
    /// One EV for each flowlet: a new one after a pause of `flowlet_gap`.
    Flowlet,
}

/// Which messages share a packet delivery context (PDC).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PdcScope {
    /// All messages to one host, in order (the specification's, per traffic class).
    Destination,
    /// One PDC a message (htsim: a connection for every flow of its matrix).
    Message,
}

/// What holds the sender's window; receiver credit ([`UetConfig::rccc`]) comes on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Congestion {
    /// NSCC, the specification's window-based control.
    Nscc,
    /// DCTCP in the reference's form, for comparison.
    Dctcp,
    /// A constant window of 1.5 bandwidth-delay products.
    Constant,
    /// No window: receiver credit alone.
    Open,
}

/// Delivery mode (`uet-transport.md` §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Delivery {
    /// Reliable, unordered: each packet once, by any path.
    #[default]
    Rud,
    /// Reliable, ordered: one path, go-back-N.
    Rod,
    /// Reliable, unordered, idempotent: at least once, without state at the target.
    Rudi,
    /// Unreliable, unordered: single packets, sent once.
    Uud,
}

/// What a posted message asks for (`uet-wire.md` §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Operation {
    /// SEND: to whatever receive is posted next.
    #[default]
    Send,
    /// TAGGED_SEND: to the receive with the same tag; long ones may go by rendezvous.
    TaggedSend,
    /// WRITE: into memory of the target.
    Write,
    /// READ: from memory of the target; data flows back.
    Read,
    /// ATOMIC: on memory of the target; one packet.
    Atomic,
    /// FETCHING_ATOMIC: one packet, answered with what was there.
    FetchingAtomic,
}

/// How a sender without word of a packet decides that it is lost, before its timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum LossInference {
    /// Never.
    #[default]
    None,
    /// SLEEK: by how many packets have overtaken it, and by probes (`uet-transport.md` §8.2).
    Sleek,
    /// The target infers it and says so (`RCVR_INFER_LOSS`).
    Receiver,
}

/// Options of RCCC (`uet-cc.md` §3). Counts in quanta of 256 bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RcccOptions {
    /// Most that one credit grants: four packets.
    pub grant: u32,
    /// Most that a satisfied sender is granted beyond its demand: a window.
    pub surplus: u32,
    /// Percentage of the link's rate that is granted.
    pub percent: u32,
    /// Correction for an oversubscribed core, if it is on.
    pub oversubscription: Option<Oversubscribed>,
}

/// Options of the correction for an oversubscribed core (`uet-cc.md` §3.3).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Oversubscribed {
    /// Least share of the link's rate.
    pub least: f64,
    /// Base round trip that periods are counted in.
    pub rtt: Span,
}

/// A bounded receive buffer that the host empties (`uet-cc.md` §2.6, `link.md` §7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostBuffer {
    /// Its size in bytes.
    pub bytes: u64,
    /// How fast the host takes data out of it.
    pub rate: Rate,
}

/// What counts towards the next acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SackBase {
    /// Where the one before ended, back to the first hole after the last arrival (the UEC reference
    /// provider): every arrival is reported sooner or later.
    Walk,
    /// So that the packet that caused it comes last, not below the first hole (htsim).
    Packet,
}

/// Options of NSCC (`uet-cc.md` §1–2).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
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
    /// Whether a loss that is inferred shrinks the window by its bytes (specification) or not (htsim).
    pub cut_on_inferred: bool,
    /// Whether bytes found lost by timeout count as ignored by QuickAdapt (specification: yes).
    pub count_lost_as_ignored: bool,
    /// Whether a NACK takes its packet out of the bytes in flight before (specification) or after
    /// (htsim) the window is updated.
    pub nack_leaves_flight_first: bool,
    /// With RCCC on: whether a trim at the last hop can cause a QuickAdapt (htsim) or leaves the window
    /// alone (specification: credit handles incast).
    pub last_hop_quick_adapt: bool,
    /// Whether a NACK for a trimmed transmission that was already given up counts as one for the transmission
    /// after it (htsim). If not, it says something of its path only; and no round trip is taken from it.
    pub stale_nacks: bool,
    /// Whether the base round trip stays the configured one; if not, the shortest one seen becomes it
    /// (specification). For hosts of software, whose shortest round trip is too short for a window.
    pub keep_base_rtt: bool,
    /// Queueing delay to aim at; `None`: 0.75 base round trips with trimming, 1 without.
    pub target_delay: Option<Span>,
}

/// Options of a UET endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
    /// Pause that ends a flowlet.
    pub flowlet_gap: Span,
    /// How long REPS keeps to known EVs after a timeout.
    pub reps_freeze: Span,
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
    /// Receiver credit, if it is on.
    pub rccc: Option<RcccOptions>,
    /// Window at the start; `None`: 1.5 bandwidth-delay products.
    pub initial_window: Option<u64>,
    /// Delivery mode.
    pub delivery: Delivery,
    /// What messages ask for.
    pub operation: Operation,
    /// Tagged sends above this many bytes send this much at once and the rest when the target asks.
    pub rendezvous: Option<u64>,
    /// From the first packet of a tagged send until its receive is posted.
    pub receive_delay: Span,
    /// Whether messages of one packet have short SES headers (20 or 32 bytes instead of 44).
    pub short_headers: bool,
    /// Packets of a message before it is another one's turn on the same PDC. Messages of one pair of
    /// processes follow each other, those of several take turns; hosts here have one process each.
    pub interleave: u32,
    /// Whether PDCs begin at random PSNs (specification) or at 0 (htsim).
    pub random_start_psn: bool,
    /// Packets that may be outstanding before the target has answered (12 bits of `psn_offset`).
    pub syn_range: u32,
    /// How long a closed PDC's number rests before another one has it (`Syn_Retx_Safety_Time`).
    pub syn_safety: Span,
    /// PDCs to one destination, which messages use in turn; they share a congestion control context.
    pub pdcs: u32,
    /// PDCs that a target has; `None`: as many as it takes.
    pub target_pdcs: Option<u32>,
    /// An idle PDC is closed after this; `None`: never.
    pub pdc_idle: Option<Span>,
    /// Timeouts of one packet after which its PDC fails (`Max_RTO_Retx_Cnt`); `None`: never.
    pub max_timeouts: Option<u8>,
    /// Wait after a NACK for want of resources (`NACK_Retx_Time`).
    pub nack_retry: Span,
    /// Most bytes of a response that ride in its acknowledgement (`Max_ACK_Data_Size`).
    pub max_ack_data: u16,
    /// Guaranteed responses that a target can keep until they are cleared; `None`: as many as it takes.
    pub gtd_responses: Option<u32>,
    /// How long an idle initiator waits for data that would clear responses (`PDS_Clear_Time`).
    pub clear_time: Span,
    /// How losses are inferred.
    pub inference: LossInference,
    /// Packets above a hole after which a target infers its loss ([`LossInference::Receiver`]).
    pub reorder_limit: u32,
    /// Silence after which the tail is probed; `None`: never.
    pub tail_probe: Option<Span>,
    /// Bounded receive buffer, if there is one.
    pub host_buffer: Option<HostBuffer>,
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
                cut_on_inferred: true,
                count_lost_as_ignored: true,
                nack_leaves_flight_first: true,
                last_hop_quick_adapt: false,
                stale_nacks: false,
                keep_base_rtt: false,
                target_delay: None,
            },
            spraying: Spraying::Reps,
            entropy_values: 256,
            flowlet_gap: base_rtt,
            reps_freeze: Span::from_millis(10),
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
            rccc: None,
            initial_window: None,
            delivery: Delivery::Rud,
            operation: Operation::Send,
            rendezvous: None,
            receive_delay: Span::ZERO,
            short_headers: true,
            interleave: u32::MAX,
            random_start_psn: true,
            syn_range: 4_095,
            syn_safety: Span::from_millis(1),
            pdcs: 1,
            target_pdcs: None,
            pdc_idle: None,
            max_timeouts: Some(15),
            nack_retry: Span::from_millis(1),
            max_ack_data: 16,
            gtd_responses: None,
            clear_time: Span::from_millis(1),
            inference: if trimming { LossInference::None } else { LossInference::Sleek },
            reorder_limit: 64,
            tail_probe: None,
            host_buffer: None,
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
                cut_on_inferred: false,
                count_lost_as_ignored: false,
                nack_leaves_flight_first: false,
                last_hop_quick_adapt: true,
                stale_nacks: true,
                keep_base_rtt: false,
                target_delay: None,
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
            short_headers: false,
            random_start_psn: false,
            syn_range: u32::MAX,
            max_timeouts: None,
            inference: LossInference::None,
            ..UetConfig::new(rate, base_rtt, trimming)
        }
    }

    /// Frame of a full data packet: the MTU of the congestion control.
    pub fn mtu(&self) -> u64 {
        u64::from(self.payload) + u64::from(self.header)
    }

    /// The largest window: 1.5 bandwidth-delay products.
    pub fn window_max(&self) -> u64 {
        self.rate.bytes_in(self.base_rtt) * 3 / 2
    }

    /// Receiver credit as the specification and the reference have it: four packets a credit, 1 % below
    /// the rate, up to a window beyond the demand.
    pub fn default_rccc(&self) -> RcccOptions {
        let quanta = |bytes: u64| (bytes / 256) as u32;
        RcccOptions {
            grant: quanta(4 * 4_096),
            surplus: quanta(self.window_max()),
            percent: 99,
            oversubscription: None,
        }
    }

    /// Whether senders probe their tails.
    pub fn probes(&self) -> bool {
        self.tail_probe.is_some() || self.inference == LossInference::Sleek
    }

    /// The target queueing delay of NSCC; a probe that meets less counts as not delayed.
    pub fn target_delay(&self) -> Span {
        let usual = if self.trimming { Span(self.base_rtt.0 * 3 / 4) } else { self.base_rtt };
        self.nscc.target_delay.unwrap_or(usual)
    }

    /// How long a packet that has timed out `timeouts` times may stay unanswered. Doubling ends at ten.
    #[inline]
    pub fn timeout_after(&self, timeouts: u8) -> Span {
        let doublings = if self.rto_backoff { timeouts.min(10) } else { 0 };
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
