//! Send and receive in a line: each rank gets a message from the one before, computes, and passes one on.

use fabric::units::Span;

use crate::traces::writer::Writer;
use crate::traces::{Action, Node, Trace};

/// A pipeline, as asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pipeline {
    /// Ranks, one after the other.
    pub ranks: u32,
    /// Messages that go through all of them.
    pub messages: u32,
    /// Bytes of each.
    pub bytes: u64,
    /// Time that each rank computes for each.
    pub stage_time: Span,
}

impl Pipeline {
    /// What all ranks do.
    pub fn trace(&self) -> Trace {
        let rank = |rank: u32| -> Vec<Node> {
            let mut writer = Writer::default();
            for message in 0..self.messages {
                let tag = u64::from(message);
                if rank > 0 {
                    writer.then(Action::Receive { from: rank - 1, tag });
                }
                writer.compute(self.stage_time);
                if rank + 1 < self.ranks {
                    writer.aside(Action::Send { to: rank + 1, bytes: self.bytes, tag });
                }
            }
            writer.nodes
        };
        Trace { ranks: (0..self.ranks).map(rank).collect(), is_service: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All but the last rank send each message once, to the next.
    #[test]
    fn each_rank_passes_on() {
        let pipeline =
            Pipeline { ranks: 4, messages: 3, bytes: 9, stage_time: Span::from_micros(1) };
        let trace = pipeline.trace();
        for (rank, nodes) in (0..4).zip(&trace.ranks) {
            let sends = nodes.iter().filter(
                |node| matches!(node.action, Action::Send { to, bytes: 9, .. } if to == rank + 1),
            );
            assert_eq!(sends.count(), if rank < 3 { 3 } else { 0 });
            let receives = |node: &&Node| matches!(node.action, Action::Receive { .. });
            assert_eq!(nodes.iter().filter(receives).count(), if rank > 0 { 3 } else { 0 });
        }
    }
}
