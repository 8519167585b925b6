//! Swarm: random small fabrics, transports, loads and faults; every promise of UET's reliable modes holds.
//!
//! Each seed draws a scenario: a fabric of 16 hosts, delivery mode, operation, congestion control, spraying,
//! loss recovery, a load, frames lost at random on every link for the whole run, a core link that flaps and
//! a switch that dies for a while. Whatever was drawn, every message is delivered exactly once, and in order
//! where that is promised. `ULTRALOOM_SWARM` sets the number of seeds, `ULTRALOOM_SWARM_SEED` runs one.

use std::fmt::Write as _;
use std::sync::Arc;

use fabric::assemble::{Extent, Parts, assemble};
use fabric::engine::Progress;
use fabric::probe::RunRecord;
use fabric::rng::{Purpose, Stream};
use fabric::units::Time;
use topologies::partition::partition;
use ultraloom::error::Source;
use ultraloom::execute::prepare;
use ultraloom::scenario::from_source;

/// Seeds of a run of the tests.
const SEEDS: u64 = 1_000;

/// One of `choices`.
fn pick<'a>(random: &mut Stream, choices: &[&'a str]) -> &'a str {
    choices[random.below(choices.len() as u32) as usize]
}

/// A fabric of 16 hosts, the switch that dies, and the core link that flaps.
struct Shape {
    topology: &'static str,
    dies: &'static str,
    flaps: (&'static str, &'static str),
}

const SHAPES: [Shape; 2] = [
    // k = 4: four core switches, each with one link to every pod.
    Shape {
        topology: "kind = \"fat-tree\"\nhosts = 16\n",
        dies: "core:3",
        flaps: ("agg:0", "core:0"),
    },
    Shape {
        topology: "kind = \"leaf-spine\"\nhosts = 16\nhosts_per_leaf = 4\nspines = 4\n",
        dies: "spine:3",
        flaps: ("leaf:0", "spine:0"),
    },
];

/// How switches choose, and when they know of what is dead.
const ROUTING: [&str; 5] = [
    "",
    "routing = { convergence = \"never\" }\n",
    "routing = { kind = \"least-queue\", convergence = \"10 us\" }\n",
    "routing = { kind = \"two-choices\", convergence = \"40 us\" }\n",
    "routing = { kind = \"round-robin\", flowlet_gap = \"1 us\", convergence = \"5 us\" }\n",
];

/// The scenario that `seed` draws, and whether its mode promises order.
fn scenario(seed: u64) -> (String, bool) {
    let mut random = Stream::new(seed, 0, Purpose::Transport);
    let random = &mut random;
    let shape = &SHAPES[random.below(2) as usize];
    let ordered = random.below(3) == 0;
    let mut text = format!("seed = {seed}\n[topology]\n{}", shape.topology);
    let _ = writeln!(text, "{}[transport]", pick(random, &ROUTING));
    let _ = writeln!(text, "delivery = {:?}", if ordered { "rod" } else { "rud" });
    let operation = pick(random, &["send", "write", "read", "tagged-send", "fetching-atomic"]);
    let _ = writeln!(text, "operation = {operation:?}");
    if operation == "tagged-send" {
        text += pick(random, &["", "rendezvous = \"20 KiB\"\nreceive_delay = \"3 us\"\n"]);
    }
    let congestion = pick(random, &["nscc", "rccc", "nscc+rccc", "dctcp", "none"]);
    let spraying = pick(random, &["oblivious", "bitmap", "reps", "mixed", "round-robin", "ecmp"]);
    let _ = writeln!(text, "congestion = {congestion:?}\nspraying = {spraying:?}");
    text += pick(
        random,
        &[
            "",
            "trimming = false\n",
            "trimming = false\nloss_inference = \"receiver\"\nreorder_limit = 16\n",
            "tail_probe = \"30 us\"\n",
        ],
    );
    text += pick(random, &["", "pdcs = 3\npdc_idle = \"40 us\"\n", "pdc_scope = \"message\"\n"]);
    text +=
        pick(random, &["", "gtd_responses = 3\nclear_time = \"20 us\"\nnack_retry = \"30 us\"\n"]);
    // A context whose one path is dead for longer than its patience would rightly fail.
    text += "max_timeouts = 0\n";
    if random.below(4) == 0 {
        text += "[switch]\nqueue = \"40 KB\"\n";
    }
    text += "[[fault]]\nkind = \"drop-random\"\nratio = 1e-4\n";
    let ((a, b), switch) = (shape.flaps, shape.dies);
    let (at, down, count) = (5 + random.below(20), 1 + random.below(30), 1 + random.below(4));
    let _ = write!(
        text,
        "[[fault]]\nkind = \"link-flap\"\nlink = [{a:?}, {b:?}]\nat = \"{at} us\"\n\
         period = \"60 us\"\ndown = \"{down} us\"\ncount = {count}\n"
    );
    let at = random.below(40);
    let _ = write!(
        text,
        "[[fault]]\nkind = \"switch-down\"\nswitch = {switch:?}\nat = \"{at} us\"\n\
         until = \"{} us\"\n",
        at + 400
    );
    let bytes = 1 + random.below(400_000);
    let short = operation == "fetching-atomic" || (operation == "read" && random.below(3) == 0);
    let bytes = if short { 1 + bytes % 16 } else { bytes };
    text += "[workload]\n";
    let _ = match random.below(if operation == "read" { 2 } else { 3 }) {
        0 => writeln!(text, "kind = \"permutation\"\nbytes = {bytes}"),
        1 => writeln!(text, "kind = \"incast\"\nsenders = 8\nbytes = {bytes}"),
        _ => writeln!(text, "kind = \"all-to-all\"\nwindow = 4\nbytes = {}", bytes.div_ceil(8)),
    };
    (text, ordered)
}

