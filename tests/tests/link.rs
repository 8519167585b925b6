//! The link layer under real transports: errors, retry, credits, from the scenario to the figures.

use fabric::probe::PortCounters;
use results::summary::Figures;
use ultraloom::execute::Outcome;
use ultraloom_tests::{figures, run, run_on};

fn counters(outcome: &Outcome) -> PortCounters {
    let mut sum = PortCounters::default();
    outcome.runs[0].record.ports.iter().for_each(|port| sum.merge(&port.counters));
    sum
}

fn one(outcome: &Outcome) -> &Figures {
    &outcome.summary.variants[0].figures
}

fn permutation(link: &str) -> String {
    format!(
        "[topology]\nhosts = 32\n[link]\n{link}\n[workload]\nkind = \"permutation\"\n\
         bytes = \"1 MB\"\n"
    )
}

/// At a frame error rate of 1e-3 on every link, retry hides every error from UET; without it, hosts
/// retransmit.
#[test]
fn retry_hides_errors_from_uet() {
    let without = run(&permutation("fer = 1e-3"));
    let with = run(&permutation("fer = 1e-3\nllr = true"));
    let (lossy, repaired) = (counters(&without), counters(&with));
    assert!(lossy.dropped_error > 20, "{}", lossy.dropped_error);
    assert!(one(&without).packets.retransmitted > 20 && one(&without).packets.timeouts > 0);
    assert_eq!((one(&with).completed, one(&without).completed), (32, 32));
    let packets = one(&with).packets;
    assert_eq!((packets.retransmitted, packets.timeouts, packets.dropped), (0, 0, 0));
    assert_eq!(packets.new, 32 * 245);
    assert!(repaired.llr_nacks > 20 && repaired.llr_replayed >= repaired.llr_nacks);
    assert!(one(&with).fct_us.max < one(&without).fct_us.max, "a retry is faster than a timeout");
}

/// What an error costs a flow: two link delays, an ordered set, and the frame, rounded up to the frame
/// that is on the wire as the NACK comes. RoCE at line rate shows it to the picosecond.
#[test]
fn an_error_costs_its_closed_form() {
    let text = |fault: &str| {
        format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 2\n[link]\nllr = true\n[transport]\n\
             kind = \"roce\"\ncongestion = \"none\"\nwindow = false\n[workload]\nkind = \"incast\"\n\
             senders = 1\nbytes = 4096000\n{fault}"
        )
    };
    let frame: u64 = (4_096 + 62 + 20) * 20;
    // One frame starts in this window, of which no second one can.
    let fault = "[[fault]]\nkind = \"bit-errors\"\nfer = 1\nlink = [\"host:1\", \"switch:0\"]\n\
        direction = \"up\"\nat = \"20 us\"\nuntil = \"20.08 us\"\n";
    let [clean, hit] = [text(""), text(fault)].map(|text| run(&text));
    let end = |outcome: &Outcome| outcome.runs[0].record.messages[0].received.0;
    let answer = 2 * 300_000 + 8 * 20;
    let wasted = u64::div_ceil(answer, frame);
    assert_eq!(counters(&hit).llr_nacks, 1);
    assert_eq!(counters(&hit).llr_replayed, wasted + 1);
    // The switch is behind by the 16 bytes that the first frame is longer, and catches up in the gap.
    assert_eq!(end(&hit) - end(&clean), (wasted + 1) * frame - 16 * 20);
}

/// Bit errors before and after error correction: at 1e-4 the code corrects all, and without it nearly
/// every full frame is hit; at 1e-3 about one in a thousand of frames is lost.
#[test]
fn error_correction_corrects() {
    let lost = |link: &str| {
        let sum = counters(&run(&format!("run.until = \"100 us\"\n{}", permutation(link))));
        (sum.dropped_error, sum.packets)
    };
    assert_eq!(lost("ber = 1e-4").0, 0);
    let (errors, packets) = lost("ber = 1e-3");
    let share = errors as f64 / packets as f64;
    assert!((2e-4..2e-3).contains(&share), "{errors} of {packets}");
    let (errors, packets) = lost("ber = 1e-4\nfec = false");
    assert!(errors * 2 > packets, "{errors} of {packets}");
}

