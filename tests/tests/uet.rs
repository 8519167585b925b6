//! UET end to end: every way of losing packets, every option, all messages exactly once.

use results::summary::Figures;
use ultraloom_tests::{figures, run};

fn permutation(options: &str) -> Figures {
    figures(&format!(
        "[topology]\nhosts = 32\n[transport]\n{options}\n[workload]\nkind = \"permutation\"\n\
         bytes = \"300 KB\"\n"
    ))
}

/// Packets of 32 flows of 300 KB.
const PACKETS: u64 = 32 * 74;

/// Every way of spraying, and a constant window, brings all flows home without needless packets.
#[test]
fn every_way_of_spraying_finishes() {
    for options in [
        "spraying = \"oblivious\"",
        "spraying = \"bitmap\"",
        "spraying = \"reps\"",
        "spraying = \"mixed\"",
        "spraying = \"ecmp\"",
        "congestion = \"none\"",
        "pdc_scope = \"message\"\nack_count = \"frame\"\ncontrol_weight = 10",
        "payload = 1024\nmp_range = 64",
    ] {
        let found = permutation(options);
        assert_eq!(found.completed, 32, "{options}");
        if !options.starts_with("payload") {
            assert_eq!(found.packets.new, PACKETS, "{options}");
        }
        assert_eq!(found.packets.dropped, 0, "{options}: trimming instead of dropping");
    }
}

fn incast(more: &str) -> Figures {
    figures(&format!(
        "[topology]\nhosts = 32\n{more}\n[workload]\nkind = \"incast\"\nbytes = \"500 KB\"\n"
    ))
}

/// With trimming, an incast recovers by NACK: as many retransmissions as trims, and no timeout.
#[test]
fn trimmed_packets_are_sent_again_once() {
    let found = incast("");
    assert_eq!(found.completed, 31);
    assert!(found.packets.trimmed > 1_000);
    assert_eq!(found.packets.retransmitted, found.packets.trimmed);
    assert_eq!((found.packets.nacks, found.packets.dropped), (found.packets.trimmed, 0));
}

/// Without trimming, what is dropped is found by timeout.
#[test]
fn dropped_packets_are_found_by_timeout() {
    let found = incast("[switch]\nqueue = \"100 KB\"\n[transport]\ntrimming = false");
    assert_eq!(found.completed, 31);
    assert!(found.packets.dropped > 100 && found.packets.timeouts > 0);
    assert!(found.packets.retransmitted >= found.packets.dropped);
    assert_eq!((found.packets.trimmed, found.packets.nacks), (0, 0));
}

/// UET over a lossless fabric neither trims nor drops: pauses hold it back. Its timeout has to be longer
/// than pauses can last.
#[test]
fn uet_runs_over_priority_flow_control() {
    let found =
        incast("buffer = \"2 MiB\"\n[switch]\nlossless = true\n[transport]\nrto = \"10 ms\"");
    assert_eq!(found.completed, 31);
    assert_eq!(
        (found.packets.dropped, found.packets.trimmed, found.packets.retransmitted),
        (0, 0, 0)
    );
    assert!(found.packets.pauses > 0);
}

/// A link that fails under load loses packets; all flows finish, and spraying that learns keeps away
/// from it: it loses fewer than spraying that does not.
#[test]
fn a_failing_link_is_survived() {
    let text = |spraying: &str| {
        format!(
            "[topology]\nhosts = 64\n[transport]\nspraying = {spraying:?}\n[workload]\n\
             kind = \"permutation\"\nbytes = \"4 MB\"\n[[fault]]\nkind = \"link-down\"\n\
             link = [\"tor:0\", \"agg:0\"]\nat = \"10 us\"\n[[fault]]\nkind = \"link-up\"\n\
             link = [\"tor:0\", \"agg:0\"]\nat = \"500 us\"\n"
        )
    };
    let [oblivious, reps] = ["oblivious", "reps"].map(|spraying| figures(&text(spraying)));
    for found in [&oblivious, &reps] {
        assert_eq!(found.completed, 64);
        assert!(found.packets.dropped > 0 && found.packets.timeouts > 0);
    }
    assert!(reps.packets.dropped < oblivious.packets.dropped);
}

/// Many messages on one context arrive exactly once: an all-to-all with small messages, run under
/// loss, delivers exactly its bytes.
#[test]
fn messages_arrive_exactly_once() {
    let text = "[topology]\nkind = \"leaf-spine\"\nhosts = 16\nhosts_per_leaf = 4\nspines = 1\n\
        [switch]\nqueue = \"60 KB\"\n[workload]\nkind = \"all-to-all\"\nbytes = 30001\nwindow = 15\n";
    let outcome = run(text);
    let found = &outcome.summary.variants[0].figures;
    assert_eq!((found.flows, found.completed), (240, 240));
    assert!(found.packets.trimmed > 0);
    let messages = &outcome.flows[0].messages;
    assert!(messages.iter().all(|m| m.bytes == 30_001 && m.received <= m.acked));
}

/// The last byte of a message arrives before its sender knows, and the sender knows before a run ends.
#[test]
fn a_message_is_received_before_it_is_acknowledged() {
    let text = "[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\nbytes = \"1 MB\"\n";
    for message in &run(text).flows[0].messages {
        assert!(message.posted < message.received && message.received < message.acked);
    }
}

/// Control may share a port with data by weight instead of going first: acknowledgements come later.
#[test]
fn control_may_share_by_weight() {
    let run = |more: &str| {
        figures(&format!(
            "[topology]\nhosts = 16\n[switch]\n{more}\n[workload]\nkind = \"permutation\"\n\
             bytes = \"1 MB\"\n"
        ))
    };
    let (first, weighted) = (run(""), run("control_weight = 1"));
    assert_eq!((first.completed, weighted.completed), (16, 16));
    assert_ne!(first.digest, weighted.digest);
}
