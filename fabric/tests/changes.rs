//! Changes of a run while it is on.

#[allow(dead_code, reason = "each file of tests uses its part")]
mod common;

use common::{Case, FRAME, config, leaf_spine};
use fabric::changes::Changes;
use fabric::config::{FabricConfig, Overflow, Routing};
use fabric::engine::Progress;
use fabric::engine::ranks::Alone;
use fabric::fault::{Change, Direction, Fault, SwitchFault};
use fabric::ids::{LinkId, NodeId};
use fabric::probe::RunRecord;
use fabric::run::Until;
use fabric::units::{Ratio, Span, Time};

/// Every host sends to the one on the other side, over two spines; switches learn of dead links after 5 us.
fn case() -> Case {
    let routing = Routing { convergence: Some(Span::from_micros(5)), ..Routing::default() };
    let config = FabricConfig { routing, ..config(1 << 18, Overflow::TailDrop) };
    let case = Case::new(leaf_spine(2, 4, 2), config);
    (0..8).fold(case, |case, host| case.send(host, (host + 4) % 8, 1_500 * FRAME))
}

fn fault(micros: u64, link: u32, direction: Direction, change: Change) -> Fault {
    Fault { at: Time(micros * 1_000_000), link: LinkId(link), direction, change }
}

/// Links down and up, slower with and without their queues, with losses of each kind; simultaneous ones too.
fn faults() -> Vec<Fault> {
    use Direction::{Both, Down, Up};
    let slow = |queues| Change::Rate { ratio: Ratio::new(1, 3), queues };
    vec![
        fault(2, 8, Both, Change::Down),
        fault(4, 2, Both, Change::DropRandom(Ratio::new(1, 50))),
        fault(5, 9, Up, slow(false)),
        fault(7, 10, Down, Change::Down),
        fault(7, 8, Both, Change::Up),
        fault(11, 11, Both, slow(true)),
        fault(12, 3, Down, Change::DropPeriodic(40)),
        fault(15, 10, Down, Change::Up),
    ]
}

fn switches() -> Vec<SwitchFault> {
    let at = |micros: u64, up| SwitchFault { at: Time(micros * 1_000_000), switch: NodeId(10), up };
    vec![at(15, false), at(24, true)]
}

/// Runs a case to its end and lets its changes happen at their times; each is given only `ahead` of it.
fn run(
    case: &Case,
    shards: u32,
    faults: &[Fault],
    switches: &[SwitchFault],
    ahead: Span,
) -> RunRecord {
    let mut run = case.assemble(shards).expect("it assembles");
    let mut changes = Changes::new(&run, &case.graph, &case.config, case.seed);
    let progress = Progress::default();
    let given = |at: Time| Time(at.0.saturating_sub(ahead.0));
    let mut moments: Vec<Time> = faults.iter().map(|fault| given(fault.at)).collect();
    moments.extend(switches.iter().map(|fault| given(fault.at)));
    moments.sort_unstable();
    moments.dedup();
    let mut moments = moments.into_iter().peekable();
    loop {
        let next = moments.peek().copied().unwrap_or(Time::NEVER);
        let stop = next.min(changes.next());
        if stop == Time::NEVER {
            break;
        }
        run.proceed(1, Until::end(Time(stop.0.saturating_sub(1))), &progress, &Alone);
        if next == stop {
            moments.next();
            faults.iter().filter(|f| given(f.at) == stop).for_each(|fault| changes.add(*fault));
            let own = switches.iter().filter(|fault| given(fault.at) == stop);
            own.for_each(|fault| changes.add_switch(*fault));
        }
        if changes.next() <= stop {
            changes.apply(&mut run, stop);
        }
    }
    run.proceed(1, Until::end(Time(1 << 50)), &progress, &Alone);
    run.finish(&Alone).expect("a record")
}

/// What is given while the run goes on is what was planned, to the bit, however early it is given.
#[test]
fn changes_are_faults_that_were_not_planned() {
    let planned = Case { faults: faults(), switch_faults: switches(), ..case() };
    let planned = planned.run(1, 1);
    for counter in ["dropped_link_down", "dropped_injected"] {
        let entries = planned.ports.iter().flat_map(|port| port.counters.entries());
        let sum: u64 = entries.filter(|(name, _)| *name == counter).map(|(_, value)| value).sum();
        assert!(sum > 0, "{counter}");
    }
    for (shards, ahead) in [(1, 0), (3, 0), (1, 1), (1, 100)] {
        let given = run(&case(), shards, &faults(), &switches(), Span::from_micros(ahead));
        assert_eq!(given.digest, planned.digest, "{shards} shards, given {ahead} us before");
    }
}

/// When the last byte of a message over one leaf arrives whose links become longer or shorter at 20 us.
fn lengthened(delay: Span) -> (Time, RunRecord) {
    let case = Case::new(leaf_spine(1, 2, 1), config(1 << 30, Overflow::TailDrop));
    let case = case.send(0, 1, 1_500 * FRAME);
    let mut run = case.assemble(1).expect("it assembles");
    let mut changes = Changes::new(&run, &case.graph, &case.config, case.seed);
    let now = Time(20_000_000);
    // Links of 1 us become 3 us long at first.
    changes.set_delay(&mut run, (LinkId(1), Span::from_micros(3)), Time::ZERO).expect("longer");
    run.proceed(1, Until::end(Time(now.0 - 1)), &Progress::default(), &Alone);
    changes.set_delay(&mut run, (LinkId(1), delay), now).expect("not too short");
    assert_eq!(changes.port(&run, LinkId(1), true).delay, delay);
    run.proceed(1, Until::end(Time(1 << 50)), &Progress::default(), &Alone);
    let record = run.finish(&Alone).expect("a record");
    (record.messages[0].received, record)
}

/// A link that becomes shorter while packets are on it delivers all of them, in order, that much earlier; one that becomes
/// longer that much later; and none becomes shorter than the engine's windows.
#[test]
fn links_become_longer_and_shorter() {
    let (same, _) = lengthened(Span::from_micros(3));
    let (shorter, record) = lengthened(Span::from_micros(1));
    let (longer, _) = lengthened(Span::from_micros(10));
    assert_eq!(same.since(shorter), Span::from_micros(2));
    assert_eq!(longer.since(same), Span::from_micros(7));
    assert_eq!(record.ports.iter().map(|port| port.counters.dropped()).sum::<u64>(), 0);
    let case = case();
    let mut run = case.assemble(1).expect("it assembles");
    let mut changes = Changes::new(&run, &case.graph, &case.config, case.seed);
    let refused = changes.set_delay(&mut run, (LinkId(0), Span::from_nanos(999)), Time::ZERO);
    let text = refused.expect_err("too short").to_string();
    assert_eq!(text, "a delay of 999 ns is too short; 1 us is the least while the run is on");
}
