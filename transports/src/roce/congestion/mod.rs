//! Congestion control of a queue pair: the rate it is paced by, and the window it keeps to.
//!
//! - [`dcqcn`]: by marks, in the paper's and the Mellanox form; [`dctcp`]: by the share of marks
//! - [`timely`], [`swift`]: by round-trip times
//! - [`hpcc`]: by what switches say of themselves
//!
//! The options of each are beside it, with its source and the rule by which they grow with the link.

pub mod dcqcn;
pub mod dctcp;
pub mod hpcc;
pub mod swift;
pub mod timely;

use fabric::telemetry::Telemetry;
use fabric::units::{Rate, Span, Time};
use serde::{Deserialize, Serialize};

use crate::roce::config::{Congestion, RoceConfig};
use dcqcn::{Mellanox, Paper};
use dctcp::Dctcp;
use hpcc::Hpcc;
use swift::Swift;
use timely::Timely;

/// What an acknowledgement tells the sender.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// When it came.
    pub now: Time,
    /// Everything below this PSN has arrived.
    pub acked: u32,
    /// Packets that it newly acknowledges.
    pub newly: u32,
    /// The next PSN that was never sent.
    pub next: u32,
    /// The packet it answers was marked.
    pub marked: bool,
    /// Since that packet was sent.
    pub rtt: Span,
    /// What switches wrote into that packet.
    pub telemetry: &'a Telemetry,
}

/// One sender's congestion control.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Control {
    /// DCQCN, the paper's form.
    Paper(Paper),
    /// DCQCN, the Mellanox form.
    Mellanox(Mellanox),
    /// DCTCP with a rate.
    Dctcp(Dctcp),
    /// HPCC.
    Hpcc(Box<Hpcc>),
    /// TIMELY.
    Timely(Timely),
    /// Swift.
    Swift(Swift),
    /// Line rate.
    LineRate(f64),
}

impl Control {
    /// A sender at line rate.
    pub fn new(config: &RoceConfig) -> Control {
        let line = config.rate.bits_per_second() as f64;
        match config.congestion {
            Congestion::DcqcnPaper(options) => Control::Paper(Paper::new(options, line)),
            Congestion::DcqcnMellanox(options) => Control::Mellanox(Mellanox::new(options, line)),
            Congestion::Dctcp(options) => Control::Dctcp(Dctcp::new(options, line)),
            Congestion::Hpcc(options) => Control::Hpcc(Box::new(Hpcc::new(options, line))),
            Congestion::Timely(options) => Control::Timely(Timely::new(options, line)),
            Congestion::Swift(options) => Control::Swift(Swift::new(options, line)),
            Congestion::None => Control::LineRate(line),
        }
    }

    /// The rate, in bits a second.
    #[inline]
    pub fn rate(&self) -> f64 {
        match self {
            Control::Paper(paper) => paper.rate(),
            Control::Mellanox(mellanox) => mellanox.rate(),
            Control::Dctcp(dctcp) => dctcp.rate(),
            Control::Hpcc(hpcc) => hpcc.rate(),
            Control::Timely(timely) => timely.rate(),
            Control::Swift(swift) => swift.rate(),
            Control::LineRate(line) => *line,
        }
    }

    /// The window in bytes of payload, of those that set one themselves.
    #[inline]
    pub fn window(&self) -> Option<f64> {
        match self {
            Control::Swift(swift) => Some(swift.window()),
            _ => None,
        }
    }

    /// The time from the start of a frame to the start of the next: exactly its serialisation at line
    /// rate, longer below.
    #[inline]
    pub fn spacing(&self, frame: u64, rate: Rate, line: f64) -> Span {
        let own = self.rate();
        if own >= line {
            return rate.time_for(frame);
        }
        Span((frame as f64 * 8e12 / own) as u64)
    }

    /// A congestion notification packet came.
    pub fn on_mark(&mut self, now: Time) {
        self.catch_up(now);
        match self {
            Control::Paper(paper) => paper.on_mark(now),
            Control::Mellanox(mellanox) => mellanox.on_mark(now),
            _ => {}
        }
    }

    /// An acknowledgement came. True if a rate that has changed moves the packet that already waits.
    pub fn on_ack(&mut self, feedback: &Feedback<'_>) -> bool {
        match self {
            Control::Paper(_) | Control::Mellanox(_) => {
                if feedback.marked {
                    self.on_mark(feedback.now);
                } else {
                    self.catch_up(feedback.now);
                }
                false
            }
            Control::Dctcp(dctcp) => {
                dctcp.on_ack(feedback);
                false
            }
            Control::Timely(timely) => {
                timely.on_ack(feedback);
                false
            }
            Control::Swift(swift) => {
                swift.on_ack(feedback);
                false
            }
            Control::Hpcc(hpcc) => hpcc.on_ack(feedback),
            Control::LineRate(_) => false,
        }
    }

    /// Bytes were sent.
    #[inline]
    pub fn on_sent(&mut self, bytes: u64) {
        if let Control::Paper(paper) = self {
            paper.on_sent(bytes);
        }
    }

    /// The retransmission timeout ran out.
    pub fn on_timeout(&mut self) {
        if let Control::Swift(swift) = self {
            swift.on_timeout();
        }
    }

    /// Does what timers would have done up to `now`.
    ///
    /// Rates matter only when a packet is sent or something is heard, so the control is brought up to
    /// date then, timer by timer in their order, and no timer ever runs.
    #[inline]
    pub fn catch_up(&mut self, now: Time) {
        match self {
            Control::Paper(paper) => paper.catch_up(now),
            Control::Mellanox(mellanox) => mellanox.catch_up(now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At line rate frames follow each other without a gap, to the picosecond.
    #[test]
    fn spacing_at_line_rate_is_serialisation() {
        let rate = Rate::from_gbps(400);
        let control = Control::LineRate(400e9);
        assert_eq!(control.spacing(4_178, rate, 400e9), Span(83_560));
        let slow = Control::LineRate(100e9);
        assert_eq!(slow.spacing(4_178, rate, 400e9), Span(334_240));
    }
}
