//! RoCE is alive: lossless, paused, marked, and unlucky with its hashes.

use ultraloom_tests::{figures, run};

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
