//! `ultraloom explain`, as a user types it.

mod place;

use std::collections::{BTreeMap, BTreeSet};

use place::{Place, SMALL};
use serde_json::Value;

/// More than a thousand flows of sizes from 100 B to 10 MB under every transport, over links that fail, slow down and lose
/// frames.
const MIXED: &str = r#"
name = "mixed"
[topology]
hosts = 16
link_rate = "100 Gb/s"
[workload]
kind = "poisson"
sizes = "hadoop"
load = 0.6
duration = "1300 us"
[records]
formats = ["parquet", "csv"]
[[fault]]
kind = "link-down"
link = ["tor:0", "agg:0"]
at = "100 us"
until = "130 us"
[[fault]]
kind = "link-rate"
link = ["tor:1", "agg:0"]
at = "50 us"
ratio = 0.5
[[fault]]
kind = "drop-random"
link = ["tor:2", "agg:3"]
at = "50 us"
ratio = 0.01
[variants]
uet = { transport = { kind = "uet" } }
uet-credit = { transport = { kind = "uet", congestion = "rccc" } }
uet-read = { transport = { kind = "uet", operation = "read" } }
uet-rendezvous = { transport = { kind = "uet", operation = "tagged-send", rendezvous = "16 KiB" } }
uet-planes = { transport = { kind = "uet" }, topology = { planes = 2 } }
roce = { transport = { kind = "roce" } }
roce-read = { transport = { kind = "roce", operation = "read" } }
roce-irn = { transport = { kind = "roce", recovery = "irn" } }
roce-retry = { transport = { kind = "roce" }, link = { llr = true } }
roce-credits = { transport = { kind = "roce" }, link = { cbfc = true } }
ndp = { transport = { kind = "ndp" } }
srd = { transport = { kind = "srd" } }
strack = { transport = { kind = "strack" } }
tcp = { transport = { kind = "tcp" } }
"#;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

