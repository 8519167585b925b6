//! Options of the RoCEv2 transport.

use fabric::ids::Class;
use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::roce::congestion::dcqcn::{MellanoxOptions, PaperOptions};
use crate::roce::congestion::dctcp::DctcpOptions;
use crate::roce::congestion::hpcc::HpccOptions;
use crate::roce::congestion::swift::SwiftOptions;
use crate::roce::congestion::timely::TimelyOptions;

/// Which messages share a queue pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum QpScope {
    /// All messages to one host, over so many queue pairs.
    Destination {
        /// Queue pairs to each host; messages take them in turn.
        count: u32,
        /// Each message is cut in as many parts as there are queue pairs, one for each.
        split: bool,
    },
    /// A queue pair for every message (the ns-3 model's).
    Message,
}

impl QpScope {
    /// One queue pair to each host.
    pub const ONE: QpScope = QpScope::Destination { count: 1, split: false };
}

/// What a message is to the verbs interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// RDMA WRITE: the first packet says where.
    Write,
    /// SEND: the receiver has said where.
    Send,
    /// RDMA READ: a request goes, and data comes back, which nobody acknowledges.
    Read,
}

/// What switches can tell queue pairs of one pair of hosts apart by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PathKey {
    /// The destination queue pair is part of the hash (Meta's enhanced ECMP), or each queue pair has a UDP
    /// source port of its own: every queue pair has its path.
    QueuePair,
    /// Neither: all queue pairs of a pair of hosts share one path.
    HostPair,
}

/// How a receiver reports marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MarkReport {
    /// A congestion notification packet, at most one in this time for each queue pair (DCQCN paper:
    /// 50 us).
    Cnp {
        /// Least time between two.
        interval: Span,
    },
    /// As a flag of the acknowledgement of the marked packet (the ns-3 model's).
    Echo,
}

/// Congestion control of the sender.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Congestion {
    /// DCQCN as published (SIGCOMM 2015).
    DcqcnPaper(PaperOptions),
    /// DCQCN in the form of Mellanox NICs, as in the ns-3 model.
    DcqcnMellanox(MellanoxOptions),
    /// DCTCP with a rate.
    Dctcp(DctcpOptions),
    /// HPCC, which needs telemetry.
    Hpcc(HpccOptions),
    /// TIMELY.
    Timely(TimelyOptions),
    /// Swift.
    Swift(SwiftOptions),
    /// Line rate: priority flow control alone.
    None,
}

/// What happens when packets are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Recovery {
    /// The receiver drops what comes early and says so; the sender starts over from the gap.
    GoBackN,
    /// The receiver keeps what comes early and says what it has; the sender sends what is missing.
    Selective {
        /// How long a gap may last before it is called a loss. Zero: every early packet is a sign of
        /// loss (IRN); the round trip of a fabric that sprays: reordering is tolerated.
        patience: Span,
    },
}

impl Recovery {
    /// Whether a receiver waits before it calls a gap a loss.
    pub fn is_patient(self) -> bool {
        matches!(self, Recovery::Selective { patience } if patience > Span::ZERO)
    }
}

/// A local ACK timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timeout {
    /// Without progress for this long the sender starts over from the oldest packet.
    pub after: Span,
    /// Shorter with at most so many packets outstanding (IRN's RTO_low and N).
    pub few: Option<(u32, Span)>,
    /// Timeouts in a row after which the queue pair is given up; `None`: never.
    pub retries: Option<u32>,
}

