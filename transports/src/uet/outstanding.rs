//! The packets a sender has sent and not seen acknowledged: a ring by PSN that grows with the window.

use std::collections::BTreeSet;

use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::uet::config::UetConfig;

/// What a sender remembers of a packet: 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) sent_at: Time,
    /// Frame bytes.
    pub(super) bytes: u16,
    /// EV of the last transmission.
    pub(super) entropy: u16,
    /// Retransmissions so far.
    pub(super) tries: u8,
    /// Of these, after a timeout.
    pub(super) timeouts: u8,
}

const _: () = assert!(size_of::<Record>() == 16, "four records a cache line");

/// See the module. A packet of the window `[cack, next)` is in flight, or lost and waiting to be sent
/// again, or acknowledged above a hole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outstanding {
    /// Everything below is acknowledged.
    cack: u32,
    /// Next new PSN.
    next: u32,
    /// Empty until the first packet; then a power of two.
    records: Vec<Record>,
    flying: RingBits,
    lost: RingBits,
    lost_count: u32,
    /// Where there are requests that only their response acknowledges.
    responses: Option<Box<Responses>>,
}

/// What a sender knows of guaranteed responses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Responses {
    /// Requests whose response has not come.
    awaited: BTreeSet<u32>,
    /// Above the last request whose response has come.
    answered: u32,
    /// The target has been told to forget responses below this.
    cleared: u32,
}

impl Outstanding {
    /// A window that begins at PSN `start`.
    pub(super) fn new(start: u32) -> Outstanding {
        Outstanding { cack: start, next: start, ..Outstanding::default() }
    }

    /// Gives away the memory of a window in which nothing is outstanding.
    pub(super) fn shrink(&mut self) -> Outstanding {
        let responses = self.responses.take();
        std::mem::replace(self, Outstanding { responses, ..Outstanding::new(self.next) })
    }

    /// The longest window that there is room for.
    pub(super) fn room(&self) -> usize {
        self.records.len()
    }

    /// The window in its place begins at PSN `start`. Nothing is outstanding, so all bits are clear.
    pub(super) fn begun(self, start: u32) -> Outstanding {
        Outstanding { cack: start, next: start, ..self }
    }

    /// Everything below this PSN is acknowledged.
    #[inline]
    pub(super) fn cack(&self) -> u32 {
        self.cack
    }

    /// The next new PSN.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Packets from the first that is not acknowledged to the last sent.
    #[inline]
    pub(super) fn span(&self) -> u32 {
        self.next - self.cack
    }

    #[inline]
    fn place(&self, psn: u32) -> usize {
        psn as usize & (self.records.len() - 1)
    }

    /// What is remembered of `psn`, if it is in flight.
    #[inline]
    pub(super) fn in_flight(&self, psn: u32) -> Option<Record> {
        let flying = (self.cack..self.next).contains(&psn) && self.flying.get(psn);
        flying.then(|| self.records[self.place(psn)])
    }

    /// The lowest lost packet and its frame bytes.
    #[inline]
    pub(super) fn first_lost(&self) -> Option<(u32, u16)> {
        if self.lost_count == 0 { None } else { Some(self.lowest_lost()) }
    }

    #[cold]
    fn lowest_lost(&self) -> (u32, u16) {
        let psn =
            self.lost.first_set(self.cack, self.next).expect("lost packets are in the window");
        (psn, self.records[self.place(psn)].bytes)
    }

    /// Enters a new packet; returns its PSN.
    #[inline]
    pub(super) fn send(&mut self, now: Time, bytes: u16, entropy: u16) -> u32 {
        if self.span() as usize == self.records.len() {
            self.grow();
        }
        let psn = self.next;
        let place = self.place(psn);
        self.records[place] = Record { sent_at: now, bytes, entropy, tries: 0, timeouts: 0 };
        self.flying.set(psn);
        self.next += 1;
        psn
    }

    /// Enters that the lost packet `psn` is sent again; returns what is now remembered of it.
    pub(super) fn send_again(&mut self, psn: u32, now: Time, entropy: u16) -> Record {
        debug_assert!(self.lost.get(psn) && !self.flying.get(psn), "packet {psn} is not lost");
        self.lost.clear(psn);
        self.lost_count -= 1;
        self.flying.set(psn);
        let place = self.place(psn);
        let record = &mut self.records[place];
        *record =
            Record { sent_at: now, entropy, tries: record.tries.saturating_add(1), ..*record };
        *record
    }

    /// Counts a timeout of `psn`.
    pub(super) fn note_timeout(&mut self, psn: u32) {
        let place = self.place(psn);
        let record = &mut self.records[place];
        record.timeouts = record.timeouts.saturating_add(1);
    }

    /// Takes `psn`, which is in flight, for lost.
    pub(super) fn lose(&mut self, psn: u32) {
        debug_assert!(self.flying.get(psn), "packet {psn} is not in flight");
        self.flying.clear(psn);
        self.lost.set(psn);
        self.lost_count += 1;
    }

