//! Writes down what one rank does, one thing after the other, with collectives that go on behind it.

use std::sync::Arc;

use fabric::units::Span;

use super::{Action, Node};

/// The nodes of a rank while they are written.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) nodes: Vec<Node>,
    /// What the next one waits for.
    pub(crate) last: Option<u32>,
    /// What is waited for only when all is joined.
    open: Vec<u32>,
    /// The last collective of each group, which the group's next one follows.
    before: Vec<(Arc<[u32]>, u32)>,
}

impl Writer {
    /// An action after others, which nothing waits for yet.
    pub(crate) fn push(&mut self, action: Action, after: Vec<u32>) -> u32 {
        self.nodes.push(Node::new(action, after));
        self.nodes.len() as u32 - 1
    }

    /// An action after what was done last, for which the next one waits.
    pub(crate) fn then(&mut self, action: Action) -> u32 {
        let after = self.last.into_iter().collect();
        let node = self.push(action, after);
        self.last = Some(node);
        node
    }

    /// An action after what was done last, for which nothing waits.
    pub(crate) fn aside(&mut self, action: Action) -> u32 {
        let after = self.last.into_iter().collect();
        self.push(action, after)
    }

    /// Computes.
    pub(crate) fn compute(&mut self, time: Span) {
        if time > Span::ZERO {
            self.then(Action::Compute { time, stream: 0 });
        }
    }

    /// A collective after some node, and after the one before of the same group; `None` for a group of one.
    pub(crate) fn collective(&mut self, action: Action, after: Option<u32>) -> Option<u32> {
        let Action::Collective { members, .. } = &action else { return None };
        if members.len() < 2 {
            return None;
        }
        let members = Arc::clone(members);
        let known = self.before.iter().position(|(group, _)| Arc::ptr_eq(group, &members));
        let before = known.map(|place| self.before[place].1);
        let node = self.push(action, after.into_iter().chain(before).collect());
        match known {
            Some(place) => self.before[place].1 = node,
            None => self.before.push((members, node)),
        }
        Some(node)
    }

    /// A collective after what was done last, for which the next thing waits.
    pub(crate) fn blocking(&mut self, action: Action) {
        if let Some(node) = self.collective(action, self.last) {
            self.last = Some(node);
        }
    }

    /// A collective after what was done last, which goes on behind what follows, up to the next [`Writer::join`].
    pub(crate) fn behind(&mut self, action: Action) {
        let node = self.collective(action, self.last);
        self.open.extend(node);
    }

    /// The next thing waits for this node too.
    pub(crate) fn wait_for(&mut self, node: u32) {
        let after = self.last.into_iter().chain([node]).collect();
        self.last = Some(self.push(Action::Join, after));
    }

    /// The next thing waits for all that goes on; the place where it does.
    pub(crate) fn join(&mut self) -> u32 {
        let after = self.last.into_iter().chain(std::mem::take(&mut self.open)).collect();
        let node = self.push(Action::Join, after);
        self.last = Some(node);
        node
    }
}
