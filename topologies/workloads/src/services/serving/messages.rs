//! What accelerators of a service tell each other: messages carry no text, so their numbers say it.

use std::sync::Arc;

use fabric::ids::{HostId, MessageId};
use fabric::program::ProgramCx;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use super::Costs;

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) at: Time,
    pub(super) prompt: u32,
    pub(super) answer: u32,
}

/// What all ranks know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) requests: Arc<[Request]>,
    pub(super) prefill: (u32, u32),
    pub(super) decode: (u32, u32),
    pub(super) costs: Costs,
    pub(super) hosts: Arc<[HostId]>,
}

/// What a message says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Says {
    /// Router to prefill: compute this, for a decode instance.
    Begin { decode: u32 },
    /// Prefill to router: the first token.
    First,
    /// First accelerator of a prefill instance to another: send your share of a chunk to a decode instance.
    Send { decode: u32, chunk: u32, place: u32 },
    /// Keys and values.
    Share { chunk: u32, share: u32 },
    /// Accelerator of a decode instance to its first one: I have a share.
    Have { chunk: u32, share: u32 },
    /// Decode to router: all tokens.
    Done,
}

impl Shared {
    /// Pairs of accelerators between which keys and values go.
    pub(super) fn shares(&self) -> u32 {
        self.prefill.1.max(self.decode.1)
    }

    /// Numbers of messages that a request can have.
    pub(super) fn numbers(&self) -> u64 {
        let (decodes, chunks) = (u64::from(self.decode.0), u64::from(self.costs.chunks));
        let commands = decodes * chunks * u64::from(self.prefill.1);
        decodes + 2 + commands + 2 * chunks * u64::from(self.shares())
    }

    pub(super) fn number(&self, request: u32, says: Says) -> MessageId {
        let (decodes, chunks) = (self.decode.0, self.costs.chunks);
        let (ranks, shares) = (self.prefill.1, self.shares());
        let commands = decodes + 2;
        let after = commands + decodes * chunks * ranks;
        let offset = match says {
            Says::Begin { decode } => decode,
            Says::First => decodes,
            Says::Done => decodes + 1,
            Says::Send { decode, chunk, place } => {
                commands + (decode * chunks + chunk) * ranks + place
            }
            Says::Share { chunk, share } => after + chunk * shares + share,
            Says::Have { chunk, share } => after + (chunks + chunk) * shares + share,
        };
        MessageId((u64::from(request) * self.numbers() + u64::from(offset)) as u32)
    }

    pub(super) fn read(&self, message: MessageId) -> (u32, Says) {
        let (request, offset) =
            (u64::from(message.0) / self.numbers(), u64::from(message.0) % self.numbers());
        let (request, offset) = (request as u32, offset as u32);
        let (decodes, chunks) = (self.decode.0, self.costs.chunks);
        let (ranks, shares) = (self.prefill.1, self.shares());
        let commands = decodes + 2;
        let after = commands + decodes * chunks * ranks;
        let says = match offset {
            decode if decode < decodes => Says::Begin { decode },
            first if first == decodes => Says::First,
            done if done == decodes + 1 => Says::Done,
            command if command < after => {
                let number = command - commands;
                let (both, place) = (number / ranks, number % ranks);
                Says::Send { decode: both / chunks, chunk: both % chunks, place }
            }
            share => {
                let number = share - after;
                let (chunk, share) = (number / shares, number % shares);
                match chunk.checked_sub(chunks) {
                    None => Says::Share { chunk, share },
                    Some(chunk) => Says::Have { chunk, share },
                }
            }
        };
        (request, says)
    }

    pub(super) fn prefill_host(&self, instance: u32, place: u32) -> HostId {
        self.hosts[(1 + instance * self.prefill.1 + place) as usize]
    }

    pub(super) fn decode_host(&self, instance: u32, place: u32) -> HostId {
        let first = 1 + self.prefill.0 * self.prefill.1;
        self.hosts[(first + instance * self.decode.1 + place) as usize]
    }

    /// Bytes of a share of a chunk.
    pub(super) fn share_bytes(&self, request: u32) -> u64 {
        let all = u64::from(self.requests[request as usize].prompt) * self.costs.key_value_bytes;
        (all / u64::from(self.shares() * self.costs.chunks)).max(1)
    }

    /// An accelerator of a prefill instance sends what it has of a chunk.
    pub(super) fn send_shares(&self, cx: &mut ProgramCx<'_>, request: u32, says: Says) {
        let Says::Send { decode, chunk, place } = says else { return };
        for share in (place..self.shares()).step_by(self.prefill.1 as usize) {
            let to = self.decode_host(decode, share % self.decode.1);
            let number = self.number(request, Says::Share { chunk, share });
            cx.post(number, to, self.share_bytes(request));
        }
    }
}
