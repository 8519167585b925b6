//! Frames within the fabric: their bytes, while their packets are on the way.
//!
//! A packet carries the number of its frame among those of its source. Frames lie in a ring of so many for each source: what
//! is overwritten while its packet is still on the way is lost and counted, and what was dropped in the fabric needs no word. So
//! memory is bounded whatever happens, and what a source's frames become depends on no other source's. Buffers of frames that have
//! arrived are used again at once, while they are in the cache: memory goes with what is on the way, not with what has passed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fabric::ids::HostId;
use fabric::packet::{self, Packet, Phase, flags};
use fabric::units::Time;
use serde::Serialize;
use transports::wire::outer::FCS;

use crate::frame::{KINDS, Kind, Sight};
use crate::leave::{Refusal, rewrite};

/// Frames of a source that may be within the fabric at once.
const FRAMES: usize = 1 << 14;
/// Bytes kept for a frame are a multiple of this.
const STEP: usize = 512;
/// Shortest frame on a wire, frame check sequence included.
const SHORTEST: u16 = 64;

/// What was counted of frames.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FrameCounts {
    /// Taken in from attached hosts, by kind in the order of [`KINDS`].
    #[serde(skip)]
    pub taken: [u64; KINDS.len()],
    /// Handed to attached hosts.
    pub delivered: u64,
    /// Handed over marked.
    pub marked: u64,
    /// Handed over trimmed.
    pub trimmed: u64,
    /// For nobody that is known, or for everybody.
    pub undeliverable: u64,
    /// More than the NIC of an attached host had room for.
    pub dropped_nic: u64,
    /// Time to live was over.
    pub dropped_ttl: u64,
    /// For simulated hosts, and taken in by their stacks.
    pub answered: u64,
    /// Sent by the stacks of simulated hosts.
    pub answers: u64,
    /// For simulated hosts, of a kind that they do not answer, or all if they do not.
    pub unanswered: u64,
    /// Overwritten while on the way.
    pub overwritten: u64,
}

impl FrameCounts {
    /// Names of kinds with what was taken of each.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, u64)> {
        KINDS.into_iter().zip(self.taken)
    }

    /// A frame is not handed on although its packet arrived.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::TimeToLive => self.dropped_ttl += 1,
        }
    }
}

/// A frame that reached an attached host.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When.
    pub at: Time,
    /// The host.
    pub host: HostId,
    /// What the fabric made of its packet.
    pub packet: Packet,
}

/// Says that a packet is a frame's: the last word of its body. Transports of simulated hosts, which are never attached, have
/// smaller numbers there.
const FRAME: u64 = u64::MAX;

/// Whether a packet is a frame's.
pub(crate) fn is_frame(packet: &Packet) -> bool {
    packet.body[4] == FRAME
}

/// A frame's bytes; none once it has arrived.
struct Slot {
    number: u64,
    kind: Kind,
    bytes: Vec<u8>,
}

/// Buffers of frames that are gone.
#[derive(Default)]
struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// Puts a frame's bytes into a buffer, which may be `old`.
    fn fill(&mut self, old: &mut Vec<u8>, bytes: &[u8]) {
        if old.capacity() == 0 {
            *old = self.0.pop().unwrap_or_default();
        }
        old.clear();
        // There are few sizes of them, so that after some rounds none has to grow.
        old.reserve_exact(bytes.len().next_multiple_of(STEP));
        old.extend_from_slice(bytes);
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.0.len() < FRAMES {
            self.0.push(buffer);
        }
    }
}

/// What a host has sent.
#[derive(Default)]
struct Source {
    /// Grows to [`FRAMES`].
    slots: Vec<Slot>,
    /// The number of the next frame.
    next: u64,
    /// Packets that wait for the NIC, and their bytes.
    waiting: VecDeque<(Time, Packet)>,
    queued: u64,
}

impl Source {
    fn keep(&mut self, kind: Kind, bytes: &[u8], spare: &mut Spare) -> u64 {
        let number = self.next;
        self.next += 1;
        let place = number as usize % FRAMES;
        if place == self.slots.len() {
            self.slots.push(Slot { number, kind, bytes: Vec::new() });
        }
        let slot = &mut self.slots[place];
        (slot.number, slot.kind) = (number, kind);
        spare.fill(&mut slot.bytes, bytes);
        number
    }

    /// The place of a frame, unless it was overwritten.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize % FRAMES).filter(|slot| slot.number == number)
    }
}

/// See the module.
pub struct Yard {
    sources: BTreeMap<HostId, Source>,
    spare: Spare,
    /// Frames that have arrived, whose bytes go when deliveries are next collected.
    over: Vec<(HostId, u64)>,
    /// Bytes that may wait at a NIC.
    room: u64,
    pub(crate) delivered: Vec<Delivery>,
    /// What was counted.
    pub counts: FrameCounts,
}

/// The yard that gates and the session share. All run on one thread; the lock is never waited for.
#[derive(Clone)]
pub struct SharedYard(Arc<Mutex<Yard>>);

impl SharedYard {
    /// An empty one; `room` is how many bytes may wait at an attached host's NIC.
    pub fn new(room: u64) -> SharedYard {
        SharedYard(Arc::new(Mutex::new(Yard {
            sources: BTreeMap::new(),
            spare: Spare::default(),
            over: Vec::new(),
            room,
            delivered: Vec::new(),
            counts: FrameCounts::default(),
        })))
    }

