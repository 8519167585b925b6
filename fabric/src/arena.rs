//! Where a shard's packets live: written once when they come, moved by index until they leave.
//!
//! Slots are reused last-in-first-out, so that the hot part of the arena is as large as the number
//! of packets in the shard and stays in cache. The arena grows to the high-water mark and never
//! shrinks: after warm-up nothing allocates. It grows by chunks, so that nothing is ever copied and no room is
//! kept that nobody needs.

use serde::{Deserialize, Serialize};

use crate::packet::Packet;
use crate::telemetry::Telemetry;

/// Index of a packet in its shard's arena.
pub(crate) type Slot = u32;

/// Packets of a chunk: 256 KiB.
const CHUNK: usize = 1 << 12;

/// Items by slot, in chunks.
#[derive(Serialize, Deserialize)]
struct Chunks<T>(Vec<Vec<T>>);

impl<T> Chunks<T> {
    /// Adds an item behind all others.
    #[cold]
    fn push(&mut self, item: T) {
        if self.0.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.0.last_mut() {
            chunk.push(item);
        }
    }

    fn len(&self) -> usize {
        let Some((last, full)) = self.0.split_last() else { return 0 };
        full.len() * CHUNK + last.len()
    }

    #[inline]
    fn get(&self, slot: Slot) -> &T {
        &self.0[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    #[inline]
    fn get_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.0[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Chunks<T> {
        Chunks(Vec::new())
    }
}

/// A slab of packets.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Arena {
    packets: Chunks<Packet>,
    free: Vec<Slot>,
    /// Records of packets, by slot; as long as there is none it is empty.
    telemetry: Chunks<Telemetry>,
}

impl Arena {
    /// Stores a packet.
    #[inline]
    pub(crate) fn insert(&mut self, packet: &Packet) -> Slot {
        if let Some(slot) = self.free.pop() {
            *self.packets.get_mut(slot) = *packet;
            slot
        } else {
            self.packets.push(*packet);
            (self.packets.len() - 1) as Slot
        }
    }

    /// Takes a packet out; its slot is free again.
    #[inline]
    pub(crate) fn take(&mut self, slot: Slot) -> Packet {
        self.free.push(slot);
        *self.packets.get(slot)
    }

    /// The packet in `slot`, which stays there.
    pub(crate) fn get(&self, slot: Slot) -> &Packet {
        self.packets.get(slot)
    }

    /// One word of the packet in `slot`; reading it brings the packet into the cache.
    #[inline]
    pub(crate) fn peek(&self, slot: Slot) -> u32 {
        self.packets.get(slot).psn
    }

    /// The records of the packet in `slot`.
    pub(crate) fn telemetry(&self, slot: Slot) -> Telemetry {
        if self.telemetry.len() <= slot as usize {
            return Telemetry::default();
        }
        *self.telemetry.get(slot)
    }

    /// The same, to be changed.
    pub(crate) fn telemetry_mut(&mut self, slot: Slot) -> &mut Telemetry {
        while self.telemetry.len() <= slot as usize {
            self.telemetry.push(Telemetry::default());
        }
        self.telemetry.get_mut(slot)
    }

    /// Whether any packet had records so far.
    #[inline]
    pub(crate) fn has_telemetry(&self) -> bool {
        !self.telemetry.0.is_empty()
    }

    /// Packets stored.
    pub(crate) fn live(&self) -> u64 {
        (self.packets.len() - self.free.len()) as u64
    }
}
