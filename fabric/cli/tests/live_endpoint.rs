//! `ultraloom endpoint`: transports over real sockets, through the fabric of a live session. Skipped, with the reason, where
//! namespaces cannot be made.

mod lab;
mod place;

use std::process::Command;

use lab::{Session, alone, can_run};
use serde_json::Value;

/// Eight hosts below two leaves, short queues, losses on all links (one packet in a hundred over four of them), and one link between
/// leaf and spine that is slow, so that spraying fills its queue. Links are slow, so that a busy machine keeps up.
const LOSSY: &str = r#"
[topology]
kind = "leaf-spine"
hosts = 8
hosts_per_leaf = 4
spines = 2
link_rate = "200 Mb/s"
link_delay = "2 us"
[switch]
queue = "20 KB"
[[fault]]
kind = "drop-random"
ratio = 0.0025
[[fault]]
kind = "link-rate"
link = ["leaf:0", "spine:0"]
ratio = 0.2
[[host]]
number = [0, 1, 2, 3, 4, 5, 6, 7]
attach = "veth"
[live]
mtu = 4400
tolerance = "10 s"
"#;

/// Two hosts and nothing in their way.
const QUIET: &str = r#"
[topology]
kind = "leaf-spine"
hosts = 4
hosts_per_leaf = 2
spines = 2
link_rate = "1 Gb/s"
link_delay = "2 us"
[[host]]
number = [0, 3]
attach = "veth"
[live]
tolerance = "10 s"
"#;

/// `ultraloom endpoint` in all namespaces of a session: exit code and what it tells.
fn endpoints(session: &Session, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .current_dir(&session.place.0)
        .arg("endpoint")
        .args(arguments)
        .args(["--session", &session.name, "--timeout", "100 s", "--output", "json"])
        .output()
        .expect("it starts");
    let told = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), told)
}

/// A count of the transports of all ranks together.
fn sum(told: &Value, count: &str) -> u64 {
    let ranks = told["ranks"].as_array().expect("ranks");
    ranks.iter().filter_map(|rank| rank["packets"][count].as_u64()).sum()
}

/// An all-reduce among eight namespaces, over links that lose one frame in a hundred and queues that trim, has the right sums; each
/// message comes once, and what was lost, trimmed and overtaken is told.
#[test]
fn an_all_reduce_is_right_over_links_that_lose_and_trim() {
    let _alone = alone();
    if !can_run(&[]) {
        return;
    }
    let mut session = Session::start("reduce", LOSSY, &[]);
    for transport in ["uet", "roce"] {
        let arguments =
            ["all-reduce", "--bytes", "4 MiB", "--transport", transport, "--rate", "200 Mb/s"];
        let (code, told) = endpoints(&session, &arguments);
        assert_eq!((code, &told["right"]), (Some(0), &true.into()), "{transport}: {told}");
        let ranks = told["ranks"].as_array().expect("ranks");
        assert_eq!(ranks.len(), 8);
        for rank in ranks {
            let messages = (&rank["messages_sent"], &rank["messages_received"]);
            assert_eq!(messages, (&14.into(), &14.into()), "{rank}");
            assert_eq!(rank["refused"]["messages_twice"], 0);
            assert_eq!(rank["messages_damaged"], 0);
            assert_eq!(rank["checksum"], ranks[0]["checksum"], "all have the same sums");
        }
        assert!(sum(&told, "retransmitted") > 0, "{transport}: {told}");
        assert!(sum(&told, "out_of_order") > 0, "{transport}: {told}");
        assert_eq!(sum(&told, "trimmed") > 0, transport == "uet", "{transport}: {told}");
    }
    let (_, told) = session.end("-INT");
    assert!(told["fabric"]["trimmed"].as_u64() > Some(0), "{told}");
    assert!(told["taken"]["uet"].as_u64() > Some(1_000), "{told}");
    assert!(told["taken"]["roce"].as_u64() > Some(1_000), "{told}");
    assert_eq!(told["taken"]["malformed"], 0);
}

/// A file arrives to the byte, round trips are measured, and a round trip takes no less than the modelled way, nor does it usually wait
/// for a timer.
#[test]
fn a_file_arrives_and_round_trips_are_measured() {
    let _alone = alone();
    if !can_run(&[]) {
        return;
    }
    let mut session = Session::start("file", QUIET, &[]);
    let bytes: Vec<u8> = (0..2_500_000u64).map(|place| ((place * place) >> 7) as u8).collect();
    std::fs::write(session.place.0.join("file"), &bytes).expect("a file");
    for transport in ["uet", "roce"] {
        let peers = ["--peers", "10.0.0.1,10.0.0.4", "--transport", transport];
        let own = env!("CARGO_BIN_EXE_ultraloom");
        let copy = format!("copy-{transport}");
        let start = |host: u32, job: &[&str]| {
            let mut command = session.on(host, &[own, "endpoint"]);
            command.current_dir(&session.place.0).args(job).args(peers);
            command.spawn().expect("it starts")
        };
        let receive = ["receive", "--rank", "1", "--from", "0", "--file", copy.as_str()];
        let mut receiver = start(3, &receive);
        let mut sender = start(0, &["send", "--rank", "0", "--to", "1", "--file", "file"]);
        assert!(sender.wait().expect("it ends").success());
        assert!(receiver.wait().expect("it ends").success());
        assert!(
            std::fs::read(session.place.0.join(&copy)).expect("a copy") == bytes,
            "{transport}"
        );

        let (code, told) = endpoints(&session, &["ping-pong", "--transport", transport]);
        assert_eq!(code, Some(0), "{told}");
        // Four links of 2 us there and back.
        let of = |what: &str| told["ranks"][0]["round_trips"][what].as_f64().expect("a time");
        let (least, median) = (of("min_us"), of("p50_us"));
        assert!(least > 16.0, "{least}");
        assert!(median < 25_000.0, "{median}");
    }
    session.end("-INT");
}
