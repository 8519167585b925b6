//! Frames of every kind, whole and damaged, sent into live sessions: they are counted, and break nothing.

mod lab;
mod place;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fuzz::seeds::{Numbers, damaged};
use lab::{FAR, Session, alone, can_run};
use live::journal::{Entry, Head, Writer};
use place::Place;
use serde_json::Value;

/// Programs that the tests start on hosts.
#[test]
#[ignore = "other tests start it in namespaces"]
fn tool() {
    lab::tools::run();
}

/// A number that the environment may change.
fn asked(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The whole path without a socket or a clock: damaged frames of all hosts for all hosts go through classification, the fabric,
/// the stacks of simulated hosts, captures and rewriting. Nothing fails, and again gives the same. `ULTRALOOM_DAMAGED` says how many.
#[test]
fn damaged_frames_break_nothing_offline() {
    let place = Place::new("live-offline");
    let scenario = format!(
        "{}[capture]\nports = [\"host:0\", \"leaf:0 spine:0\"]\nframes = 20000\n",
        FAR.replace("1 ms", "20 us").replace("[live]", "[live]\nrouted = true")
    );
    let head = Head { scenario, variant: "base".to_owned(), version: "test".to_owned() };
    let count = asked("ULTRALOOM_DAMAGED", 60_000);
    let mut journal = Writer::create(&place.0.join("journal"), &head).expect("a journal");
    let mut numbers = Numbers(7);
    let mut at_ps = 0;
    for _ in 0..count {
        // 60 us are longer than a usual frame takes at 100 Mb/s; queues fill all the same now and then.
        at_ps += numbers.next(60_000_000);
        let host = [0, 1, 7][numbers.next(3) as usize];
        let to = numbers.next(9) as u32;
        let bytes = damaged(&mut numbers, host, to);
        journal.add(&Entry::Frame { at_ps, host, bytes }).expect("it is written");
    }
    journal
        .add(&Entry::End { at_ps: at_ps + 1_000_000_000, digest: String::new() })
        .expect("an end");
    journal.finish().expect("it is written");
    let digest = |out: &str| {
        let output =
            place.ultraloom(&["live", "--replay", "journal", "--output", "json", "--out", out]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        // The journal's own digest is none, so they differ.
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        let told: Value = serde_json::from_slice(&output.stdout).expect("one object");
        assert!(told["hops"].as_u64() > Some(count), "{told}");
        told["digest"].clone()
    };
    assert_eq!(digest("one"), digest("two"));
    let read = |out: &str| std::fs::read(place.0.join(out).join("base.pcapng")).expect("a capture");
    assert!(read("one") == read("two"));
}

/// Damaged frames of every kind out of a real socket are counted by kind; pings and simulated hosts' answers work while they come and
/// afterwards.
#[test]
fn damaged_frames_break_nothing_live() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let scenario = FAR.replace("1 ms", "20 us");
    let mut session = Session::start("damage", &scenario, &[]);
    let sender = session.tool(1, "damage eth0 8000 5 1 0 2 3 6 7 9");
    let sender = { sender }.stdout(Stdio::piped()).spawn().expect("it starts");
    let while_they_come = session.output(0, &["ping", "-c", "5", "-i", "0.2", "10.0.0.8"]);
    assert!(while_they_come.contains("5 received"), "{while_they_come}");
    let told = lab::tools::said(&sender.wait_with_output().expect("it ends"));
    let taken: u64 = told
        .strip_suffix(" taken")
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("{told}"));
    assert!(taken > 6_000, "{told}");
    for to in ["10.0.0.8", "10.0.0.3"] {
        let after = session.output(0, &["ping", "-c", "3", "-i", "0.2", to]);
        assert!(after.contains("3 received"), "{after}");
    }
    assert_eq!(session.told(0, "echo 10.0.0.3:7 100000"), "the same");
    let (_, told) = session.end("-INT");
    for kind in ["arp", "ipv4", "ipv6", "uet", "roce", "other", "malformed"] {
        assert!(told["taken"][kind].as_u64() > Some(100), "{kind}: {told}");
    }
    let all: u64 =
        told["taken"].as_object().expect("kinds").values().filter_map(Value::as_u64).sum();
    assert!(all >= taken, "every frame is counted: {told}");
    assert!(told["frames"]["undeliverable"].as_u64() > Some(100), "{told}");
}

