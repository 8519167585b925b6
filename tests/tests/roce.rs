//! RoCE is alive: lossless, paused, marked, and unlucky with its hashes.

use std::path::Path;

use ultraloom_tests::{figures, run, run_file};

/// An incast of 127 to 1 under priority flow control loses nothing, with and without congestion control.
#[test]
fn a_lossless_incast_of_127_drops_nothing() {
    for congestion in ["dcqcn", "none"] {
        let text = format!(
            "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\ncongestion = {congestion:?}\n\
             window = false\n[workload]\nkind = \"incast\"\nbytes = \"256 KiB\"\n"
        );
        let found = figures(&text);
        assert_eq!(
            (found.completed, found.packets.dropped, found.packets.retransmitted),
            (127, 0, 0)
        );
        assert!(found.packets.pauses > 0, "{congestion}: pauses are counted");
        if congestion == "dcqcn" {
            assert!(found.packets.cnps > 0 && found.packets.ecn_marked > 0);
        }
    }
}

/// The paper's form sends notification packets, and loses nothing either.
#[test]
fn the_paper_preset_sends_notifications() {
    let text = "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\npreset = \"paper\"\n\
        [workload]\nkind = \"incast\"\nsenders = 32\nbytes = \"1 MB\"\n";
    let found = figures(text);
    assert!(found.packets.cnps > 0 && found.packets.dropped == 0);
    assert_eq!(found.completed, 32);
}

/// Lossy RoCE recovers by going back: everything arrives, with retransmissions and NAKs.
#[test]
fn lossy_roce_goes_back_and_finishes() {
    let text = "[topology]\nhosts = 16\n[switch]\nlossless = false\nqueue = \"100 KiB\"\n\
        [transport]\nkind = \"roce\"\n[workload]\nkind = \"incast\"\nsenders = 8\nbytes = \"1 MB\"\n";
    let found = figures(text);
    assert_eq!(found.completed, 8);
    assert!(
        found.packets.dropped > 0 && found.packets.retransmitted > 0 && found.packets.nacks > 0
    );
}

/// Flows that hash to one path double the tail of a permutation over that of spraying.
#[test]
fn collisions_double_the_tail_of_a_permutation() {
    let text = "[topology]\nhosts = 128\n[workload]\nkind = \"permutation\"\nbytes = \"2 MB\"\n\
        [variants.uec]\ntransport = { kind = \"uet\", spraying = \"reps\" }\n\
        [variants.roce]\ntransport = { kind = \"roce\" }\n";
    let variants = run(text).summary.variants;
    let tail = |place: usize| variants[place].figures.fct_us.max;
    assert!(tail(1) >= 2.0 * tail(0), "roce {} against uec {}", tail(1), tail(0));
    assert_eq!(variants[1].figures.packets.dropped, 0);
}

/// Routes that bounce deadlock: the run names the flows and the circle. A watchdog breaks it at the price of drops;
/// without bounces there is none, and nothing is dropped.
#[test]
fn a_circle_of_pauses_is_a_deadlock() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/scenarios");
    let outcome = run_file(&folder.join("pfc-deadlock.toml"));
    let [bounced, watchdog, up_down] = outcome.summary.variants.as_slice() else { panic!("three") };
    let circle = ["leaf:0 > spine:0", "spine:0 > leaf:1", "leaf:1 > spine:1", "spine:1 > leaf:0"];
    assert_eq!(bounced.figures.deadlock, circle);
    assert!(bounced.figures.completed < bounced.figures.flows);
    let [text] = outcome.unfinished.as_slice() else { panic!("one did not finish") };
    assert!(text.contains("deadlock: these ports pause each other in a circle: leaf:0"), "{text}");
    let packets = &watchdog.figures.packets;
    assert_eq!((watchdog.figures.completed, watchdog.figures.deadlock.len()), (8, 0));
    assert!(packets.watchdog_storms > 0 && packets.dropped > 0);
    assert_eq!((up_down.figures.completed, up_down.figures.packets.dropped), (8, 0));
}

/// What comes after a pause was decided fits into the headroom, and would not fit into three frames less.
#[test]
fn headroom_is_as_large_as_it_has_to_be() {
    let dropped = |headroom: u64| {
        let buffer = 9 * (headroom + 4_096) + 100_000;
        let text = format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 9\nlink_length = \"2 km\"\n\
             buffer = {buffer}\n[switch]\nheadroom = {headroom}\n[transport]\nkind = \"roce\"\n\
             congestion = \"none\"\nwindow = false\n[workload]\nkind = \"incast\"\nbytes = \"8 MB\"\n"
        );
        let found = figures(&text);
        assert_eq!(found.completed, 8);
        found.packets.dropped
    };
    // Both ways at 50 B/ns: 10,065 ns of cable and PHY, 900 ns of pipelines; frames of 4,194 B.
    let needed = 50 * (2 * 10_065 + 900) + 3 * 4_194 + 84;
    assert_eq!(dropped(needed), 0);
    assert!(dropped(needed - 3 * 4_194) > 0);
}

/// A read incast is as lossless as that of writes: 127 hosts' data comes when one host asks for it.
#[test]
fn reads_of_one_host_from_all_others_lose_nothing() {
    let flows: String =
        (1..128).map(|host| format!("0->{host} id {host} start 0 size 262144\n")).collect();
    let file = std::env::temp_dir().join(format!("ultraloom-reads-{}.cm", std::process::id()));
    std::fs::write(&file, format!("Nodes 128\nConnections 127\n{flows}")).expect("a matrix");
    let text = format!(
        "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\noperation = \"read\"\n\
         [workload]\nkind = \"matrix\"\nfile = {:?}\n",
        file.display().to_string()
    );
    let found = figures(&text);
    std::fs::remove_file(&file).expect("the matrix");
    assert_eq!((found.completed, found.packets.dropped, found.packets.acks), (127, 0, 0));
    assert!(found.packets.pauses > 0 && found.packets.cnps > 0);
    // 127 messages of 64 full frames over one link of 400 Gb/s.
    let least = 127.0 * 64.0 * (4_096.0 + 62.0 + 20.0) * 20e-6;
    assert!((least..least * 1.3).contains(&found.makespan_us), "{} us", found.makespan_us);
}
