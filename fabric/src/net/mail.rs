//! Packets on their way to another shard: as they are, or as words to another process.

use crate::packet::{PACKET_WORDS, Packet};
use crate::telemetry::{TELEMETRY_WORDS, Telemetry};
use crate::units::Time;

/// Packets on their way to another shard.
#[derive(Default)]
pub(crate) struct Mail {
    /// Arrival, and port of the receiving shard.
    pub(crate) stamps: Vec<(Time, u32)>,
    pub(crate) packets: Vec<Packet>,
    /// Records of each packet, or nothing.
    pub(crate) telemetry: Vec<Telemetry>,
}

/// Words before the packets: the shard, and how many packets and records there are.
const HEAD: usize = 3;

/// Words of a stamp and a packet.
const EACH: usize = 2 + PACKET_WORDS;

impl Mail {
    pub(crate) fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// When the first of the packets arrives.
    pub(crate) fn earliest(&self) -> Time {
        self.stamps.iter().map(|(at, _)| *at).min().unwrap_or(Time::NEVER)
    }

    /// Adds a packet, with its records where the fabric has telemetry.
    #[inline]
    pub(crate) fn push(
        &mut self,
        at: Time,
        port: u32,
        packet: Packet,
        telemetry: Option<Telemetry>,
    ) {
        if let Some(telemetry) = telemetry {
            // What was sent before the first record has none.
            self.telemetry.resize(self.packets.len(), Telemetry::default());
            self.telemetry.push(telemetry);
        }
        self.stamps.push((at, port));
        self.packets.push(packet);
    }

    /// Moves all of it behind `words`, addressed to `shard`.
    pub(crate) fn write(&mut self, shard: u64, words: &mut Vec<u64>) {
        let (packets, records) = (self.packets.len(), self.telemetry.len());
        words.reserve(HEAD + packets * EACH + records * TELEMETRY_WORDS);
        words.extend([shard, packets as u64, records as u64]);
        for ((at, port), packet) in self.stamps.drain(..).zip(self.packets.drain(..)) {
            words.extend([at.0, u64::from(port)]);
            words.extend(packet.to_words());
        }
        for telemetry in self.telemetry.drain(..) {
            words.extend(telemetry.to_words());
        }
    }

    /// Shard and length of the mail that `words` begins with.
    pub(crate) fn first(words: &[u64]) -> Option<(u64, usize)> {
        let [shard, packets, records, ..] = *words else { return None };
        let length = HEAD + packets as usize * EACH + records as usize * TELEMETRY_WORDS;
        Some((shard, length))
    }

    /// Hands out the packets of one mail in words (see [`Mail::first`]), with arrival, port and records.
    #[inline]
    pub(crate) fn each(words: &[u64], mut take: impl FnMut(Time, u32, &Packet, Option<Telemetry>)) {
        let (packets, records) = words[HEAD..].split_at(words[1] as usize * EACH);
        let mut records = records.chunks_exact(TELEMETRY_WORDS).map(Telemetry::from_words);
        for entry in packets.chunks_exact(EACH) {
            let packet = Packet::from_words(&entry[2..]);
            take(Time(entry[0]), entry[1] as u32, &packet, records.next());
        }
    }
}
