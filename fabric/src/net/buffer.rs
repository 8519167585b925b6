//! The memory management unit of a shared-buffer switch: ingress accounting, dynamic threshold,
//! headroom, pause and resume (`roce-dcqcn.md` §4).

use serde::{Deserialize, Serialize};

use crate::config::{FabricConfig, SharedBuffer};
use crate::packet::CLASSES;
use crate::units::{Rate, Span};

/// Accounting of one ingress port and class.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    /// Bytes in reserve and shared pool.
    ingress: u64,
    /// Bytes in headroom.
    headroom: u64,
    paused: bool,
}

/// What a port contributes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PortShare {
    headroom: u64,
    shift: u32,
    accounts: [Account; CLASSES],
}

/// The buffer of one switch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mmu {
    /// Bytes that are neither reserve nor headroom.
    pool: u64,
    shared_used: u64,
    reserve: u64,
    resume_offset: u64,
    ports: Vec<PortShare>,
}

/// Headroom of a port: what can still arrive after the pause was decided.
pub(crate) fn headroom(config: &SharedBuffer, rate: Rate, latency: Span) -> u64 {
    config.headroom_bdps * rate.bytes_in(latency) + config.headroom_bytes
}

impl Mmu {
    /// A buffer for ports of the given rates and link latencies; `Err` with the bytes set aside when
    /// those exceed the buffer.
    pub(crate) fn new(
        fabric: &FabricConfig,
        config: &SharedBuffer,
        ports: &[(Rate, Span)],
    ) -> Result<Mmu, u64> {
        let shares: Vec<PortShare> = ports
            .iter()
            .map(|&(rate, latency)| PortShare {
                headroom: headroom(config, rate, latency),
                shift: shift(config.alpha_shift, rate, fabric.reference_rate),
                accounts: [Account::default(); CLASSES],
            })
            .collect();
        let aside = shares.iter().map(|share| share.headroom).sum::<u64>()
            + config.reserve * ports.len() as u64;
        let pool = config.bytes.checked_sub(aside).filter(|pool| *pool > 0).ok_or(aside)?;
        Ok(Mmu {
            pool,
            shared_used: 0,
            reserve: config.reserve,
            resume_offset: config.resume_offset,
            ports: shares,
        })
    }

    fn threshold(&self, port: usize) -> u64 {
        (self.pool - self.shared_used.min(self.pool)) >> self.ports[port].shift
    }

    /// Takes in a packet, or refuses it when neither pool nor headroom has room.
    pub(crate) fn admit(&mut self, port: usize, class: usize, bytes: u64) -> bool {
        let threshold = self.threshold(port);
        let reserve = self.reserve;
        let share = &mut self.ports[port];
        let account = &mut share.accounts[class];
        let new = account.ingress + bytes;
        let over = new.saturating_sub(reserve);
        if over > threshold {
            if account.headroom + bytes > share.headroom {
                return false;
            }
            account.headroom += bytes;
        } else {
            account.ingress = new;
            self.shared_used += bytes.min(over);
        }
        true
    }

    /// Gives back the room of a packet that left: headroom first, then pool, then reserve.
    pub(crate) fn release(&mut self, port: usize, class: usize, bytes: u64) {
        let account = &mut self.ports[port].accounts[class];
        let from_headroom = account.headroom.min(bytes);
        account.headroom -= from_headroom;
        let rest = bytes - from_headroom;
        let from_shared = account.ingress.saturating_sub(self.reserve).min(rest);
        self.shared_used -= from_shared;
        account.ingress -= rest;
    }

    /// Whether the upstream of this port and class has to be paused now; remembers that it is.
    pub(crate) fn must_pause(&mut self, port: usize, class: usize) -> bool {
        let threshold = self.threshold(port);
        let reserve = self.reserve;
        let account = &mut self.ports[port].accounts[class];
        let shared = account.ingress.saturating_sub(reserve);
        let pause = !account.paused && (account.headroom > 0 || shared >= threshold);
        account.paused |= pause;
        pause
    }