/// Options of a RoCE endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoceConfig {
    /// Ports of the NIC. Each queue pair sends by one of them, in turn, so that packets stay in order.
    pub ports: u8,
    /// Payload of a full packet (path MTU).
    pub payload: u16,
    /// Everything else of a data frame: Ethernet, IP, UDP, BTH, ICRC, FCS (`uet-wire.md` §6: 62).
    pub header: u16,
    /// Whether payload is padded to words of 4 bytes, as the frame format has it.
    pub pads: bool,
    /// What messages are.
    pub operation: Operation,
    /// Besides, on the first packet of a WRITE and on a READ request (RETH: 16).
    pub first_header: u16,
    /// Besides, on the first and the last packet of a READ response (AETH: 4).
    pub read_header: u16,
    /// Frame of an ACK or NAK (66).
    pub ack_bytes: u16,
    /// Frame of a congestion notification (78).
    pub cnp_bytes: u16,
    /// Traffic class of acknowledgements and notifications.
    pub answer_class: Class,
    /// Rate of the NIC.
    pub rate: Rate,
    /// Bytes of payload that may be outstanding; `None`: no limit.
    pub window: Option<u64>,
    /// Whether the window shrinks with the rate.
    pub window_follows_rate: bool,
    /// Packets received in order that cause an acknowledgement; the last of a message always does.
    pub ack_every: u32,
    /// Longest that an acknowledgement waits for others; `None`: for ever.
    pub ack_delay: Option<Span>,
    /// How marks are reported.
    pub mark_report: MarkReport,
    /// Congestion control.
    pub congestion: Congestion,
    /// What happens when packets are missing.
    pub recovery: Recovery,
    /// Local ACK timeout; `None`: never (the ns-3 model's).
    pub timeout: Option<Timeout>,
    /// Least time between two NAKs for the same gap; `None`: one a gap (InfiniBand).
    pub nak_interval: Option<Span>,
    /// Which messages share a queue pair.
    pub qp_scope: QpScope,
    /// What their paths depend on.
    pub path_key: PathKey,
    /// From the first message on a queue pair to its first packet: address exchange and the state changes
    /// of both ends.
    pub qp_setup: Span,
}

/// Congestion control and marks as in the named source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// The Mellanox form with the constants of the HPCC authors' runs (`run.py`, dcqcn).
    Mellanox,
    /// The paper's form and constants, rates scaled from its 40 Gb/s.
    Paper,
    /// The Mellanox form with the constants that the HPCC authors give for the paper (`run.py`,
    /// dcqcn_paper).
    MellanoxPaper,
}

/// Local ACK timeout: 4.096 us · 2^10, the exponent being the operator's choice (14 is usual on large
/// networks; data-centre round trips allow less). Seven retries, the most that the protocol can ask for.
const TIMEOUT: Timeout = Timeout { after: Span(4_096_000 << 10), few: None, retries: Some(7) };

impl RoceConfig {
    /// DCQCN of a preset on frames of the standard, for a NIC of `rate`; `window` bytes outstanding.
    pub fn new(rate: Rate, preset: Preset, window: Option<u64>) -> RoceConfig {
        let congestion = match preset {
            Preset::Mellanox => Congestion::DcqcnMellanox(MellanoxOptions::at(rate)),
            Preset::Paper => Congestion::DcqcnPaper(PaperOptions::at(rate)),
            Preset::MellanoxPaper => {
                Congestion::DcqcnMellanox(MellanoxOptions::with_the_paper_timers(rate))
            }
        };
        let mark_report = match preset {
            Preset::Mellanox | Preset::MellanoxPaper => MarkReport::Echo,
            Preset::Paper => MarkReport::Cnp { interval: Span::from_micros(50) },
        };
        RoceConfig {
            payload: 4_096,
            header: 62,
            pads: true,
            operation: Operation::Write,
            first_header: 16,
            read_header: 4,
            ack_bytes: 66,
            cnp_bytes: 78,
            answer_class: Class::CONTROL,
            ports: 1,
            rate,
            window,
            window_follows_rate: true,
            ack_every: 1,
            ack_delay: Some(Span::from_millis(1)),
            mark_report,
            congestion,
            recovery: Recovery::GoBackN,
            timeout: Some(TIMEOUT),
            nak_interval: None,
            qp_scope: QpScope::ONE,
            path_key: PathKey::QueuePair,
            qp_setup: Span::ZERO,
        }
    }

    /// Whether data packets ask switches for telemetry.
    pub fn telemetry(&self) -> bool {
        matches!(self.congestion, Congestion::Hpcc(_))
    }

    /// Frame bytes of a data packet with `payload` bytes that is the first or last of its message or not.
    #[inline]
    pub fn frame(&self, payload: u64, first: bool, last: bool) -> u16 {
        let padded = if self.pads { payload.next_multiple_of(4) } else { payload };
        let more = match self.operation {
            Operation::Write if first => self.first_header,
            Operation::Read if first || last => self.read_header,
            _ => 0,
        };
        padded as u16 + self.header + more
    }
}
