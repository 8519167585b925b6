//! All-to-all: every rank sends to every other, with a bound on messages in flight.
//!
//! Rank r sends to r + 1, r + 2, … in turn, so that in each moment the receivers differ. A message is in
//! flight from its posting to its acknowledgement.

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::collective::{Collective, Kind};
use crate::{AnyProgram, Workload, seat};

/// A rank of an all-to-all.
#[derive(Serialize, Deserialize)]
pub struct AllToAll {
    rank: u32,
    /// Hosts of all ranks.
    ranks: Arc<[HostId]>,
    /// Bytes to each other rank.
    bytes: u64,
    /// Most messages in flight.
    window: u32,
    posted: u32,
}

impl AllToAll {
    fn others(&self) -> u32 {
        self.ranks.len() as u32 - 1
    }

    fn post_next(&mut self, cx: &mut ProgramCx<'_>) {
        if self.posted == self.others() {
            return;
        }
        let count = self.ranks.len() as u32;
        let peer = self.ranks[((self.rank + 1 + self.posted) % count) as usize];
        cx.post(MessageId(self.rank * self.others() + self.posted), peer, self.bytes);
        self.posted += 1;
    }
}

impl Program for AllToAll {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        (0..self.window.min(self.others())).for_each(|_| self.post_next(cx));
    }

    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, _: MessageId) {
        self.post_next(cx);
    }

    fn on_received(&mut self, _: &mut ProgramCx<'_>, _: HostId, _: MessageId) {}

    fn on_wake(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn on_signal(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn unposted(&self) -> u64 {
        u64::from(self.others() - self.posted)
    }
}

/// An all-to-all of `bytes` from each rank to each other, at most `window` messages of a rank in flight.
///
/// # Errors
/// A sentence, when `bytes` or `window` is zero or the messages are more than can be numbered.
pub fn all_to_all(
    hosts: u32,
    ranks: &[HostId],
    bytes: u64,
    window: u32,
) -> Result<Workload, String> {
    let count = ranks.len() as u32;
    if bytes == 0 || window == 0 {
        return Err("an all-to-all needs at least 1 B a pair and 1 message in flight".to_owned());
    }
    let messages = u64::from(count) * u64::from(count - 1);
    if messages > u64::from(u32::MAX) {
        return Err(format!("{count} ranks exchange {messages} messages, more than 2^32"));
    }
    let shared: Arc<[HostId]> = ranks.into();
    let program = |rank: u32| {
        let ranks = Arc::clone(&shared);
        AnyProgram::AllToAll(AllToAll { rank, ranks, bytes, window, posted: 0 })
    };
    let all = bytes * u64::from(count);
    let collective = Some(Collective { kind: Kind::AllToAll, ranks: count, bytes: all });
    Ok(Workload { collective, ..Workload::new(seat(hosts, ranks, program), messages) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use std::collections::BTreeSet;

    /// Every ordered pair gets exactly one message, whatever the window.
    #[test]
    fn every_pair_gets_one_message() {
        let places: Vec<HostId> = (0..7).map(|rank| HostId(rank * 3 % 23)).collect();
        for window in [1, 2, 100] {
            let mut workload = all_to_all(23, &places, 1_000, window).unwrap();
            let sent = play(&mut workload);
            let pairs: BTreeSet<_> = sent.iter().map(|m| (m.src, m.dst)).collect();
            assert_eq!((sent.len(), pairs.len()), (42, 42));
            let ids: BTreeSet<_> = sent.iter().map(|m| m.id).collect();
            assert_eq!(ids.len(), 42);
        }
    }

    /// At the start a rank posts no more than its window.
    #[test]
    fn the_window_bounds_the_messages_in_flight() {
        let places: Vec<HostId> = (0..9).map(HostId).collect();
        let mut workload = all_to_all(9, &places, 1_000, 3).unwrap();
        let (mut posts, mut wakes, mut signals) = Default::default();
        let mut cx = ProgramCx::new(
            fabric::units::Time::ZERO,
            HostId(0),
            &mut posts,
            &mut wakes,
            &mut signals,
        );
        workload.programs[0].on_start(&mut cx);
        assert_eq!(posts.len(), 3);
    }
}
