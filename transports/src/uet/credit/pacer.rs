//! The receiver's side of RCCC: one pacer a NIC (`uet-cc.md` §3.2).
//!
//! Contexts with unmet demand stand in the active list and are granted in turn; those whose demand is met
//! stand in the idle list, and get a little beyond their demand when nobody else wants, so that
//! a restart finds credit at hand.

use std::collections::VecDeque;

use fabric::ids::HostId;
use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use super::{QUANTUM, advance, ahead};
use crate::uet::config::RcccOptions;

/// What a target keeps of a sender's congestion control context.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::uet) struct Source {
    pub(in crate::uet) host: HostId,
    /// The sender's number of the context.
    pub(in crate::uet) ccc: u32,
    /// Flow label of what is sent to it.
    pub(in crate::uet) flow: u32,
    /// Cumulative frame bytes accepted, without duplicates and trimmed packets.
    pub(in crate::uet) rcvd_bytes: u64,
    /// Cumulative demand and grant, in quanta.
    target: u32,
    granted: u32,
    active: bool,
    idle: bool,
    /// Round robin of the entropy values of credits.
    entropy: u16,
}

impl Source {
    pub(in crate::uet) fn new(host: HostId, ccc: u32, flow: u32) -> Source {
        Source {
            host,
            ccc,
            flow,
            rcvd_bytes: 0,
            target: 0,
            granted: 0,
            active: false,
            idle: false,
            entropy: 0,
        }
    }
}

/// A credit to send.
#[derive(Clone, Copy, Debug)]
pub(in crate::uet) struct Grant {
    /// The context it goes to: its place among the receiver's.
    pub(in crate::uet) source: u32,
    /// Cumulative credit.
    pub(in crate::uet) granted: u32,
    pub(in crate::uet) entropy: u16,
    /// How long the next one has to wait.
    pub(in crate::uet) pause: Span,
}

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::uet) struct Pacer {
    active: VecDeque<u32>,
    idle: VecDeque<u32>,
    /// A grant has been sent and its time has not passed.
    pub(in crate::uet) running: bool,
    /// Share of the link's rate, in 2⁻¹⁶; zero means all of it.
    throttle: u32,
}

/// Entropy values of credits.
const ENTROPIES: u16 = 128;
/// What a grant of nothing costs, in quanta.
const EMPTY: u32 = 4;

impl Pacer {
    /// Sets the share of the link's rate that is granted.
    pub(in crate::uet) fn throttle(&mut self, share: f64) {
        self.throttle = (share * 65_536.0) as u32;
    }

    /// Takes in a demand; `restart` activates the context even if it is no news (a packet of it was
    /// trimmed, or it asked). True if the pacer has to be started.
    pub(in crate::uet) fn on_demand(
        &mut self,
        sources: &mut [Source],
        source: u32,
        target: u32,
        restart: bool,
    ) -> bool {
        let asked = &mut sources[source as usize];
        let news = ahead(target, asked.target) > 0;
        if news {
            asked.target = target;
        }
        if (news || restart) && !asked.active {
            asked.active = true;
            self.active.push_back(source);
            return !std::mem::replace(&mut self.running, true);
        }
        false
    }

    /// The next grant; `None` when nobody wants or may have more.
    pub(in crate::uet) fn grant(
        &mut self,
        sources: &mut [Source],
        rate: Rate,
        options: &RcccOptions,
    ) -> Option<Grant> {
        let next = match self.active.pop_front() {
            Some(source) => self.grant_active(sources, source, options),
            None => self.grant_idle(sources, options),
        };
        let Some((source, quanta)) = next else {
            self.running = false;
            return None;
        };
        let asked = &mut sources[source as usize];
        asked.entropy = (asked.entropy + 1) % ENTROPIES;
        let cost = if quanta == 0 { EMPTY } else { quanta };
        Some(Grant {
            source,
            granted: asked.granted,
            entropy: asked.entropy,
            pause: self.pause(cost, rate, options),
        })
    }

