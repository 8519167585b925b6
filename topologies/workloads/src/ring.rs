//! Ring all-reduce: reduce-scatter, then all-gather, each of n − 1 steps.
//!
//! In step s rank r sends one chunk to rank r + 1. The first step starts at once; every later one is
//! started by the chunk that arrives from rank r − 1, which is the one to send on. No rank waits for
//! its own sends, nor for a global step.

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx};
use serde::{Deserialize, Serialize};

use crate::collective::{Collective, Kind};
use crate::{AnyProgram, Workload, seat};

/// A rank of the ring.
#[derive(Serialize, Deserialize)]
pub struct Ring {
    rank: u32,
    ranks: u32,
    /// Buffer of each rank.
    bytes: u64,
    /// Host of the next rank.
    next: HostId,
    /// Steps posted so far.
    posted: u32,
}

impl Ring {
    fn steps(&self) -> u32 {
        2 * (self.ranks - 1)
    }

    /// Bytes of chunk `chunk`: the buffer in n parts, the first ones a byte longer where it does not
    /// divide.
    fn chunk_bytes(&self, chunk: u32) -> u64 {
        let ranks = u64::from(self.ranks);
        self.bytes / ranks + u64::from(u64::from(chunk) < self.bytes % ranks)
    }

    fn post_next(&mut self, cx: &mut ProgramCx<'_>) {
        let step = self.posted;
        // In step s rank r holds, and sends, chunk r − s: partial sums first, then finished ones.
        let chunk = (self.rank + 2 * self.ranks - step % self.ranks) % self.ranks;
        let id = MessageId(self.rank * self.steps() + step);
        cx.post(id, self.next, self.chunk_bytes(chunk));
        self.posted += 1;
    }
}

impl Program for Ring {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        self.post_next(cx);
    }

    fn on_sent(&mut self, _: &mut ProgramCx<'_>, _: MessageId) {}

    fn on_received(&mut self, cx: &mut ProgramCx<'_>, _: HostId, _: MessageId) {
        if self.posted < self.steps() {
            self.post_next(cx);
        }
    }

    fn on_wake(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn on_signal(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn unposted(&self) -> u64 {
        u64::from(self.steps() - self.posted)
    }
}

/// A ring all-reduce of `bytes` a rank over `ranks`, in their order.
///
/// # Errors
/// A sentence, when the buffer has fewer bytes than there are ranks or the ring more messages than can
/// be numbered.
pub fn all_reduce(hosts: u32, ranks: &[HostId], bytes: u64) -> Result<Workload, String> {
    let count = ranks.len() as u32;
    if bytes < u64::from(count) {
        return Err(format!("an all-reduce of {bytes} B cannot be cut into {count} chunks"));
    }
    let messages = u64::from(count) * 2 * u64::from(count - 1);
    if messages > u64::from(u32::MAX) {
        return Err(format!("a ring of {count} ranks has {messages} messages, more than 2^32"));
    }
    let program = |rank: u32| {
        let next = ranks[((rank + 1) % count) as usize];
        AnyProgram::Ring(Ring { rank, ranks: count, bytes, next, posted: 0 })
    };
    let collective = Some(Collective { kind: Kind::AllReduce, ranks: count, bytes });
    Ok(Workload { collective, ..Workload::new(seat(hosts, ranks, program), messages) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use proptest::prelude::*;

    proptest! {
        /// Every rank sends 2(n − 1) chunks that add up to 2(n − 1)/n of the buffer, also where the
        /// buffer does not divide, and no rank is left waiting.
        #[test]
        fn every_rank_sends_its_share(ranks in 2u32..12, extra in 0u64..100_000) {
            let bytes = u64::from(ranks) + extra;
            let places: Vec<HostId> = (0..ranks).map(|rank| HostId((rank * 5) % 61)).collect();
            let mut workload = all_reduce(64, &places, bytes).unwrap();
            let sent = play(&mut workload);
            prop_assert_eq!(sent.len() as u64, workload.messages);
            for host in &places {
                let own: Vec<_> = sent.iter().filter(|message| message.src == *host).collect();
                prop_assert_eq!(own.len() as u32, 2 * (ranks - 1));
                let moved: u64 = own.iter().map(|message| message.bytes).sum();
                let exact = 2 * bytes * u64::from(ranks - 1) / u64::from(ranks);
                prop_assert!(moved.abs_diff(exact) <= 2, "{} of {}", moved, exact);
            }
        }
    }

    /// A buffer that cannot be cut is refused.
    #[test]
    fn a_tiny_buffer_is_refused() {
        let places: Vec<HostId> = (0..8).map(HostId).collect();
        let error = all_reduce(8, &places, 7).err().unwrap();
        assert_eq!(error, "an all-reduce of 7 B cannot be cut into 8 chunks");
    }
}
