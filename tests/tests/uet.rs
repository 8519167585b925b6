//! UET end to end: every way of losing packets, every option, all messages exactly once.

use fabric::units::Time;
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
    let messages = &outcome.runs[0].record.messages;
    assert!(messages.iter().all(|m| m.bytes == 30_001 && m.received <= m.acked));
}

/// The last byte of a message arrives before its sender knows, and the sender knows before a run ends.
#[test]
fn a_message_is_received_before_it_is_acknowledged() {
    let text = "[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\nbytes = \"1 MB\"\n";
    for message in &run(text).runs[0].record.messages {
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

/// Every delivery mode and operation brings all flows of a permutation home, with loss on every link.
#[test]
fn every_mode_and_operation_finishes_under_loss() {
    for options in [
        "delivery = \"rod\"",
        "delivery = \"rudi\"",
        "operation = \"write\"",
        "operation = \"read\"",
        "operation = \"tagged-send\"\nrendezvous = \"64 KiB\"\nreceive_delay = \"5 us\"",
        "delivery = \"rod\"\noperation = \"read\"",
        "congestion = \"rccc\"",
        "congestion = \"nscc+rccc\"",
        "congestion = \"dctcp\"",
        "spraying = \"reps-first\"",
        "spraying = \"round-robin\"",
        "spraying = \"flowlet\"",
        "trimming = false\nloss_inference = \"receiver\"",
        "trimming = false\nloss_inference = \"sleek\"",
        "tail_probe = \"40 us\"",
        "pdcs = 4\ntarget_pdcs = 2\npdc_idle = \"20 us\"\nnack_retry = \"30 us\"",
    ] {
        let text = format!(
            "[topology]\nhosts = 32\n[link]\nfer = 1e-3\n[transport]\n{options}\n[workload]\n\
             kind = \"permutation\"\nbytes = \"300 KB\"\n"
        );
        let outcome = run(&text);
        assert_eq!(outcome.unfinished, Vec::<String>::new(), "{options}");
        let messages = &outcome.runs[0].record.messages;
        assert!(messages.iter().all(|m| m.received < Time::NEVER), "{options}");
        let found = &outcome.summary.variants[0].figures;
        assert!(found.packets.retransmitted > 0, "{options}: the links lose packets");
    }
}

/// Datagrams that are lost stay lost, and nobody waits for them.
#[test]
fn datagrams_stay_lost() {
    let text = "[topology]\nhosts = 128\n[link]\nfer = 0.02\n[transport]\ndelivery = \"uud\"\n\
        [workload]\nkind = \"permutation\"\nbytes = 4096\n";
    let outcome = run(text);
    let found = &outcome.summary.variants[0].figures;
    assert_eq!((found.completed, found.packets.retransmitted, found.packets.acks), (128, 0, 0));
    let lost = outcome.runs[0].record.messages.iter().filter(|m| m.received == Time::NEVER).count();
    assert_eq!(lost as u64, found.packets.dropped);
    assert!(lost > 0);
}

/// Under 15:1, credit is fair: the slowest flow takes at most a tenth longer than the fastest.
#[test]
fn credit_is_fair() {
    for congestion in ["rccc", "nscc+rccc"] {
        let found = figures(&format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 16\n[transport]\n\
             congestion = {congestion:?}\n[workload]\nkind = \"incast\"\nbytes = \"16 MB\"\n"
        ));
        let ratio = found.fct_us.max / found.fct_us.min;
        assert!(ratio <= 1.1, "{congestion}: {ratio}");
        assert!(found.packets.credits > 0);
    }
}

/// QuickAdapt under 127:1: windows become what gets through, so that after the first round trips hardly
/// anything is trimmed; a constant window is trimmed on and on.
#[test]
fn quick_adapt_tames_an_incast() {
    let trimmed = |congestion: &str| {
        let found = figures(&format!(
            "[topology]\nhosts = 128\n[transport]\ncongestion = {congestion:?}\n[workload]\n\
             kind = \"incast\"\nbytes = \"2 MB\"\n"
        ));
        assert_eq!(found.completed, 127);
        (found.packets.trimmed as f64 / found.packets.new as f64, found.makespan_us)
    };
    let (nscc, constant) = (trimmed("nscc"), trimmed("none"));
    assert!(nscc.0 < 1.0 && constant.0 > 3.0 * nscc.0, "trims a packet: {nscc:?} and {constant:?}");
    let ideal = 127.0 * 2_000_000.0 / 50_000.0;
    assert!(nscc.1 < ideal * 1.12, "{} us, the last hop needs {ideal}", nscc.1);
}

/// A host that empties its receive buffer at a quarter of the rate holds its sender back without loss.
#[test]
fn a_slow_receiver_holds_its_sender_back() {
    let found = figures(
        "[topology]\nkind = \"single-switch\"\nhosts = 16\n[transport]\nreceive_rate = \"100 Gb/s\"\n\
         receive_buffer = \"4 MiB\"\n[workload]\nkind = \"permutation\"\nbytes = \"16 MB\"\n",
    );
    assert_eq!((found.completed, found.packets.nacks), (16, 0));
    let drain = (16_000_000.0 - 4_194_304.0) / 12_500.0;
    assert!(found.fct_us.min > drain, "{} us, the host needs {drain}", found.fct_us.min);
}
