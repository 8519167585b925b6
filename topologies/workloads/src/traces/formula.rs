//! Collectives that take the time of their formula instead of being sent packet by packet.
//!
//! For collectives within a domain of a scale-up network, which nothing else disturbs: their ranks meet at a barrier, whose
//! messages are sent, and then all wait as long as the formula says.

use std::borrow::Cow;
use std::sync::Arc;

use fabric::units::Span;

use super::{Action, Node, Trace};
use crate::collective::Kind;

impl Trace {
    /// Replaces collectives of ranks for which `is_near` holds and `time` knows how long they take.
    pub fn by_formula(
        &mut self,
        is_near: impl Fn(&[u32]) -> bool,
        time: impl Fn(Kind, &[u32], u64, Option<&Arc<[u64]>>) -> Option<Span>,
    ) {
        for nodes in &mut self.ranks {
            for place in 0..nodes.len() {
                let Action::Collective { kind, bytes, members, name, matrix, .. } =
                    &nodes[place].action
                else {
                    continue;
                };
                if !is_near(members) {
                    continue;
                }
                let Some(time) = time(*kind, members, *bytes, matrix.as_ref()) else { continue };
                let meeting = Action::Collective {
                    kind: Kind::Barrier,
                    bytes: 1,
                    members: Arc::clone(members),
                    root: 0,
                    name: "meeting".into(),
                    matrix: None,
                };
                let label = if name.is_empty() { kind.name() } else { name.as_ref() };
                let name = Cow::Owned(format!("{label} (formula)"));
                let start = nodes.len() as u32;
                let node = &mut nodes[place];
                let after = std::mem::replace(&mut node.after, vec![start + 1]);
                let after_begin = std::mem::take(&mut node.after_begin);
                node.action = Action::Elapse(time);
                nodes.push(Node { action: Action::Join, after, after_begin });
                nodes.push(Node::new(meeting, vec![start]));
                nodes.push(Node::new(Action::Mark { since: start, name }, vec![place as u32]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Near ranks meet and wait; others do their collective; what came after still does.
    #[test]
    fn near_ranks_wait() {
        let collective = |members: &[u32]| Action::Collective {
            kind: Kind::AllReduce,
            bytes: 100,
            members: Arc::from(members),
            root: 0,
            name: "sum".into(),
            matrix: None,
        };
        let ranks = (0..4).map(|rank: u32| {
            let near = [rank / 2 * 2, rank / 2 * 2 + 1];
            vec![
                Node::new(collective(&near), vec![]),
                Node::new(collective(&[0, 1, 2, 3]), vec![0]),
            ]
        });
        let mut trace = Trace { ranks: ranks.collect(), is_service: false };
        let time = |_: Kind, members: &[u32], bytes: u64, _: Option<&Arc<[u64]>>| {
            Some(Span(bytes * members.len() as u64))
        };
        trace.by_formula(|members| members.len() == 2, time);
        for nodes in &trace.ranks {
            assert_eq!(nodes[0], Node::new(Action::Elapse(Span(200)), vec![3]));
            assert!(matches!(nodes[1].action, Action::Collective { kind: Kind::AllReduce, .. }));
            assert!(matches!(nodes[3].action, Action::Collective { kind: Kind::Barrier, .. }));
            assert_eq!(
                (nodes[1].after.as_slice(), nodes[3].after.as_slice()),
                (&[0][..], &[2][..])
            );
            let name = "sum (formula)".into();
            assert_eq!(nodes[4], Node::new(Action::Mark { since: 2, name }, vec![0]));
        }
    }
}