    /// Up to the demand; a context whose demand is met becomes idle.
    fn grant_active(
        &mut self,
        sources: &mut [Source],
        source: u32,
        options: &RcccOptions,
    ) -> Option<(u32, u32)> {
        let asked = &mut sources[source as usize];
        let quanta = ahead(asked.target, asked.granted).min(options.grant);
        asked.granted = advance(asked.granted, i64::from(quanta));
        if ahead(asked.target, asked.granted) > 0 {
            self.active.push_back(source);
        } else {
            asked.active = false;
            if !asked.idle {
                asked.idle = true;
                self.idle.push_back(source);
            }
        }
        Some((source, quanta))
    }

    /// Beyond the demand, up to a window.
    fn grant_idle(&mut self, sources: &mut [Source], options: &RcccOptions) -> Option<(u32, u32)> {
        let source = self.idle.pop_front()?;
        let asked = &mut sources[source as usize];
        asked.granted = advance(asked.granted, i64::from(options.grant));
        if ahead(asked.granted, asked.target) < options.surplus {
            self.idle.push_back(source);
        } else {
            asked.idle = false;
        }
        Some((source, options.grant))
    }

    /// The time that `quanta` take at the pacer's share of the rate.
    fn pause(&self, quanta: u32, rate: Rate, options: &RcccOptions) -> Span {
        let quantum = rate.time_for(QUANTUM as u64).0 * 100 / u64::from(options.percent);
        match self.throttle {
            0 | 65_536 => Span(quantum * u64::from(quanta)),
            share => Span((quantum << 16) / u64::from(share) * u64::from(quanta)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RcccOptions =
        RcccOptions { grant: 64, surplus: 200, percent: 99, oversubscription: None };

    fn grants(pacer: &mut Pacer, sources: &mut [Source]) -> Vec<(u32, u32)> {
        let rate = Rate::from_gbps(400);
        std::iter::from_fn(|| pacer.grant(sources, rate, &OPTIONS))
            .map(|grant| (grant.source, grant.granted))
            .collect()
    }

    fn sources(count: u32) -> Vec<Source> {
        (0..count).map(|number| Source::new(HostId(number), number, 0)).collect()
    }

    /// Two contexts are granted in turn up to their demand, then each a surplus.
    #[test]
    fn grants_go_round_and_end_with_a_surplus() {
        let (mut pacer, mut sources) = (Pacer::default(), sources(2));
        assert!(pacer.on_demand(&mut sources, 0, 100, false), "starts");
        assert!(!pacer.on_demand(&mut sources, 1, 64, false), "runs already");
        let all = grants(&mut pacer, &mut sources);
        assert_eq!(all[..3], [(0, 64), (1, 64), (0, 100)]);
        assert_eq!(all[3..5], [(1, 128), (0, 164)]);
        assert_eq!(*all.last().unwrap(), (0, 100 + 256), "the first surplus of at least 200");
        assert!(!pacer.running);
    }

    /// A grant of 16 KiB takes 1/0.99 of the time of 16 KiB; one of nothing, that of a kibibyte.
    #[test]
    fn grants_are_paced_below_the_rate() {
        let (mut pacer, mut sources) = (Pacer::default(), sources(1));
        let rate = Rate::from_gbps(400);
        pacer.on_demand(&mut sources, 0, 64, false);
        let pause = pacer.grant(&mut sources, rate, &OPTIONS).unwrap().pause;
        assert_eq!(pause, Span(5_171 * 64));
        pacer.on_demand(&mut sources, 0, 64, true);
        assert_eq!(pacer.grant(&mut sources, rate, &OPTIONS).unwrap().pause, Span(5_171 * 4));
        pacer.throttle(0.5);
        let half = pacer.grant(&mut sources, rate, &OPTIONS).unwrap().pause;
        assert_eq!(half, Span(5_171 * 2 * 64));
    }
}
