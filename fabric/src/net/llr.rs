//! Link-level retry of one direction of a link: go-back-N, kept at the sender (UE 1.0 §5.1, `link.md` §1).
//!
//! The sending port draws the errors of its link itself, so it knows the whole exchange in advance and
//! no event at the receiver is needed. A frame that is lost as it leaves at `t` is asked for by a NACK
//! that is back at `t +` [`llr_answer`](crate::link::llr_answer). Frames that leave until then are
//! discarded by the receiver, which waits for the lost one; the sender keeps them. Then it sends all that
//! it has kept again, in order, before anything new. A replayed frame may be lost in turn, and then the
//! rest goes back to it.
//!
//! **What one loss costs.** A frame of length *L* that left at `t` is delivered
//! `2 · delay + ordered set + L / rate` late when the port is idle, and, when it is busy, as much later as
//! the frame that is on the wire as the NACK comes still takes. Every frame behind it is as late.

use serde::{Deserialize, Serialize};

use crate::fifo::Fifo;
use crate::link::{LlrConfig, UNLIMITED_REPLAYS};
use crate::packet::Label;
use crate::units::{Span, Time};

/// Mask of a sequence number: 20 bits.
const SEQUENCE: u32 = (1 << 20) - 1;

/// What a port with retry has to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Send a kept frame of this length again.
    Replay(u16),
    /// Nothing before this time: too much is not acknowledged.
    Stalled(Time),
    /// Something new; and look again at this time if there is nothing.
    New(Time),
}

/// A frame that was sent and is kept.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Kept {
    sequence: u32,
    label: Label,
}

/// Frames acknowledged at a time.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Acknowledged {
    at: Time,
    bytes: u16,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Llr {
    config: LlrConfig,
    /// From the end of a frame to its answer.
    answer: Span,
    /// Sequence number of the next new frame.
    next: u32,
    /// Sequence number that the receiver waits for.
    expected: u32,
    /// The lost frame and all that left after it.
    kept: Fifo<Kept>,
    kept_bytes: u64,
    /// Of `kept`, from the front: sent since the last loss, and discarded by the receiver.
    wasted: usize,
    /// When the sender learns of the loss; `NEVER` when there is none.
    due: Time,
    /// It learns from its timer.
    by_timer: bool,
    /// The receiver has not noticed: the lost frame left no trace, and none has come after it.
    unnoticed: bool,
    /// Losses of the front of `kept`.
    losses: u8,
    /// Delivered, and not acknowledged.
    unacknowledged: Fifo<Acknowledged>,
    unacknowledged_bytes: u64,
}

impl Llr {
    /// Retry on a link whose answers take `answer`.
    pub(crate) fn new(config: LlrConfig, answer: Span) -> Llr {
        Llr {
            config,
            answer,
            next: 0,
            expected: 0,
            kept: Fifo::default(),
            kept_bytes: 0,
            wasted: 0,
            due: Time::NEVER,
            by_timer: false,
            unnoticed: false,
            losses: 0,
            unacknowledged: Fifo::default(),
            unacknowledged_bytes: 0,
        }
    }

    /// What to send at `now`. Tells whether it is told by NACK (`Some(false)`) or timer (`Some(true)`)
    /// that frames were lost.
    pub(crate) fn turn(&mut self, now: Time) -> (Turn, Option<bool>) {
        while let Some(acknowledged) = self.unacknowledged.front()
            && acknowledged.at <= now
        {
            self.unacknowledged_bytes -= u64::from(acknowledged.bytes);
            self.unacknowledged.pop();
        }
        let told = (self.due <= now).then(|| {
            (self.due, self.wasted) = (Time::NEVER, 0);
            std::mem::take(&mut self.by_timer)
        });
        if let Some(kept) = self.kept.get(self.wasted) {
            return (Turn::Replay(kept.label.bytes), told);
        }
        let frames = self.unacknowledged.len() + self.kept.len();
        let bytes = self.unacknowledged_bytes + self.kept_bytes;
        if frames >= self.config.outstanding_frames as usize
            || bytes >= self.config.outstanding_bytes
        {
            let first = self.unacknowledged.front().map_or(Time::NEVER, |first| first.at);
            return (Turn::Stalled(first.min(self.due)), told);
        }
        (Turn::New(self.due), told)
    }

    /// A frame is lost and the receiver waits for it: what leaves now is discarded.
    pub(crate) fn discards(&self) -> bool {
        self.due < Time::NEVER
    }

    /// Whether the frame that leaves now is the first from which the receiver sees a gap.
    pub(crate) fn take_unnoticed(&mut self) -> bool {
        std::mem::take(&mut self.unnoticed)
    }

    /// The receiver asks for the lost frame, seeing what leaves at `now`.
    pub(crate) fn ask(&mut self, now: Time) {
        if now + self.answer < self.due {
            self.due = now + self.answer;
            self.by_timer = false;
        }
    }

    /// A new frame leaves and is discarded.
    pub(crate) fn keep(&mut self, label: Label) {
        self.kept.push(Kept { sequence: self.next, label });
        self.kept_bytes += u64::from(label.bytes);
        self.next = (self.next + 1) & SEQUENCE;
        self.wasted += 1;
    }

    /// A new frame leaves and is delivered.
    pub(crate) fn deliver(&mut self, now: Time, label: Label) {
        debug_assert_eq!(self.next, self.expected, "frames are delivered in order");
        self.next = (self.next + 1) & SEQUENCE;
        self.acknowledge(now, label);
    }

    /// The frame to be sent again, which leaves now.
    pub(crate) fn replayed(&self) -> Label {
        self.kept.get(self.wasted).expect("a replay has a frame").label
    }