    /// Everything below `cack` has arrived. Returns the bytes of what was wrongly taken for lost.
    #[inline]
    pub(super) fn acknowledge_below(&mut self, cack: u32) -> u64 {
        debug_assert!(cack <= self.next, "acknowledged up to {cack}, sent up to {}", self.next);
        if cack <= self.cack {
            return 0;
        }
        if self.responses.is_some() {
            return self.acknowledge_but_awaited(cack);
        }
        self.flying.clear_range(self.cack, cack);
        let mut found = 0;
        if self.lost_count > 0 {
            while let Some(psn) = self.lost.first_set(self.cack, cack) {
                found += self.recover(psn);
            }
        }
        self.cack = cack;
        found
    }

    /// Those of the 64 packets from `base` on that are set in `sack` have arrived. Returns the bytes of
    /// what was wrongly taken for lost.
    #[inline]
    pub(super) fn acknowledge_run(&mut self, base: u32, sack: u64) -> u64 {
        let mut sack = sack & self.window_from(base);
        if let Some(responses) = &self.responses {
            for psn in responses.awaited.range(base..base.saturating_add(64)) {
                sack &= !(1 << (psn - base));
            }
        }
        if sack == 0 {
            return 0;
        }
        self.flying.clear_run(base, sack);
        let mut found = 0;
        if self.lost_count > 0 {
            let mut lost = sack & self.lost.run(base);
            while lost != 0 {
                found += self.recover(base + lost.trailing_zeros());
                lost &= lost - 1;
            }
        }
        found
    }

    /// [`Outstanding::acknowledge_below`] where some of the packets wait for their response.
    #[cold]
    fn acknowledge_but_awaited(&mut self, cack: u32) -> u64 {
        let mut found = 0;
        for psn in self.cack..cack {
            if self.responses.as_ref().is_some_and(|known| known.awaited.contains(&psn)) {
                continue;
            }
            self.flying.clear(psn);
            if self.lost.get(psn) {
                found += self.recover(psn);
            }
        }
        self.advance();
        found
    }

    /// Only the response to `psn`, which was just sent, acknowledges it.
    pub(super) fn await_response(&mut self, psn: u32) {
        let responses = self.responses.get_or_insert_default();
        responses.awaited.insert(psn);
    }

    /// The response to `psn` is there: the bytes of what was wrongly taken for lost, or `None` if it is not
    /// waited for (any more).
    pub(super) fn answer(&mut self, psn: u32) -> Option<u64> {
        let responses = self.responses.as_mut()?;
        if !responses.awaited.remove(&psn) {
            return None;
        }
        responses.answered = responses.answered.max(psn + 1);
        self.flying.clear(psn);
        let found = if self.lost.get(psn) { self.recover(psn) } else { 0 };
        self.advance();
        Some(found)
    }

    /// The target keeps responses that have come and that nothing has cleared.
    pub(super) fn owes_clear(&self) -> bool {
        self.responses.as_ref().is_some_and(|known| known.answered > known.cleared)
    }

    /// Notes that the target is told what it need not keep: everything below the PSN returned.
    #[inline]
    pub(super) fn tell_clear(&mut self) -> u32 {
        if let Some(responses) = &mut self.responses {
            responses.cleared = self.cack;
        }
        self.cack
    }

    /// A bit for each of the 64 packets from `base` on that is in the window. The ring has other packets
    /// in the places of those that are not.
    fn window_from(&self, base: u32) -> u64 {
        let below = self.cack.saturating_sub(base);
        let above = self.next.saturating_sub(base);
        if below >= 64 || above == 0 {
            return 0;
        }
        (u64::MAX << below) & (u64::MAX >> (64 - above.min(64)))
    }

    /// The lost packet `psn` has arrived after all.
    fn recover(&mut self, psn: u32) -> u64 {
        self.lost.clear(psn);
        self.lost_count -= 1;
        u64::from(self.records[self.place(psn)].bytes)
    }

    /// Everything below the first packet that is in flight or lost has been acknowledged one by one (RUDI,
    /// which has no cumulative acknowledgement; responses).
    pub(super) fn advance(&mut self) {
        let flying = self.flying.first_set(self.cack, self.next).unwrap_or(self.next);
        let lost = match self.lost_count {
            0 => self.next,
            _ => self.lost.first_set(self.cack, self.next).unwrap_or(self.next),
        };
        self.cack = flying.min(lost);
    }

    /// Takes everything in flight from `psn` on for lost (go-back-N). Returns the bytes.
    pub(super) fn lose_from(&mut self, psn: u32) -> u64 {
        let mut bytes = 0;
        let mut next = self.flying.first_set(psn.max(self.cack), self.next);
        while let Some(psn) = next {
            bytes += u64::from(self.records[self.place(psn)].bytes);
            self.lose(psn);
            next = self.flying.first_set(psn + 1, self.next);
        }
        bytes
    }

    /// Packets lost and not sent again yet.
    #[inline]
    pub(super) fn lost(&self) -> u32 {
        self.lost_count
    }

    /// Nothing is in flight.
    pub(super) fn is_quiet(&self) -> bool {
        self.flying.first_set(self.cack, self.next).is_none()
    }

