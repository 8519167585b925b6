//! One rank's part of a collective: steps that send, receive and reduce blocks of a buffer, and what each waits for.
//!
//! Algorithms ([`crate::algorithms`]) write steps. A run plays them ([`crate::tasks`]); tests follow the blocks to prove
//! that each rank ends with what it should ([`crate::dataflow`]).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a step does. Ranks are numbers within the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Sends blocks as they are now. Done once posted.
    Send {
        /// Receiver.
        to: u32,
    },
    /// The same, done once acknowledged.
    SendAndWait {
        /// Receiver.
        to: u32,
    },
    /// Receives blocks, in place of what is there.
    Receive {
        /// Sender.
        from: u32,
    },
    /// Receives blocks and adds them to what is there, which takes time.
    Reduce {
        /// Sender.
        from: u32,
    },
}

/// A step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// Tells messages of one sender apart; sender and receiver give it alike.
    pub tag: u32,
    /// Payload.
    pub bytes: u64,
}

/// Blocks of the buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// The first and how many.
    Run(u32, u32),
    /// These.
    List(Vec<u32>),
}

impl Blocks {
    /// One block.
    pub fn one(block: u32) -> Blocks {
        Blocks::Run(block, 1)
    }

    /// The numbers of all of them.
    pub fn numbers(&self) -> Vec<u32> {
        match self {
            Blocks::Run(first, count) => (*first..first + count).collect(),
            Blocks::List(list) => list.clone(),
        }
    }
}

/// How long blocks are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Sizes {
    /// So many bytes in so many blocks, as evenly as whole bytes allow.
    Even {
        /// Bytes in all.
        bytes: u64,
        /// Blocks.
        blocks: u32,
    },
    /// These.
    Each(Arc<[u64]>),
}

impl Sizes {
    /// Bytes of some blocks; at least one, since empty messages are not sent.
    pub fn bytes(&self, blocks: &Blocks) -> u64 {
        let sum = match self {
            Sizes::Even { bytes, blocks: all } => {
                let upto =
                    |block: u32| (u128::from(*bytes) * u128::from(block) / u128::from(*all)) as u64;
                match blocks {
                    Blocks::Run(first, count) => upto(first + count) - upto(*first),
                    Blocks::List(list) => list.iter().map(|b| upto(b + 1) - upto(*b)).sum(),
                }
            }
            Sizes::Each(each) => match blocks {
                Blocks::Run(first, count) => {
                    each[*first as usize..(first + count) as usize].iter().sum()
                }
                Blocks::List(list) => list.iter().map(|b| each[*b as usize]).sum(),
            },
        };
        sum.max(1)
    }
}

/// The steps of a rank.
#[derive(Clone, Debug)]
pub struct Steps {
    sizes: Sizes,
    /// In an order in which each waits for earlier ones only.
    pub steps: Vec<Step>,
    /// What each waits for.
    pub after: Vec<Vec<u32>>,
    /// The blocks of each, if they are to be followed.
    pub blocks: Option<Vec<Blocks>>,
}

impl Steps {
    /// None yet. Blocks are kept only to be `followed`.
    pub fn new(sizes: Sizes, followed: bool) -> Steps {
        let blocks = followed.then(Vec::new);
        Steps { sizes, steps: Vec::new(), after: Vec::new(), blocks }
    }

    fn add(&mut self, action: Action, tag: u32, blocks: Blocks, after: &[u32]) -> u32 {
        let bytes = self.sizes.bytes(&blocks);
        self.steps.push(Step { action, tag, bytes });
        self.after.push(after.to_vec());
        if let Some(kept) = &mut self.blocks {
            kept.push(blocks);
        }
        self.steps.len() as u32 - 1
    }

    /// Sends after some steps; returns the step's number.
    pub fn send(&mut self, to: u32, tag: u32, blocks: Blocks, after: &[u32]) -> u32 {
        self.add(Action::Send { to }, tag, blocks, after)
    }

    /// Sends, and is done when that is acknowledged.
    pub fn send_and_wait(&mut self, to: u32, tag: u32, blocks: Blocks, after: &[u32]) -> u32 {
        self.add(Action::SendAndWait { to }, tag, blocks, after)
    }

    /// Receives. What arrives early waits for the steps before.
    pub fn receive(&mut self, from: u32, tag: u32, blocks: Blocks, after: &[u32]) -> u32 {
        self.add(Action::Receive { from }, tag, blocks, after)
    }

    /// Receives and adds.
    pub fn reduce(&mut self, from: u32, tag: u32, blocks: Blocks, after: &[u32]) -> u32 {
        self.add(Action::Reduce { from }, tag, blocks, after)
    }
}
