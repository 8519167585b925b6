//! A sender's messages: cut into packets, in turn, and found again by PSN.
//!
//! Messages of many processes share a PDC. A *run* is a stretch of PSNs that carries consecutive packets of
//! one message; after a turn of packets the next message begins a run of its own, so that a long message
//! does not hold up a short one. The run that has a message's last packet completes it.

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::MessageId;
use serde::{Deserialize, Serialize};

use crate::uet::header::Op;

/// What becomes of a message when all of it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// Its post is complete.
    Sent,
    /// It is a part: the request of a read, the eager part of a rendezvous, or the data that answers
    /// either. The semantic layer knows what it was part of.
    Part,
}

/// A message that waits, or of which a part waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) message: Message,
    pub(super) op: Op,
    /// Payload bytes not sent yet.
    pub(super) left: u64,
    /// Place of the next one in the message.
    pub(super) offset: u64,
    /// Frame bytes beside the payload.
    pub(super) header: u16,
    pub(super) report: Report,
}

/// Where a message stands in its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The next packet is cut from it.
    Next,
    /// It waits for its turn.
    Behind,
    /// All of it has been sent.
    Sent,
}

/// A stretch of PSNs of one message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) message: Message,
    pub(super) op: Op,
    pub(super) header: u16,
    pub(super) report: Report,
    /// First PSN.
    first: u32,
    /// PSN after the last.
    end: u32,
    /// Place of the first payload byte in the message.
    offset: u64,
    /// Payload of the last packet, if it is the message's last.
    tail: Option<u16>,
}

/// A packet of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) message: Message,
    pub(super) op: Op,
    /// Payload bytes.
    pub(super) payload: u16,
    /// Frame bytes.
    pub(super) bytes: u16,
    /// Place of the payload in the message.
    pub(super) offset: u64,
    /// The message's last packet.
    pub(super) last: bool,
}

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Messages {
    waiting: VecDeque<Pending>,
    runs: VecDeque<Run>,
    /// Packets that the first one waiting has sent in its turn.
    turn: u32,
}