/// The scenario of the soak: faults of many kinds at times that a seed draws.
fn with_faults(seconds: u64, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut text = FAR.replace("1 ms", "20 us").replace(
        "link_rate",
        "routing = { kind = \"round-robin\", convergence = \"20 ms\" }\nlink_rate",
    );
    text += &format!(
        "[workload]\nkind = \"poisson\"\nsizes = \"fixed\"\nbytes = \"1 MB\"\nload = 0.1\nduration = \"{seconds} s\"\n"
    );
    for _ in 0..seconds / 3 {
        let at = 2_000 + numbers.next(seconds * 1_000);
        let until = at + 50 + numbers.next(700);
        let link = format!("[\"leaf:{}\", \"spine:{}\"]", numbers.next(4), numbers.next(2));
        let times = format!("at = \"{at} ms\"\nuntil = \"{until} ms\"\n");
        text += &match numbers.next(4) {
            0 => format!("[[fault]]\nkind = \"link-down\"\nlink = {link}\n{times}"),
            1 => format!("[[fault]]\nkind = \"link-rate\"\nlink = {link}\nratio = 0.2\n{times}"),
            2 => format!("[[fault]]\nkind = \"drop-random\"\nlink = {link}\nratio = 0.05\n{times}"),
            _ => format!(
                "[[fault]]\nkind = \"switch-down\"\nswitch = \"spine:{}\"\n{times}",
                numbers.next(2)
            ),
        };
    }
    text
}

/// Resident bytes of a process.
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib =
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Under load, with random faults and malformed frames, for `ULTRALOOM_SOAK` seconds (600): it does not fail, its memory does not
/// grow from the first half to the second, and its interfaces are gone afterwards.
#[test]
#[ignore = "takes ten minutes: ULTRALOOM_SOAK says how many seconds"]
fn soak() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let (seconds, seed) = (asked("ULTRALOOM_SOAK", 600), asked("ULTRALOOM_SEED", 11));
    let mut session = Session::start("soak", &with_faults(seconds, seed), &[]);
    let process = session.child.id();
    #[allow(clippy::disallowed_methods, reason = "it lasts so long by the clock")]
    let (start, mut samples) = (Instant::now(), Vec::new());
    let (mut round, mut said) = (0, BTreeMap::<String, u64>::new());
    while start.elapsed() < Duration::from_secs(seconds) {
        round += 1;
        let what = format!("damage eth0 4000 {round} 1 0 2 3 6 7 9");
        let work = [
            session.tool(1, &what),
            session.tool(0, "echo 10.0.0.4:7 2000000"),
            session.tool(7, "characters 10.0.0.6:19 2000000"),
            session.tool(0, "discard 10.0.0.7:9 2000000"),
            session.on(7, &["ping", "-q", "-c", "30", "-i", "0.05", "10.0.0.1"]),
        ];
        let spawn = |mut command: std::process::Command| {
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        };
        let children: Vec<_> = work.map(spawn).into_iter().collect();
        for (place, child) in children.into_iter().enumerate() {
            let output = child.wait_with_output().expect("it ends");
            let right = output.status.success();
            *said
                .entry(format!("work {place} {}", if right { "done" } else { "failed" }))
                .or_default() += 1;
        }
        samples.push(resident(process));
        assert!(
            session.child.try_wait().expect("a process").is_none(),
            "{}",
            session.text("err.txt")
        );
    }
    let after = session.output(0, &["ping", "-c", "3", "-i", "0.2", "10.0.0.8"]);
    let (_, told) = session.end("-TERM");
    let mean =
        |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len() as f64 / f64::from(1 << 20);
    // What is filled once (rings of frames) is filled within the first quarter.
    let (settled, later) = samples[samples.len() / 4..].split_at(samples.len() * 3 / 8);
    let (settled, later) = (mean(settled), mean(later));
    eprintln!("{round} rounds: {said:?}; resident {settled:.1} MiB, then {later:.1}; {told}");
    assert!(after.contains("received"), "{after}");
    // Shorter soaks end before all rings are full.
    assert!(
        later < settled * 1.05 + 2.0 || seconds < 300,
        "it grew from {settled:.1} to {later:.1} MiB: {samples:?}"
    );
    assert!(!session.has_namespaces());
    assert!(told["taken"]["malformed"].as_u64() > Some(100), "{told}");
}