    /// The yard itself.
    pub fn lock(&self) -> MutexGuard<'_, Yard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Yard {
    /// Takes in a frame of `src` for `dst` that its NIC has at `at`; false if there is no room.
    pub fn take_in(
        &mut self,
        (at, src, dst): (Time, HostId, HostId),
        bytes: &[u8],
        sight: &Sight,
    ) -> bool {
        let source = self.sources.entry(src).or_default();
        if source.queued + bytes.len() as u64 > self.room {
            self.counts.dropped_nic += 1;
            return false;
        }
        let number = source.keep(sight.kind, bytes, &mut self.spare);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let packet = Packet {
            dst,
            src,
            flow: sight.flow,
            psn: number as u32,
            entropy: sight.entropy,
            bytes: ((bytes.len() + FCS) as u16).max(SHORTEST),
            // Of what is not UET no switch knows how to trim it.
            kind: if sight.kind == Kind::Uet { sight.packet } else { packet::Kind::Foreign },
            class: sight.class,
            flags: flag(sight.ecn_capable, flags::ECN_CAPABLE) | flag(sight.marked, flags::CE),
            phase: Phase::FRESH,
            body: [number, 0, 0, 0, FRAME],
        };
        source.queued += u64::from(packet.bytes);
        source.waiting.push_back((at, packet));
        true
    }

    /// The packet that waits longest at a host's NIC, and when it was there.
    pub(crate) fn first(&self, host: HostId) -> Option<&(Time, Packet)> {
        self.sources.get(&host)?.waiting.front()
    }

    /// Takes that one out.
    pub(crate) fn pop(&mut self, host: HostId) -> Option<Packet> {
        let source = self.sources.get_mut(&host)?;
        let (_, packet) = source.waiting.pop_front()?;
        source.queued -= u64::from(packet.bytes);
        Some(packet)
    }

    /// The kind and bytes of a packet's frame; `None` if they were overwritten.
    pub fn bytes(&mut self, packet: &Packet) -> Option<(Kind, &mut Vec<u8>)> {
        let source = self.sources.get_mut(&packet.src);
        match source.and_then(|source| source.slot(packet.body[0])) {
            Some(slot) => Some((slot.kind, &mut slot.bytes)),
            None => {
                self.counts.overwritten += 1;
                None
            }
        }
    }

    /// The bytes of a packet whose frame is there, as [`Yard::bytes`] has just found.
    pub(crate) fn frame(&self, packet: &Packet) -> &[u8] {
        let source = self.sources.get(&packet.src);
        let slot = source.and_then(|source| source.slots.get(packet.body[0] as usize % FRAMES));
        slot.map_or(&[], |slot| &slot.bytes)
    }

    /// A copy of a packet's frame as it would leave the fabric here, `hops` routers after its start; `None` if it would not, or was
    /// overwritten. What lies here stays as it is.
    pub(crate) fn copy(&mut self, packet: &Packet, hops: u8, into: &mut Vec<u8>) -> Option<Kind> {
        let (kind, bytes) = self.bytes(packet)?;
        into.clear();
        into.extend_from_slice(bytes);
        match rewrite(into, kind, packet, hops) {
            Ok(()) => Some(kind),
            Err(refusal) => {
                self.counts.refuse(refusal);
                None
            }
        }
    }

    /// A simulated host has dealt with a packet's frame.
    pub(crate) fn end(&mut self, packet: &Packet) {
        self.over.push((packet.src, packet.body[0]));
    }

    /// What has reached attached hosts since this was last asked; `into` is filled and was empty. The bytes stay until the next
    /// time: by then they have been handed over, and what was captured of them has been fetched.
    pub fn collect(&mut self, into: &mut Vec<Delivery>) {
        for (host, number) in self.over.drain(..) {
            let source = self.sources.get_mut(&host);
            if let Some(slot) = source.and_then(|source| source.slot(number)) {
                self.spare.give_back(std::mem::take(&mut slot.bytes));
            }
        }
        std::mem::swap(into, &mut self.delivered);
        self.over.extend(into.iter().map(|one| (one.packet.src, one.packet.body[0])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::look;

    /// Of frames that come one after the other a few buffers are kept, however many have passed and whatever
    /// their sizes; those that the fabric has dropped are used again when their place is.
    #[test]
    fn memory_goes_with_what_is_on_the_way() {
        let yard = SharedYard::new(1 << 20);
        let mut yard = yard.lock();
        let (mut seen, mut held) = (Vec::new(), Vec::new());
        let total = 3 * FRAMES as u64;
        for number in 0..total {
            let mut bytes = vec![0; 60 + number as usize * 7 % 1_450];
            bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
            let sight = look(&bytes);
            assert!(yard.take_in((Time(number), HostId(0), HostId(1)), &bytes, &sight));
            let packet = yard.pop(HostId(0)).expect("it waits");
            let is_dropped = number % 100 == 0;
            if !is_dropped {
                yard.delivered.push(Delivery { at: Time(number), host: HostId(1), packet });
            }
            yard.collect(&mut seen);
            for delivery in seen.drain(..) {
                assert_eq!(yard.frame(&delivery.packet), bytes);
            }
            held.push(is_dropped);
        }
        let slots = &yard.sources[&HostId(0)].slots;
        let dropped = held[total as usize - FRAMES..].iter().filter(|one| **one).count();
        let kept = slots.iter().filter(|slot| slot.bytes.capacity() > 0).count();
        // The last one goes with the next turn.
        assert!((dropped..=dropped + 1).contains(&kept), "{kept} of {dropped}");
        assert!(yard.spare.0.len() <= 2, "{}", yard.spare.0.len());
        let largest = slots.iter().map(|slot| slot.bytes.capacity()).max();
        assert!(largest <= Some(3 * STEP), "{largest:?}");
    }
}