fn run(text: &str) -> RunRecord {
    let source = Source { name: "swarm.toml".into(), text: text.into(), folder: None };
    let scenario = from_source(&Arc::new(source), &[], None)
        .unwrap_or_else(|error| panic!("{}", error.render()));
    let mut prepared = prepare(&scenario).unwrap_or_else(|error| panic!("{}", error.render()));
    let prepared = prepared.remove(0);
    let workload = &scenario.variants[0].workloads[0];
    let programs = prepared
        .workload(workload, scenario.seed)
        .unwrap_or_else(|error| panic!("{}", error.render()));
    let shard_of = partition(&prepared.graph, 1, 1, &programs.couplings);
    let transport = &prepared.behaviour.transport;
    let assembled = assemble(Parts {
        graph: &prepared.graph,
        config: &prepared.behaviour.fabric,
        endpoint: &|host, _| transport.endpoint(host, scenario.seed),
        programs: programs.programs,
        couplings: &programs.couplings,
        shard_of: &shard_of,
        faults: &prepared.faults.links,
        switch_faults: &prepared.faults.switches,
        capture: prepared.capture.as_ref(),
        sampling: None,
        seed: scenario.seed,
        extent: Extent::default(),
    });
    let run = assembled.unwrap_or_else(|error| panic!("{error}"));
    run.execute(1, Time(2_000_000_000_000), &Progress::default())
}

/// What is wrong with a run, if anything.
fn fault(record: &RunRecord, ordered: bool) -> Option<String> {
    let lost = record.messages.iter().find(|m| m.received == Time::NEVER || m.acked == Time::NEVER);
    if let Some(message) = lost {
        return Some(format!("not delivered: {message:?}"));
    }
    if record.unposted > 0 {
        return Some(format!("{} messages were never posted", record.unposted));
    }
    let posted: u64 = record.messages.iter().map(|message| message.bytes).sum();
    let delivered: u64 = record.endpoints.iter().map(|counters| counters.delivered_bytes).sum();
    if posted != delivered {
        return Some(format!("{posted} B posted, {delivered} B delivered"));
    }
    let mut by_pair = record.messages.clone();
    by_pair.sort_by_key(|message| (message.src, message.dst, message.posted, message.id));
    let overtakes = by_pair.windows(2).find(|pair| {
        let same = (pair[0].src, pair[0].dst) == (pair[1].src, pair[1].dst);
        ordered && same && pair[0].received > pair[1].received
    });
    overtakes.map(|pair| format!("out of order: {pair:?}"))
}

/// Loss, a flapping link and a dead switch break no promise, over a thousand random scenarios.
#[test]
fn reliable_modes_keep_their_promises() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("ULTRALOOM_SWARM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ULTRALOOM_SWARM").unwrap_or(SEEDS),
    };
    let (mut runs, mut lossy) = (0, 0);
    for seed in seeds {
        let (text, ordered) = scenario(seed);
        let record = run(&text);
        runs += 1;
        lossy += u64::from(record.endpoints.iter().any(|host| host.retransmitted > 0));
        if let Some(wrong) = fault(&record, ordered) {
            panic!(
                "{wrong}\nULTRALOOM_SWARM_SEED={seed} cargo test --release -p ultraloom-tests \
                 --test swarm\n{text}"
            );
        }
    }
    assert!(lossy * 10 > runs * 7, "only {lossy} of {runs} scenarios lost anything");
}
