//! Options of the RoCEv2 transport.

use fabric::units::{Rate, Span};

/// Which messages share a queue pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QpScope {
    /// All messages to one host, in order.
    Destination,
    /// A queue pair for every message (the ns-3 model's).
    Message,
}

/// How a receiver reports marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Congestion {
    /// DCQCN as published (SIGCOMM 2015).
    DcqcnPaper(PaperOptions),
    /// DCQCN in the form of Mellanox NICs, as in the ns-3 model.
    DcqcnMellanox(MellanoxOptions),
    /// Line rate: priority flow control alone.
    None,
}

/// DCQCN's constants, paper form (`roce-dcqcn.md` §2). Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PaperOptions {
    /// g: weight of a new mark in alpha.
    pub g: f64,
    /// K: alpha decays each such time without a notification.
    pub alpha_timer: Span,
    /// The rate increases each such time.
    pub rate_timer: Span,
    /// B: the rate increases each such number of bytes.
    pub byte_counter: u64,
    /// F: steps of fast recovery.
    pub fast_recovery: u32,
    /// R_AI: additive increase.
    pub rate_ai: f64,
    /// R_HAI: hyper increase.
    pub rate_hai: f64,
    /// Least rate.
    pub rate_min: f64,
}

/// DCQCN's constants, Mellanox form (`roce-dcqcn.md` §3). Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MellanoxOptions {
    /// g: weight of a new mark in alpha.
    pub g: f64,
    /// Alpha is updated each such time.
    pub alpha_timer: Span,
    /// The rate falls at most once in each such time.
    pub decrease_timer: Span,
    /// The rate rises each such time.
    pub increase_timer: Span,
    /// Steps of fast recovery.
    pub fast_recovery: u32,
    /// R_AI: additive increase.
    pub rate_ai: f64,
    /// R_HAI: hyper increase.
    pub rate_hai: f64,
    /// Least rate.
    pub rate_min: f64,
    /// Whether the target rate is set down with the rate also at the first cut after an increase began.
    pub clamp_target: bool,
}

/// Options of a RoCE endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct RoceConfig {
    /// Payload of a full packet (path MTU).
    pub payload: u16,
    /// Everything else of a data frame: Ethernet, IP, UDP, BTH, ICRC, FCS (`uet-wire.md` §6: 62).
    pub header: u16,
    /// Whether payload is padded to words of 4 bytes, as the frame format has it.
    pub pads: bool,
    /// Besides, on the first packet of a message (RETH of a WRITE: 16).
    pub first_header: u16,
    /// Frame of an ACK or NAK (66).
    pub ack_bytes: u16,
    /// Frame of a congestion notification (78).
    pub cnp_bytes: u16,
    /// Rate of the NIC.
    pub rate: Rate,
    /// Bytes of payload that may be outstanding; `None`: no limit.
    pub window: Option<u64>,
    /// Whether the window shrinks with the rate.
    pub window_follows_rate: bool,
    /// Packets received in order that cause an acknowledgement; the last of a message always does.
    pub ack_every: u32,
    /// How marks are reported.
    pub mark_report: MarkReport,
    /// Congestion control.
    pub congestion: Congestion,
    /// Local ACK timeout: without progress for this long, the sender starts over from the oldest
    /// packet. `None`: never (the ns-3 model's).
    pub timeout: Option<Span>,
    /// Least time between two NAKs for the same gap; `None`: one a gap (InfiniBand).
    pub nak_interval: Option<Span>,
    /// Which messages share a queue pair.
    pub qp_scope: QpScope,
}

/// Congestion control and marks as in the named source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// The Mellanox form with the constants of the HPCC authors' runs (`run.py`, dcqcn).
    Mellanox,
    /// The paper's form and constants, rates scaled from its 40 Gb/s.
    Paper,
}

/// Local ACK timeout: 4.096 us · 2^10, the exponent being the operator's choice (14 is usual on large
/// networks; data-centre round trips allow less).
const TIMEOUT: Span = Span(4_096_000 << 10);

impl RoceConfig {
    /// DCQCN of a preset on frames of the standard, for a NIC of `rate`; `window` bytes outstanding.
    pub fn new(rate: Rate, preset: Preset, window: Option<u64>) -> RoceConfig {
        let congestion = match preset {
            Preset::Mellanox => Congestion::DcqcnMellanox(MellanoxOptions::at(rate)),
            Preset::Paper => Congestion::DcqcnPaper(PaperOptions::at(rate)),
        };
        let mark_report = match preset {
            Preset::Mellanox => MarkReport::Echo,
            Preset::Paper => MarkReport::Cnp { interval: Span::from_micros(50) },
        };
        RoceConfig {
            payload: 4_096,
            header: 62,
            pads: true,
            first_header: 16,
            ack_bytes: 66,
            cnp_bytes: 78,
            rate,
            window,
            window_follows_rate: true,
            ack_every: 1,
            mark_report,
            congestion,
            timeout: Some(TIMEOUT),
            nak_interval: None,
            qp_scope: QpScope::Destination,
        }
    }
}

impl MellanoxOptions {
    /// Increases grow with the NIC's rate from those at 25 Gb/s; the least rate is 1/100 of it.
    pub fn at(rate: Rate) -> MellanoxOptions {
        let scale = rate.bits_per_second() as f64 / 25e9;
        MellanoxOptions {
            g: 1.0 / 256.0,
            alpha_timer: Span::from_micros(1),
            decrease_timer: Span::from_micros(4),
            increase_timer: Span::from_micros(300),
            fast_recovery: 1,
            rate_ai: 5e6 * scale,
            rate_hai: 50e6 * scale,
            rate_min: rate.bits_per_second() as f64 / 100.0,
            clamp_target: false,
        }
    }
}

impl PaperOptions {
    /// Increases grow with the NIC's rate from those at 40 Gb/s.
    pub fn at(rate: Rate) -> PaperOptions {
        let scale = rate.bits_per_second() as f64 / 40e9;
        PaperOptions {
            g: 1.0 / 256.0,
            alpha_timer: Span::from_micros(55),
            rate_timer: Span::from_micros(55),
            byte_counter: 10_000_000,
            fast_recovery: 5,
            rate_ai: 40e6 * scale,
            rate_hai: 400e6 * scale,
            rate_min: rate.bits_per_second() as f64 / 1_000.0,
        }
    }
}