impl Messages {
    /// Forgets what it knew; its memory stays.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.runs.clear();
        self.turn = 0;
    }

    /// Queues a message.
    pub(super) fn post(&mut self, pending: Pending) {
        self.waiting.push_back(pending);
    }

    /// Frame bytes of the next new packet; `None` if all has been sent.
    #[inline]
    pub(super) fn next_bytes(&self, full: u16) -> Option<u16> {
        let front = self.waiting.front()?;
        Some(front.left.min(u64::from(full)) as u16 + front.header)
    }

    /// Cuts the next packet, which gets `psn`.
    #[inline]
    pub(super) fn cut(&mut self, psn: u32, full: u16, interleave: u32) -> Piece {
        let front = self.waiting.front_mut().expect("a packet waits");
        let payload = front.left.min(u64::from(full)) as u16;
        let piece = Piece {
            message: front.message,
            op: front.op,
            payload,
            bytes: payload + front.header,
            offset: front.offset,
            last: front.left == u64::from(payload),
        };
        if self.turn == 0 {
            self.runs.push_back(Run {
                message: front.message,
                op: front.op,
                header: front.header,
                report: front.report,
                first: psn,
                end: psn,
                offset: front.offset,
                tail: None,
            });
        }
        let run = self.runs.back_mut().expect("pushed when the turn began");
        run.end = psn + 1;
        front.left -= u64::from(payload);
        front.offset += u64::from(payload);
        self.turn += 1;
        if piece.last {
            run.tail = Some(payload);
            self.waiting.pop_front();
            self.turn = 0;
        } else if self.turn >= interleave && self.waiting.len() > 1 {
            self.waiting.rotate_left(1);
            self.turn = 0;
        }
        piece
    }

    /// The packet that went out as `psn`.
    pub(super) fn piece(&self, psn: u32, full: u16) -> Piece {
        let run = &self.runs[self.runs.partition_point(|run| run.end <= psn)];
        let last = run.tail.filter(|_| psn + 1 == run.end);
        let payload = last.unwrap_or(full);
        Piece {
            message: run.message,
            op: run.op,
            payload,
            bytes: payload + run.header,
            offset: run.offset + u64::from(psn - run.first) * u64::from(full),
            last: last.is_some(),
        }
    }

    /// Forgets what lies below `cack`; the next message that it completes, if one.
    #[inline]
    pub(super) fn finished(&mut self, cack: u32) -> Option<Run> {
        loop {
            let front = self.runs.front()?;
            // The last run may still grow.
            if front.end > cack || (front.tail.is_none() && self.runs.len() == 1) {
                return None;
            }
            let run = self.runs.pop_front()?;
            if run.tail.is_some() {
                return Some(run);
            }
        }
    }

    /// Where a message stands: whether it is the next to be cut, if some of it waits; `None` if nothing of it is here.
    pub(super) fn stage(&self, message: MessageId) -> Option<Stage> {
        let waits = self.waiting.iter().position(|pending| pending.message.id == message);
        match waits {
            Some(0) => Some(Stage::Next),
            Some(_) => Some(Stage::Behind),
            None => {
                let is_out = self.runs.iter().any(|run| run.message.id == message);
                is_out.then_some(Stage::Sent)
            }
        }
    }

    /// Nothing waits.
    #[inline]
    pub(super) fn is_sent(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nothing waits and nothing is outstanding.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.runs.is_empty()
    }

    /// All posts that are not complete, each once: what a context that fails fails.
    pub(super) fn unfinished(&self) -> Vec<(Message, Report)> {
        let ended = self.runs.iter().filter(|run| run.tail.is_some());
        let sent = ended.map(|run| (run.message, run.report));
        sent.chain(self.waiting.iter().map(|p| (p.message, p.report))).collect()
    }

    /// Frame bytes that wait.
    pub(super) fn waiting_bytes(&self, full: u16) -> u64 {
        let bytes = |pending: &Pending| {
            let packets = pending.left.div_ceil(u64::from(full)).max(1);
            pending.left + packets * u64::from(pending.header)
        };
        self.waiting.iter().map(bytes).sum()
    }

    /// Packets that wait.
    pub(super) fn waiting_packets(&self, full: u16) -> u64 {
        self.waiting.iter().map(|pending| pending.left.div_ceil(u64::from(full)).max(1)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::ids::HostId;

    fn pending(id: u32, bytes: u64) -> Pending {
        let message = Message { id: MessageId(id), dst: HostId(1), bytes, slot: id };
        let (op, report) = (Op::Send, Report::Sent);
        Pending { message, op, left: bytes, offset: 0, header: 64, report }
    }

    fn cut_all(messages: &mut Messages, interleave: u32) -> Vec<(u32, u64, u16)> {
        let mut cut = Vec::new();
        while messages.next_bytes(100).is_some() {
            let piece = messages.cut(cut.len() as u32, 100, interleave);
            cut.push((piece.message.id.0, piece.offset, piece.payload));
        }
        cut
    }

    /// Two messages take turns of two packets, and every packet is found again by its PSN.
    #[test]
    fn messages_take_turns_and_packets_are_found_again() {
        let mut messages = Messages::default();
        messages.post(pending(7, 450));
        messages.post(pending(8, 150));
        let cut = cut_all(&mut messages, 2);
        let expected = [
            (7, 0, 100),
            (7, 100, 100),
            (8, 0, 100),
            (8, 100, 50),
            (7, 200, 100),
            (7, 300, 100),
            (7, 400, 50),
        ];
        assert_eq!(cut, expected);
        for (psn, (id, offset, payload)) in expected.into_iter().enumerate() {
            let piece = messages.piece(psn as u32, 100);
            assert_eq!((piece.message.id.0, piece.offset, piece.payload), (id, offset, payload));
        }
        assert!(messages.finished(3).is_none());
        assert_eq!(messages.finished(4).unwrap().message.id.0, 8, "the short one is not held up");
        assert_eq!(messages.unfinished().len(), 1);
        assert!(messages.finished(6).is_none());
        assert_eq!(messages.finished(7).unwrap().message.id.0, 7);
        assert!(messages.is_empty());
    }

    /// Without turns, messages go one after the other, and an empty one is a packet all the same.
    #[test]
    fn an_empty_request_is_a_packet() {
        let mut messages = Messages::default();
        messages.post(Pending { left: 0, ..pending(1, 5_000) });
        messages.post(pending(2, 250));
        assert_eq!(messages.waiting_packets(100), 4);
        let cut = cut_all(&mut messages, u32::MAX);
        assert_eq!(cut, [(1, 0, 0), (2, 0, 100), (2, 100, 100), (2, 200, 50)]);
    }
}
