//! Where a shard's packets live: written once when they come, moved by index until they leave.
//!
//! Slots are reused last-in-first-out, so that the hot part of the arena is as large as the number
//! of packets in the shard and stays in cache. The arena grows to the high-water mark and never
//! shrinks: after warm-up nothing allocates.

use crate::packet::Packet;

/// Index of a packet in its shard's arena.
pub(crate) type Slot = u32;

/// A slab of packets.
#[derive(Default)]
pub(crate) struct Arena {
    packets: Vec<Packet>,
    free: Vec<Slot>,
}

impl Arena {
    /// Stores a packet.
    #[inline]
    pub(crate) fn insert(&mut self, packet: Packet) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.packets[slot as usize] = packet;
            slot
        } else {
            self.packets.push(packet);
            (self.packets.len() - 1) as Slot
        }
    }

    /// Takes a packet out; its slot is free again.
    #[inline]
    pub(crate) fn take(&mut self, slot: Slot) -> Packet {
        self.free.push(slot);
        self.packets[slot as usize]
    }

    /// The packet in `slot`, which stays there.
    pub(crate) fn get(&self, slot: Slot) -> &Packet {
        &self.packets[slot as usize]
    }

    /// One word of the packet in `slot`; reading it brings the packet into the cache.
    #[inline]
    pub(crate) fn peek(&self, slot: Slot) -> u32 {
        self.packets[slot as usize].psn
    }

    /// Packets stored.
    pub(crate) fn live(&self) -> u64 {
        (self.packets.len() - self.free.len()) as u64
    }
}
