//! Times of collectives against their closed forms: a message of b bytes takes α + β·b, and a rank sends one at a time.

use ultraloom_tests::figures;

/// Ranks on one switch, whose ports nothing else uses.
fn time(ranks: u32, workload: &str) -> f64 {
    let text =
        format!("[topology]\nkind = \"single-switch\"\nhosts = {ranks}\n[workload]\n{workload}");
    figures(&text).collective.expect("a collective that finished").time_us
}

/// α and β in microseconds and microseconds a byte, from messages of two sizes that each rank sends to the next.
struct Line {
    alpha: f64,
    beta: f64,
}

impl Line {
    fn measure(ranks: u32) -> Line {
        let one = |bytes: u64| time(ranks, &format!("kind = \"send-receive\"\nbytes = {bytes}"));
        let (short, long) = (1 << 16, 1 << 22);
        let beta = (one(long) - one(short)) / (long - short) as f64;
        Line { alpha: one(short) - beta * short as f64, beta }
    }

    fn time(&self, bytes: f64) -> f64 {
        self.alpha + self.beta * bytes
    }
}

/// Every algorithm whose messages do not meet at a port takes what its formula says, within 1 %.
#[test]
fn times_are_those_of_the_closed_forms() {
    let n = 8u32;
    let line = Line::measure(n);
    let t = |bytes: f64| line.time(bytes);
    // The rate: 4096 B of payload in frames of 4202 + 20 B at 400 Gb/s; acknowledgements take some as well.
    assert!((line.beta / (4_222.0 / 4_096.0 * 20e-6) - 1.0).abs() < 0.01, "{}", line.beta);
    let s = 16.0 * 1024.0 * 1024.0;
    let ranks = f64::from(n);
    let halves = t(s / 2.0) + t(s / 4.0) + t(s / 8.0);
    let pair = s / ranks;
    let cases = [
        ("all-reduce", "algorithm = \"ring\"", 2.0 * (ranks - 1.0) * t(s / ranks)),
        ("all-reduce", "algorithm = \"halving-doubling\"", 2.0 * halves),
        ("all-gather", "algorithm = \"ring\"", (ranks - 1.0) * t(s / ranks)),
        ("all-gather", "algorithm = \"bruck\"", halves),
        ("all-gather", "algorithm = \"halving-doubling\"", halves),
        ("reduce-scatter", "algorithm = \"ring\"", (ranks - 1.0) * t(s / ranks)),
        ("reduce-scatter", "algorithm = \"halving-doubling\"", halves),
        ("all-to-all", "algorithm = \"bruck\"", 3.0 * t(4.0 * s / ranks)),
        ("all-to-all", "algorithm = \"pairwise\"", (ranks - 1.0) * (t(pair) + line.alpha)),
        ("broadcast", "algorithm = \"tree\"\nroot = 3", 3.0 * t(s) + 2.0 * line.alpha),
        (
            "broadcast",
            "algorithm = \"ring\"\nchunks = 16",
            7.0 * t(s / 16.0) + 15.0 * line.beta * s / 16.0,
        ),
        ("reduce", "algorithm = \"tree\"", 3.0 * t(s)),
        (
            "reduce",
            "algorithm = \"ring\"\nchunks = 16\nroot = 5",
            7.0 * t(s / 16.0) + 15.0 * line.beta * s / 16.0,
        ),
        ("gather", "algorithm = \"tree\"", halves),
        ("scatter", "algorithm = \"tree\"", halves + 2.0 * line.alpha),
        ("send-receive", "", t(s)),
    ];
    for (kind, how, formula) in cases {
        let bytes = if kind == "all-to-all" { s / ranks } else { s };
        let found = time(n, &format!("kind = {kind:?}\nbytes = {bytes}\n{how}"));
        let off = found / formula - 1.0;
        assert!(
            off.abs() < 0.01,
            "{kind} {how}: {found} us, formula {formula} us, {:.2} %",
            off * 100.0
        );
    }
}

/// Rings side by side hide each other's latency: no sooner than the bytes need, no later than one ring.
#[test]
fn channels_hide_latency() {
    let line = Line::measure(8);
    let ring = |channels: u32| {
        time(
            8,
            &format!(
                "kind = \"all-reduce\"\nbytes = \"1 MiB\"\nalgorithm = \"ring\"\nchannels = {channels}"
            ),
        )
    };
    let bytes = 14.0 * line.beta * f64::from(1 << 17);
    let (one, four) = (ring(1), ring(4));
    assert!(four > bytes && four < 0.9 * one, "{bytes} {four} {one}");
}