/// Completion times in the table `flows`, by variant and message.
fn completion_times(place: &Place, folder: &str) -> BTreeMap<(String, u64), u64> {
    let table = std::fs::read_to_string(place.0.join(folder).join("flows.csv")).expect("flows");
    let mut lines = table.lines();
    let heads: Vec<&str> = lines.next().expect("heads").split(',').collect();
    let column = |name| heads.iter().position(|head| *head == name).expect("a column");
    let (variant, message, fct) = (column("variant"), column("message"), column("fct_ps"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<u64>().expect("a number");
        ((cells[variant].to_owned(), number(message)), number(fct))
    };
    lines.map(row).collect()
}

/// The pieces of every flow of every transport follow each other from its posting to its end, their sum is the completion
/// time in the records to the picosecond, none is unknown, and every hop takes what the model says.
#[test]
fn pieces_sum_to_the_completion_time_of_every_flow_of_every_transport() {
    let place = Place::new("explain-sums");
    place.file("mixed.toml", MIXED);
    assert!(place.ultraloom(&["run", "mixed.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["explain", "o", "--slowest", "5000", "--output", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list");
    let times = completion_times(&place, "o");
    let mut flows: BTreeMap<&str, u32> = BTreeMap::new();
    let mut causes: BTreeSet<(&str, &str)> = BTreeSet::new();
    for flow in &all {
        let variant = text(&flow["variant"]);
        let name = (variant.to_owned(), number(&flow["message"]));
        *flows.entry(variant).or_default() += 1;
        let pieces = flow["pieces"].as_array().expect("pieces");
        let mut at = number(&flow["posted_ps"]);
        let (mut sum, mut wires, mut hops) = (0, 0, 0);
        for piece in pieces {
            let (from, to) = (number(&piece["from_ps"]), number(&piece["to_ps"]));
            assert!(from == at && to > from, "{name:?}: {piece} after {at}");
            at = to;
            sum += to - from;
            let cause = text(&piece["cause"]);
            assert_ne!(cause, "unknown", "{name:?}: {piece}");
            causes.insert((variant, cause));
            if cause == "propagation" {
                (wires, hops) = (wires + to - from, hops + 1);
            }
        }
        assert_eq!((at, sum), (number(&flow["end_ps"]), times[&name]), "{name:?}");
        // There and back; with READ the request and the data.
        assert!(hops % 2 == 0 && (4..=12).contains(&hops), "{name:?}: {hops} links");
        assert_eq!(wires, hops * 300_000, "{name:?}");
    }
    assert!(flows.len() == 14 && flows.values().all(|count| *count > 1_000), "{flows:?}");
    for (variant, cause) in [
        ("uet", "window"),
        ("uet", "nic"),
        ("uet", "retransmission"),
        ("uet", "behind"),
        ("uet", "queueing"),
        ("uet-credit", "credit"),
        ("uet-rendezvous", "asked"),
        ("roce", "rate"),
        ("roce", "window"),
        ("roce-retry", "link-retry"),
        ("roce-credits", "paused"),
        ("ndp", "credit"),
        ("srd", "window"),
        ("strack", "window"),
        ("tcp", "opening"),
        ("tcp", "window"),
    ] {
        assert!(causes.contains(&(variant, cause)), "{variant} has no time of {cause}");
    }
}

/// One flow over RoCE at line rate through one switch: every line of its explanation can be written down. 1,000 frames of
/// 4,178 B with preamble and gap, the first with its RETH, at 400 Gb/s; 300 ns a link, 400 ns in the switch and 500 ns in a NIC.
#[test]
fn one_flow_is_explained_by_its_closed_form() {
    let place = Place::new("explain-one");
    let scenario = "name = \"one\"\n[topology]\nkind = \"single-switch\"\nhosts = 2\nlink_rate = \"400 Gb/s\"\n\
        [transport]\nkind = \"roce\"\ncongestion = \"none\"\nwindow = false\n\
        [workload]\nkind = \"incast\"\nsenders = 1\nbytes = 4096000\n";
    place.file("one.toml", scenario);
    assert!(place.ultraloom(&["run", "one.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["explain", "o"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    // A frame takes 83.56 ns; the first one is 320 ps longer, so those behind it wait for that in the switch.
    let expected = [
        "sender: serialisation host:1 83.47676 us",
        "data: serialisation 2 hops 167.12 ns",
        "data: propagation 2 hops 600 ns",
        "data: processing 2 hops 900 ns",
        "data: queueing switch:0 > host:0 320 ps",
        "answer: serialisation 2 hops 3.44 ns",
        "answer: propagation 2 hops 600 ns",
        "answer: processing 2 hops 900 ns",
        "sum 86.64764 us",
    ];
    let told: Vec<&String> = lines.iter().filter(|line| line.contains('%')).collect();
    assert_eq!(told.len(), expected.len(), "{shown}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.starts_with(expected), "{told}: not {expected}");
    }
    assert!(shown.contains("went by host:1 > switch:0 > host:0"), "{shown}");
}

/// A flow that waits behind a paused port is told so, and where.
#[test]
fn pauses_are_told_with_their_place() {
    let place = Place::new("explain-paused");
    let scenario = "name = \"paused\"\n[topology]\nhosts = 16\n[transport]\nkind = \"roce\"\ncongestion = \"none\"\n\
        window = false\n[workload]\nkind = \"incast\"\nbytes = \"2 MB\"\n";
    place.file("paused.toml", scenario);
    assert!(place.ultraloom(&["run", "paused.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["explain", "o", "--slowest", "3"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    assert!(shown.contains("paused") && shown.contains("queueing"), "{shown}");
    assert_eq!(shown.matches("went by host:").count(), 3, "{shown}");
    assert!(place.0.join("o/explain.json").is_file());
}

/// A message that never finished is explained up to the end of the run.
#[test]
fn what_did_not_finish_is_explained_as_far_as_it_went() {
    let place = Place::new("explain-unfinished");
    let scenario = "name = \"cut\"\n[run]\nuntil = \"20 us\"\n[topology]\nhosts = 16\n[workload]\nkind = \"incast\"\n\
        bytes = \"2 MB\"\n";
    place.file("cut.toml", scenario);
    assert_eq!(place.ultraloom(&["run", "cut.toml", "--out", "o"]).status.code(), Some(1));
    let shown = String::from_utf8(place.ultraloom(&["explain", "o"]).stdout).expect("text");
    assert!(shown.contains("to the end of the run, unfinished"), "{shown}");
    assert!(!shown.contains("not known"), "{shown}");
}

/// Only what is there can be explained, and only as it was.
#[test]
fn what_cannot_be_explained_is_refused() {
    let place = Place::new("explain-refused");
    place.file("small.toml", SMALL);
    assert!(place.ultraloom(&["run", "small.toml", "--out", "o"]).status.success());
    let message = place.refused(&["explain", "o", "--flow", "999999"]);
    assert!(message.contains("has no message 999999") && message.contains("0 to 479"), "{message}");
    let message = place.refused(&["explain", "o", "--variant", "uek"]);
    assert!(message.contains("uec"), "{message}");
    assert!(place.refused(&["explain", "nowhere"]).contains("no folder of a run"));
    let stored = place.0.join("o/scenario.toml");
    let changed = std::fs::read_to_string(&stored).expect("a scenario").replace("1 MB", "2 MB");
    std::fs::write(&stored, changed).expect("it is written");
    let message = place.refused(&["explain", "o", "--flow", "3"]);
    assert!(message.contains("run again it gives the digest"), "{message}");
}