    /// Whether the upstream of this port and class may go on; remembers that it does.
    pub(crate) fn may_resume(&mut self, port: usize, class: usize) -> bool {
        let threshold = self.threshold(port);
        let (reserve, offset) = (self.reserve, self.resume_offset);
        let account = &mut self.ports[port].accounts[class];
        let shared = account.ingress.saturating_sub(reserve);
        let resume = account.paused
            && account.headroom == 0
            && (shared == 0 || shared + offset <= threshold);
        account.paused &= !resume;
        resume
    }

    /// Bytes accounted for in all classes of all ports.
    pub(crate) fn used(&self) -> u64 {
        let accounts = self.ports.iter().flat_map(|share| &share.accounts);
        accounts.map(|account| account.ingress + account.headroom).sum()
    }
}

/// The shift of a port's dynamic threshold: one less for each doubling of its rate over the NICs'.
fn shift(shift: u32, rate: Rate, reference: Rate) -> u32 {
    let (mut shift, mut rate) = (shift, rate.bits_per_second());
    while shift > 0 && rate >= 2 * reference.bits_per_second() {
        rate /= 2;
        shift -= 1;
    }
    shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Buffer, Routing};

    fn mmu(bytes: u64) -> Result<Mmu, u64> {
        let rate = Rate::from_gbps(100);
        let shared = SharedBuffer {
            top_tier_bytes: None,
            bytes,
            reserve: 4_096,
            headroom_bdps: 3,
            headroom_bytes: 0,
            alpha_shift: 3,
            resume_offset: 3_072,
            watchdog: None,
        };
        let fabric = FabricConfig {
            reference_rate: rate,
            classes: Vec::new(),
            host_facing: None,
            buffer: Buffer::Shared(shared),
            frame_overhead: 0,
            host_latency: Span::ZERO,
            pfc_bytes: 64,
            link: Default::default(),
            routing: Routing::default(),
            telemetry: None,
        };
        Mmu::new(&fabric, &shared, &[(rate, Span::from_micros(1)); 4])
    }

    /// Headroom is three one-way bandwidth-delay products: 37,500 B at 100 Gb/s and 1 us.
    #[test]
    fn headroom_and_reserve_are_set_aside() {
        assert_eq!(mmu(100_000).unwrap_err(), 4 * (37_500 + 4_096));
        assert_eq!(mmu(1_000_000).unwrap().pool, 1_000_000 - 4 * (37_500 + 4_096));
    }

    /// Bytes fill reserve, then the pool up to an eighth of what is left, then headroom, then none.
    #[test]
    fn a_class_fills_reserve_pool_and_headroom() {
        let mut mmu = mmu(1_000_000).unwrap();
        let mut admitted = 0u64;
        let mut paused_at = 0u64;
        while mmu.admit(0, 1, 1_000) {
            admitted += 1_000;
            if mmu.must_pause(0, 1) {
                paused_at = admitted;
            }
        }
        // x = (P - x) / 8, so the pool gives a ninth.
        let pool_share = mmu.pool / 9;
        assert!(paused_at.abs_diff(4_096 + pool_share) <= 2_000, "{paused_at}");
        assert!(admitted.abs_diff(4_096 + pool_share + 37_500) <= 2_000, "{admitted}");
        assert_eq!(mmu.used(), admitted);
    }

    /// What was admitted can be released to nothing, and resume comes below the threshold.
    #[test]
    fn release_undoes_admission_and_resumes() {
        let mut mmu = mmu(1_000_000).unwrap();
        let mut packets = 0;
        while !mmu.must_pause(0, 1) {
            assert!(mmu.admit(0, 1, 1_000));
            packets += 1;
        }
        let mut resumed = None;
        for left in (0..packets).rev() {
            mmu.release(0, 1, 1_000);
            if mmu.may_resume(0, 1) {
                resumed = Some(packets - left);
            }
        }
        assert!(matches!(resumed, Some(2..=8)), "{resumed:?}");
        assert_eq!((mmu.used(), mmu.shared_used), (0, 0));
    }
}
