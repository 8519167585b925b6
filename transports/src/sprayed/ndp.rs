//! NDP, the receiver-driven ancestor of EQDS and of UET's receiver credit.
//!
//! Sources: NDP (SIGCOMM 2017) and EQDS (NSDI 2022) as summed up in `roce-dcqcn.md` §5: data queues of
//! eight packets, beyond which switches trim; headers go first; a sender begins with a window of one
//! bandwidth-delay product and then sends a packet for each pull; a receiver owes a pull for each packet
//! or header that arrives while the sender has more, and paces its pulls, over all senders in turn, at the
//! rate of its link. Paths are permuted.

use std::collections::VecDeque;

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

/// Constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NdpOptions {
    /// Packets that a connection sends without being asked, each time that it was idle.
    pub unsolicited: u32,
}

/// The pulls that a host owes to those who send to it.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Pulls {
    /// Connections that are owed pulls, in turn.
    turn: VecDeque<u32>,
    /// Pulls owed to each.
    owed: Vec<u32>,
    /// Pulls sent to each.
    sent: Vec<u32>,
    /// When the next may leave.
    pub(super) next: Time,
}

impl Pulls {
    /// A packet of `connection` came, trimmed or not, from a sender with `backlog` packets waiting.
    pub(super) fn owe(&mut self, connection: u32, trimmed: bool, backlog: u32) {
        let place = connection as usize;
        if place >= self.owed.len() {
            self.owed.resize(place + 1, 0);
            self.sent.resize(place + 1, 0);
        }
        let owed = &mut self.owed[place];
        if !trimmed && *owed >= backlog {
            return;
        }
        *owed += 1;
        if *owed == 1 {
            self.turn.push_back(connection);
        }
    }

    /// Whether a pull waits.
    pub(super) fn waits(&self) -> bool {
        !self.turn.is_empty()
    }

    /// The next pull, if it is time for it: its connection and its number; `spacing` to the one after it.
    pub(super) fn take(&mut self, now: Time, spacing: Span) -> Option<(u32, u32)> {
        if self.next > now {
            return None;
        }
        let connection = self.turn.pop_front()?;
        let place = connection as usize;
        self.owed[place] -= 1;
        self.sent[place] += 1;
        if self.owed[place] > 0 {
            self.turn.push_back(connection);
        }
        self.next = now + spacing;
        Some((connection, self.sent[place]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Senders are pulled in turn, at the pace of the link, and no more often than they have packets.
    #[test]
    fn pulls_take_turns_and_are_paced() {
        let mut pulls = Pulls::default();
        let spacing = Span(100);
        (0..3).for_each(|_| pulls.owe(0, false, 2));
        pulls.owe(1, true, 0);
        assert_eq!(pulls.take(Time(5), spacing), Some((0, 1)));
        assert_eq!(pulls.take(Time(104), spacing), None);
        assert_eq!(pulls.take(Time(105), spacing), Some((1, 1)));
        assert_eq!(pulls.take(Time(300), spacing), Some((0, 2)));
        assert!(!pulls.waits());
        pulls.owe(1, false, 0);
        assert!(!pulls.waits(), "a sender without more is not pulled");
    }
}