    /// A replayed frame leaves and is discarded.
    pub(crate) fn discard_replayed(&mut self) {
        self.wasted += 1;
    }

    /// A replayed frame is delivered.
    pub(crate) fn deliver_replayed(&mut self, now: Time) {
        let kept = self.drop_replayed();
        debug_assert_eq!(kept.sequence, self.expected, "replays are delivered in order");
        self.acknowledge(now, kept.label);
    }

    /// The receiver takes the next frame for good.
    fn acknowledge(&mut self, now: Time, label: Label) {
        self.expected = (self.expected + 1) & SEQUENCE;
        let bytes = label.bytes;
        self.unacknowledged.push(Acknowledged { at: now + self.answer, bytes });
        self.unacknowledged_bytes += u64::from(bytes);
    }

    fn drop_replayed(&mut self) -> Kept {
        let kept = self.kept.pop().expect("a replay has a frame");
        self.kept_bytes -= u64::from(kept.label.bytes);
        self.losses = 0;
        kept
    }

    /// The frame at the front of the kept ones was lost as it left at `now`. It left a trace (it came in
    /// error) or, if `vanished`, none. False if it is given up instead.
    pub(crate) fn lose(&mut self, now: Time, vanished: bool) -> bool {
        debug_assert!(self.due == Time::NEVER, "one loss is repaired at a time");
        if self.config.replays != UNLIMITED_REPLAYS && self.losses >= self.config.replays {
            self.drop_replayed();
            self.wasted = 0;
            self.expected = (self.expected + 1) & SEQUENCE;
            return false;
        }
        self.losses = self.losses.saturating_add(1);
        self.wasted = 1;
        self.due = now + self.config.replay_timer;
        self.by_timer = true;
        self.unnoticed = vanished;
        true
    }

    /// Takes a kept frame out, from the front, when the link goes down; begins anew after the last.
    pub(crate) fn flush(&mut self) -> Option<Label> {
        let kept = self.kept.pop();
        if kept.is_none() {
            *self =
                Llr { next: self.next, expected: self.next, ..Llr::new(self.config, self.answer) };
        }
        kept.map(|kept| kept.label)
    }

    /// Frames kept.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    const ANSWER: Span = Span(1_000);

    fn label(number: u32) -> Label {
        Label::new(&Packet { bytes: 100, ..Packet::default() }, number)
    }

    fn retry(replays: u8) -> Llr {
        Llr::new(LlrConfig { replays, ..LlrConfig::default() }, ANSWER)
    }

    /// Sends a new frame that is lost and leaves a trace.
    fn lose_new(llr: &mut Llr, now: Time, number: u32) -> bool {
        llr.keep(label(number));
        let kept = llr.lose(now, false);
        llr.ask(now);
        kept
    }

    /// A second loss among the replays goes back to it, and takes in what was new in between: every
    /// frame is delivered once, in order.
    #[test]
    fn a_replay_that_is_lost_goes_back_to_it() {
        let mut llr = retry(UNLIMITED_REPLAYS);
        assert!(lose_new(&mut llr, Time(100), 0));
        for number in 1..4 {
            assert!(llr.discards());
            llr.keep(label(number));
        }
        assert_eq!(llr.turn(Time(1_000)), (Turn::New(Time(1_100)), None));
        assert_eq!(llr.turn(Time(1_100)), (Turn::Replay(100), Some(false)));
        llr.deliver_replayed(Time(1_200));
        assert_eq!(llr.replayed().slot, 1);
        assert!(llr.lose(Time(1_300), false));
        llr.ask(Time(1_300));
        for (at, slot) in [(1_400, 2), (1_500, 3)] {
            assert_eq!(llr.turn(Time(at)), (Turn::Replay(100), None));
            assert_eq!(llr.replayed().slot, slot);
            llr.discard_replayed();
        }
        assert_eq!(llr.turn(Time(1_600)), (Turn::New(Time(2_300)), None));
        llr.keep(label(4));
        assert_eq!(llr.turn(Time(2_300)).1, Some(false));
        for slot in 1..5 {
            assert_eq!(llr.turn(Time(2_400)).0, Turn::Replay(100));
            assert_eq!(llr.replayed().slot, slot);
            llr.deliver_replayed(Time(2_400));
        }
        assert_eq!((llr.turn(Time(2_500)), llr.kept()), ((Turn::New(Time::NEVER), None), 0));
        llr.deliver(Time(2_600), label(5));
    }

    /// Without an answer the timer asks; a frame that has had its replays is given up.
    #[test]
    fn the_timer_asks_and_replays_end() {
        let mut llr = retry(1);
        llr.keep(label(0));
        assert!(llr.lose(Time(0), true) && llr.take_unnoticed() && !llr.take_unnoticed());
        let timer = Time(65_535_000);
        assert_eq!(llr.turn(Time(1_000)).0, Turn::New(timer));
        assert_eq!(llr.turn(timer), (Turn::Replay(100), Some(true)));
        assert!(!llr.lose(timer, false), "one replay was allowed");
        assert_eq!(llr.turn(timer), (Turn::New(Time::NEVER), None));
        llr.deliver(timer, label(1));
        assert!(lose_new(&mut llr, timer, 2), "another frame has its own replays");
    }

    /// Sequence numbers wrap at 20 bits without the receiver noticing.
    #[test]
    fn sequence_numbers_wrap() {
        let mut llr = retry(UNLIMITED_REPLAYS);
        for number in 0..=SEQUENCE {
            let now = Time(u64::from(number) * 10_000);
            llr.turn(now);
            llr.deliver(now, label(number));
        }
        assert_eq!((llr.next, llr.expected), (0, 0));
    }
}