/// Adding up takes its time at each step that adds, the protocol its share of the wire, and each message its overhead.
#[test]
fn costs_are_paid_where_they_arise() {
    let ring = |more: &str| {
        time(4, &format!("kind = \"all-reduce\"\nbytes = \"8 MB\"\nalgorithm = \"ring\"\n{more}"))
    };
    let plain = ring("");
    // Three steps add 2 MB each at 200 GB/s.
    assert!((ring("reduce_rate = \"1600 Gb/s\"") - plain - 30.0).abs() < 0.2);
    assert!((ring("step_overhead = \"5 us\"") - plain - 30.0).abs() < 0.5);
    assert!((ring("protocol = \"ll\"") / plain - 2.0).abs() < 0.05);
    assert!((ring("protocol = \"ll128\"") / plain - 128.0 / 120.0).abs() < 0.02);
}

/// Within domains first, an all-reduce leaves the slow network an eighth of the bytes: so much faster it is than a ring.
#[test]
fn domains_first_spares_the_slow_network() {
    let text = |algorithm: &str| {
        format!(
            "[topology]\nkind = \"rail-optimised\"\nhosts = 32\nservers_per_group = 4\n\
             scale_up = {{ domain = 8, rate = \"3200 Gb/s\" }}\n[workload]\nkind = \"all-reduce\"\n\
             bytes = \"64 MB\"\nalgorithm = {algorithm:?}"
        )
    };
    let time = |algorithm: &str| figures(&text(algorithm)).collective.unwrap().time_us;
    let (ring, hierarchical) = (time("ring"), time("hierarchical"));
    // 64 MB / 8 over four servers at 400 Gb/s, 2 · 3/4 of it; within a server 2 · 7/8 of 64 MB at 3200 Gb/s.
    let formula = 2.0 * 0.75 * 8e6 * 20.6e-6 + 2.0 * 0.875 * 64e6 * 2.58e-6;
    assert!((hierarchical / formula - 1.0).abs() < 0.1, "{hierarchical} {formula}");
    assert!(ring / hierarchical > 4.0, "{ring} {hierarchical}");
}

/// On rails alone, collectives within domains first need no spines, and cost no more than with them.
#[test]
fn rails_alone_carry_hierarchical_collectives() {
    let text = |kind: &str, load: &str| {
        format!(
            "[topology]\nkind = {kind:?}\nhosts = 32\nscale_up = {{ domain = 8, rate = \"3200 Gb/s\" }}\n\
             [workload]\nkind = {load:?}\nbytes = \"1 MB\"\nalgorithm = \"hierarchical\""
        )
    };
    for load in ["all-reduce", "all-to-all", "all-gather", "reduce-scatter"] {
        let time = |kind: &str| figures(&text(kind, load)).collective.unwrap().time_us;
        let (alone, joined) = (time("rail-only"), time("rail-optimised"));
        assert!((alone / joined - 1.0).abs() < 0.02, "{load}: {alone} {joined}");
    }
}

/// An all-to-all by table moves what the table says; what it leaves out is not sent.
#[test]
fn an_all_to_all_follows_its_table() {
    let folder = std::env::temp_dir().join(format!("ultraloom-exchange-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("exchange.csv");
    // Rank 0 gets most, as the one with the busy expert.
    std::fs::write(
        &file,
        "0,1000,1000,0\n4000000,0,1000,1000\n4000000,0,0,1000\n4000000,1000,0,0\n",
    )
    .unwrap();
    for algorithm in ["windowed", "direct", "pairwise", "bruck", "hierarchical"] {
        let text = format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 4\n[workload]\nkind = \"all-to-all\"\n\
             algorithm = {algorithm:?}\ndomain = 2\nfile = {file:?}"
        );
        let figures = figures(&text);
        let time = figures.collective.unwrap().time_us;
        // 12 MB into one port, whoever brings them.
        assert!(time > 12e6 * 20e-6 && time < 2.0 * 12e6 * 20.7e-6, "{algorithm}: {time}");
        if algorithm == "direct" {
            assert_eq!(figures.flows, 9);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// `auto` is as fast as the best of the algorithms it knows, for a short buffer and for a long one.
#[test]
fn auto_takes_the_fastest() {
    for bytes in ["4 KiB", "32 MiB"] {
        let of = |algorithm: &str| {
            time(
                16,
                &format!("kind = \"all-reduce\"\nbytes = {bytes:?}\nalgorithm = {algorithm:?}"),
            )
        };
        let best =
            ["ring", "halving-doubling", "double-tree"].map(of).into_iter().fold(1e9, f64::min);
        let auto = of("auto");
        assert!(auto <= best * 1.02, "{bytes}: {auto} {best}");
    }
}