/// Drops on one link take the frames they say, while they last; all flows still finish.
#[test]
fn drops_are_survived() {
    let text = |fault: &str| {
        format!("{}[[fault]]\n{fault}at = \"10 us\"\nuntil = \"30 us\"\n", permutation(""))
    };
    for fault in [
        "kind = \"drop-random\"\nratio = 0.01\n",
        "kind = \"drop-periodic\"\nevery = 100\n",
        "kind = \"drop-periodic\"\nevery = 2\nlink = [\"tor:0\", \"agg:0\"]\n",
    ] {
        let outcome = run(&text(fault));
        let sum = counters(&outcome);
        assert_eq!(one(&outcome).completed, 32, "{fault}");
        assert!(sum.dropped_injected > 10, "{fault}: {}", sum.dropped_injected);
        assert_eq!(sum.dropped(), sum.dropped_injected);
        assert!(one(&outcome).packets.retransmitted > 0, "{fault}");
    }
}

fn incast(more: &str) -> String {
    format!(
        "[topology]\nhosts = 32\nbuffer = \"8 MiB\"\n{more}\n[workload]\nkind = \"incast\"\n\
         bytes = \"256 KiB\"\n"
    )
}

const UET_LONG: &str = "[transport]\nrto = \"10 ms\"";
const ROCE: &str = "[transport]\nkind = \"roce\"\nwindow = false";

/// Credits and pauses both keep an incast lossless, for either transport; credits without a pause.
#[test]
fn credits_and_pauses_both_lose_nothing() {
    for transport in [UET_LONG, ROCE] {
        for (flow_control, pauses) in
            [("[link]\ncbfc = true\n", false), ("[switch]\nlossless = true\n", true)]
        {
            let outcome = run(&incast(&format!("{flow_control}{transport}")));
            let (found, sum) = (one(&outcome), counters(&outcome));
            assert_eq!(found.completed, 31, "{transport} {flow_control}");
            let packets = found.packets;
            assert_eq!((packets.dropped, packets.trimmed, packets.retransmitted), (0, 0, 0));
            assert_eq!(packets.pauses > 0, pauses, "{transport} {flow_control}");
            assert_eq!(sum.credit_stalls > 0, !pauses, "{transport} {flow_control}");
            assert_eq!(sum.credit_updates > 0, !pauses);
        }
    }
}

/// A permutation without contention runs as fast over credits as over pauses.
#[test]
fn credits_cost_no_rate() {
    let text = |flow_control: &str| {
        format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 16\n{flow_control}[transport]\n\
             kind = \"roce\"\n[workload]\nkind = \"permutation\"\nbytes = \"2 MB\"\n"
        )
    };
    let pauses = figures(&text("")).fct_us.max;
    let credits = figures(&text("[link]\ncbfc = true\n")).fct_us.max;
    assert!((credits / pauses - 1.0).abs() < 1e-3, "{credits} us, with pauses {pauses} us");
}

/// Errors, retry, drops, credits and pauses together: one digest for any threads and shards.
#[test]
fn digests_do_not_depend_on_threads_or_shards() {
    let fault = "[[fault]]\nkind = \"drop-random\"\nratio = 0.002\nat = \"5 us\"\n\
        [[fault]]\nkind = \"bit-errors\"\nfer = 0.01\nlink = [\"tor:0\", \"agg:0\"]\n\
        at = \"3 us\"\nuntil = \"20 us\"\n";
    let link = "fer = 1e-3\nllr = true\nllr_frames = 40";
    for text in [
        permutation(link),
        permutation("ber = 1e-3"),
        incast(&format!("[link]\ncbfc = true\n{link}\n{ROCE}")),
        incast(&format!("[link]\n{link}\n{ROCE}")),
        incast(&format!("[link]\ncbfc = true\nfer = 1e-3\n{UET_LONG}")),
    ] {
        let text = format!("{text}{fault}");
        let digest = |threads, shards| one(&run_on(&text, &[], threads, shards)).digest.clone();
        let first = digest(1, 1);
        for (threads, shards) in [(1, 4), (2, 4), (3, 4), (3, 7)] {
            assert_eq!(
                digest(threads, shards),
                first,
                "{threads} threads, {shards} shards: {text}"
            );
        }
    }
}

/// Trimmed packets get their share beside data and no more; with control they go before it.
#[test]
fn trimmed_packets_share_by_weight() {
    let run = |weight: &str| {
        figures(&format!(
            "[topology]\nhosts = 32\n[switch]\n{weight}\n[workload]\nkind = \"incast\"\n\
             bytes = \"500 KB\"\n"
        ))
    };
    let (default, quarter) = (run(""), run("trimmed_weight = 0.25"));
    let (first, half) = (run("trimmed_weight = 0"), run("trimmed_weight = 0.5"));
    assert_eq!(default.digest, quarter.digest);
    assert_ne!(default.digest, first.digest);
    assert_ne!(default.digest, half.digest);
    for found in [default, first, half] {
        assert_eq!((found.completed, found.packets.dropped), (31, 0));
        assert_eq!(found.packets.retransmitted, found.packets.trimmed);
    }
}
