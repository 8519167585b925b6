//! Where a shard's packets live: written once when they come, moved by index until they leave.
//!
//! Slots are reused last-in-first-out, so that the hot part of the arena is as large as the number
//! of packets in the shard and stays in cache. The arena grows to the high-water mark and never
//! shrinks: after warm-up nothing allocates.

use crate::packet::Packet;
use crate::telemetry::Telemetry;

/// Index of a packet in its shard's arena.
pub(crate) type Slot = u32;

/// A slab of packets.
#[derive(Default)]
pub(crate) struct Arena {
    packets: Vec<Packet>,
    free: Vec<Slot>,
    /// Records of packets, by slot; as long as there is none it is empty.
    telemetry: Vec<Telemetry>,
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

    /// The records of the packet in `slot`.
    pub(crate) fn telemetry(&self, slot: Slot) -> Telemetry {
        self.telemetry.get(slot as usize).copied().unwrap_or_default()
    }

    /// The same, to be changed.
    pub(crate) fn telemetry_mut(&mut self, slot: Slot) -> &mut Telemetry {
        if self.telemetry.len() <= slot as usize {
            self.telemetry.resize(self.packets.len(), Telemetry::default());
        }
        &mut self.telemetry[slot as usize]
    }

    /// Whether any packet had records so far.
    #[inline]
    pub(crate) fn has_telemetry(&self) -> bool {
        !self.telemetry.is_empty()
    }

    /// Packets stored.
    pub(crate) fn live(&self) -> u64 {
        (self.packets.len() - self.free.len()) as u64
    }
}