    /// Bytes in flight and bytes lost: what a context that is given up leaves behind.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let sum = |bits: &RingBits| {
            let mut sum = 0;
            let mut next = bits.first_set(self.cack, self.next);
            while let Some(psn) = next {
                sum += u64::from(self.records[self.place(psn)].bytes);
                next = bits.first_set(psn + 1, self.next);
            }
            sum
        };
        (sum(&self.flying), sum(&self.lost))
    }

    /// The packet in flight that times out first, and when.
    pub(super) fn first_due(&self, config: &UetConfig) -> Option<(Time, u32)> {
        let mut first: Option<(Time, u32)> = None;
        let mut next = self.flying.first_set(self.cack, self.next);
        while let Some(psn) = next {
            let record = self.records[self.place(psn)];
            let due = (record.sent_at + config.timeout_after(record.timeouts), psn);
            first = Some(first.map_or(due, |known| known.min(due)));
            next = self.flying.first_set(psn + 1, self.next);
        }
        first
    }

    fn grow(&mut self) {
        let old = self.records.len();
        let wide = (old * 2).max(64);
        let mut records = vec![Record::default(); wide];
        for psn in self.cack..self.next {
            records[psn as usize & (wide - 1)] = self.records[self.place(psn)];
        }
        self.records = records;
        self.flying = self.flying.doubled(self.cack);
        self.lost = self.lost.doubled(self.cack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::units::{Rate, Span};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// What may happen to a window; numbers are reduced to fit it.
    #[derive(Clone, Debug)]
    enum Step {
        Send,
        Lose(u32),
        SendAgain,
        Below(u32),
        Run(u32, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Send),
            2 => any::<u32>().prop_map(Step::Lose),
            1 => Just(Step::SendAgain),
            1 => any::<u32>().prop_map(Step::Below),
            1 => (any::<u32>(), any::<u64>()).prop_map(|(base, sack)| Step::Run(base, sack)),
        ]
    }

    /// The same window as sets of numbers.
    #[derive(Default)]
    struct Model {
        cack: u32,
        next: u32,
        flying: BTreeMap<u32, u64>,
        lost: BTreeSet<u32>,
    }

    impl Model {
        /// Takes out what has arrived; returns how many of it were lost.
        fn arrive(&mut self, arrived: impl Fn(u32) -> bool) -> u64 {
            let lost = self.lost.len();
            self.flying.retain(|psn, _| !arrived(*psn));
            self.lost.retain(|psn| !arrived(*psn));
            (lost - self.lost.len()) as u64
        }

        fn act(&mut self, step: &Step, now: u64, real: &mut Outstanding) {
            let at = Time(now);
            match *step {
                Step::Send => {
                    assert_eq!(real.send(at, 100, 7), self.next);
                    self.flying.insert(self.next, now);
                    self.next += 1;
                }
                Step::Lose(pick) => {
                    let place = pick as usize % self.flying.len().max(1);
                    if let Some(psn) = self.flying.keys().nth(place).copied() {
                        self.flying.remove(&psn);
                        self.lost.insert(psn);
                        real.lose(psn);
                    }
                }
                Step::SendAgain => {
                    assert_eq!(real.first_lost().map(|found| found.0), self.lost.first().copied());
                    if let Some(psn) = self.lost.pop_first() {
                        self.flying.insert(psn, now);
                        assert_eq!(real.send_again(psn, at, 8).sent_at, at);
                    }
                }
                Step::Below(pick) => {
                    let cack = self.cack + pick % (self.next - self.cack + 1);
                    let found = self.arrive(|psn| psn < cack);
                    self.cack = cack;
                    assert_eq!(real.acknowledge_below(cack), found * 100);
                }
                Step::Run(pick, sack) => {
                    let base = self.cack.saturating_sub(70) + pick % (self.next - self.cack + 140);
                    let found = self.arrive(|psn| {
                        psn >= base && psn - base < 64 && sack >> (psn - base) & 1 != 0
                    });
                    assert_eq!(real.acknowledge_run(base, sack), found * 100);
                }
            }
        }
    }

    proptest! {
        /// Whatever is sent, lost and acknowledged, the ring agrees with sets of numbers.
        #[test]
        fn the_ring_agrees_with_sets(steps in proptest::collection::vec(step(), 0..600)) {
            let config = UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 0);
            let (mut real, mut model) = (Outstanding::default(), Model::default());
            for (now, step) in steps.iter().enumerate() {
                model.act(step, now as u64, &mut real);
                let due = model.flying.iter().map(|(psn, sent)| (Time(*sent) + config.rto, *psn)).min();
                prop_assert_eq!(real.first_due(&config), due);
                prop_assert_eq!(real.first_lost().map(|found| found.0), model.lost.first().copied());
                for psn in model.cack..model.next {
                    let sent = real.in_flight(psn).map(|record| record.sent_at.0);
                    prop_assert_eq!(sent, model.flying.get(&psn).copied());
                }
            }
        }
    }
}
