//! `ultraloom live`: real hosts in namespaces that the command makes. Skipped, with the reason, where that cannot be done.

mod lab;
mod place;

use std::process::Command;

use lab::{FAR, Session, alone, can_run, least};
use place::Place;
use serde_json::Value;

/// Programs that the tests start on hosts.
#[test]
#[ignore = "other tests start it in namespaces"]
fn tool() {
    lab::tools::run();
}

/// A ping takes the modelled way: never less, and no more than 100 us and the measured lag beyond. The journal, run again offline, gives
/// the same digest.
#[test]
fn pings_take_the_modelled_way_and_journals_give_the_digest() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let mut session = Session::start("ping", FAR, &["--journal", "journal"]);
    let near = session.output(0, &["ping", "-c", "8", "-i", "0.1", "10.0.0.2"]);
    let far = session.output(0, &["ping", "-c", "8", "-i", "0.1", "10.0.0.8"]);
    let (code, told) = session.end("-INT");
    assert_eq!((code, &told["valid"]), (Some(0), &Value::Bool(true)), "{told}");
    let lag = told["lag"]["max_us"].as_f64().expect("a lag");
    for (ping, links) in [(near, 2.0), (far, 4.0)] {
        assert!(ping.contains("8 received"), "{ping}");
        let (found, model) = (least(&ping), lab::way(links));
        // `ping` prints whole microseconds.
        assert!(found >= model - 1.0, "{found} us over {links} links, and the model takes {model}");
        assert!(found <= model + 100.0 + 2.0 * lag, "{found} us, {model} by the model, lag {lag}");
    }
    assert!(
        told["taken"]["ipv4"].as_u64() >= Some(32) && told["taken"]["arp"].as_u64() >= Some(4),
        "{told}"
    );
    let output = session.place.ultraloom(&["live", "--replay", "journal", "--output", "json"]);
    let replayed: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(output.status.success(), "{replayed}");
    assert_eq!(replayed["digest"], told["digest"]);
    assert!(replayed["hops"].as_u64() > Some(100), "{replayed}");
}

/// Namespaces and interfaces go with the session; what a killed one leaves, the next start removes.
#[test]
fn nothing_is_left_behind() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let mut session = Session::start("left", FAR, &[]);
    assert!(session.has_namespaces());
    session.end("-TERM");
    assert!(!session.has_namespaces(), "after SIGTERM");
    let mut killed = Session::start("killed", FAR, &[]);
    killed.end("-KILL");
    assert!(killed.has_namespaces(), "nobody was there to remove them");
    let mut next = Session::start("next", FAR, &[]);
    assert!(!killed.has_namespaces(), "the next start has removed them");
    next.end("-INT");
    assert!(next.text("err.txt").contains(&killed.name), "{}", next.text("err.txt"));
}

/// Simulated hosts answer ARP, pings, TCP and UDP, among the packets that they send to each other, at the model's pace; a port
/// that they do not serve refuses. A journal of all that gives the same digest.
#[test]
fn simulated_hosts_answer() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let busy = format!("{FAR}[workload]\nkind = \"permutation\"\nbytes = \"20 MB\"\n");
    let mut session = Session::start("answer", &busy, &["--journal", "journal"]);
    let ping = session.output(0, &["ping", "-c", "8", "-i", "0.1", "10.0.0.3"]);
    assert!(ping.contains("8 received"), "{ping}");
    // Near and far, from one host and from two.
    assert_eq!(session.told(0, "echo 10.0.0.3:7 1000000"), "the same");
    assert_eq!(session.told(7, "echo 10.0.0.7:7 300000"), "the same");
    assert_eq!(session.told(0, "characters 10.0.0.6:19 740000"), "10000 lines,  !\"#");
    assert_eq!(session.told(1, "discard 10.0.0.3:9 1000000"), "0 B came back");
    assert_eq!(session.told(1, "datagrams 10.0.0.5:7 50"), "50 came back");
    assert_eq!(session.told(0, "refused 10.0.0.3:80"), "connection refused");
    let (code, told) = session.end("-INT");
    assert_eq!(code, Some(0), "{told}");
    let (found, lag) = (least(&ping), told["lag"]["max_us"].as_f64().expect("a lag"));
    let model = lab::way(4.0);
    // Both ways may wait for the packets of others: some of 4 KiB at each of four queues.
    assert!(found >= model - 1.0 && found <= model + 10_000.0 + 2.0 * lag, "{found}, {model}");
    let frames = &told["frames"];
    assert!(frames["answered"].as_u64() > Some(1_000), "{told}");
    assert!(frames["answers"].as_u64() > Some(1_000), "{told}");
    assert_eq!(frames["unanswered"], 0, "{told}");
    assert!(frames["taken"].is_null() && told["taken"]["ipv4"].is_u64(), "{told}");
    let output = session.place.ultraloom(&["live", "--replay", "journal", "--output", "json"]);
    let replayed: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(output.status.success(), "{replayed}");
}

/// Where they are told not to, they answer nothing, and that is counted.
#[test]
fn simulated_hosts_may_be_silent() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let silent = FAR.replace("[live]", "[live]\nanswer = false");
    let mut session = Session::start("silent", &silent, &[]);
    let ping = session.output(0, &["ping", "-c", "1", "-W", "1", "10.0.0.3"]);
    assert!(ping.contains(" 0 received"), "{ping}");
    let (_, told) = session.end("-INT");
    assert!(told["frames"]["unanswered"].as_u64() > Some(0), "{told}");
    assert_eq!(told["frames"]["answers"], 0, "{told}");
}

/// The lines that tshark prints for a capture: with a filter, the fields asked for.
fn tshark(session: &Session, file: &str, filter: &str, fields: &[&str]) -> Vec<String> {
    let path = session.place.0.join(file);
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Ports are captured while real frames pass: whole, in order of time, beside packets of simulated hosts; and the journal's replay
/// captures the same.
#[test]
fn ports_are_captured() {
    if !can_run(&["ping", "tshark"]) {
        return;
    }
    let _alone = alone();
    let captured = format!(
        "{FAR}[workload]\nkind = \"permutation\"\nbytes = \"1 MB\"\n[capture]\nports = [\"host:0\", \"leaf:3 host:7\"]\n"
    );
    let arguments = ["--journal", "journal", "--out", "out"];
    let mut session = Session::start("capture", &captured, &arguments);
    let ping = session.output(0, &["ping", "-c", "5", "-i", "0.1", "10.0.0.8"]);
    assert!(ping.contains("5 received"), "{ping}");
    let (code, told) = session.end("-INT");
    assert_eq!(code, Some(0), "{told}");
    let lines = |filter: &str, fields: &[&str]| tshark(&session, "out/base.pcapng", filter, fields);
    let echoes = |kind: u8, interface: u8| {
        let filter = format!("icmp.type == {kind} && frame.interface_id == {interface}");
        lines(&filter, &["icmp.seq", "ip.src", "frame.time_epoch"])
    };
    // Requests leave host 0 and reach host 7, 4 links and 3 switches later; replies go back.
    for (kind, from) in [(8, "10.0.0.1"), (0, "10.0.0.8")] {
        for port in [0, 1] {
            let found = echoes(kind, port);
            assert_eq!(found.len(), 5, "{found:?}");
            assert!(found.iter().all(|line| line.contains(from)), "{found:?}");
        }
    }
    let seconds = |line: &str| line.rsplit('\t').next().and_then(|text| text.parse::<f64>().ok());
    let at = |kind, port| seconds(&echoes(kind, port)[0]).expect("a time");
    let (sent, passed) = (at(8, 0), at(8, 1));
    // Three links of 1 ms and 9.76 us of sending lie in between, and three switches.
    assert!((passed - sent - 0.003_030_5).abs() < 0.000_02, "{sent} to {passed}");
    let times: Vec<f64> =
        lines("frame", &["frame.time_epoch"]).iter().filter_map(|line| seconds(line)).collect();
    assert!(times.is_sorted() && times.len() as u64 == told["captured"].as_u64().unwrap_or(0));
    // Wireshark guesses at UET by its source port; of real frames nothing is malformed.
    let malformed = lines("_ws.malformed && !(udp.port == 4793)", &["frame.number"]);
    assert_eq!(malformed, Vec::<String>::new());
    assert!(
        lines("icmp.checksum.status == 0 || ip.checksum.status == 0", &["frame.number"]).is_empty()
    );
    let replay = ["live", "--replay", "journal", "--out", "again"];
    assert!(session.place.ultraloom(&replay).status.success());
    let read = |file: &str| std::fs::read(session.place.0.join(file)).expect("a capture");
    assert!(read("out/base.pcapng") == read("again/base.pcapng"), "the replay captures the same");
}

/// A veth pair that a user has made, one end in a namespace; it goes with the test.
struct Pair {
    outside: String,
    namespace: String,
}

impl Pair {
    /// With the address of host 0 inside.
    fn new() -> Pair {
        let id = std::process::id();
        let pair = Pair { outside: format!("ult{id}"), namespace: format!("ult-pair-{id}") };
        let Pair { outside, namespace } = &pair;
        lab::ip(&["netns", "add", namespace]);
        let peer = ["peer", "name", "eth0", "netns", namespace];
        lab::ip(&[&["link", "add", outside, "type", "veth"], &peer[..]].concat());
        pair.inside(&["ip", "addr", "add", "10.0.0.1/8", "dev", "eth0"]);
        pair.set(&["up"]);
        pair
    }

    /// Runs a program inside; what it prints.
    fn inside(&self, program: &[&str]) -> String {
        let output = lab::ip(&[&["netns", "exec", &self.namespace], program].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Sets something of both ends.
    fn set(&self, what: &[&str]) {
        lab::ip(&[&["link", "set", "dev", &self.outside], what].concat());
        self.inside(&[&["ip", "link", "set", "dev", "eth0"], what].concat());
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        lab::ip(&["netns", "del", &self.namespace]);
        lab::ip(&["link", "del", &self.outside]);
    }
}

/// Of an interface that a user names is said which offloads are on and how to switch them off; frames longer than its MTU are told,
/// and those longer than any frame are counted under their name. Nothing else becomes of the interface, and host 0 can ping through it.
#[test]
fn named_interfaces_are_watched() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let pair = Pair::new();
    let named = format!(
        "{}[[host]]\nnumber = 0\nattach = \"interface\"\ninterface = \"{}\"\n",
        FAR.replace("1 ms", "20 us").replace("[0, 1, 7]", "[1]"),
        pair.outside
    );
    let mut session = Session::start("named", &named, &[]);
    let ping = pair.inside(&["ping", "-c", "3", "-i", "0.2", "10.0.0.2"]);
    assert!(ping.contains("3 received"), "{ping}");
    // What a wire would not do: longer frames than the interface had when it was attached.
    pair.set(&["mtu", "12000"]);
    pair.inside(&["ping", "-c", "2", "-i", "0.2", "-W", "1", "-s", "4000", "10.0.0.2"]);
    pair.inside(&["ping", "-c", "2", "-i", "0.2", "-W", "1", "-s", "9500", "10.0.0.2"]);
    let (_, told) = session.end("-INT");
    let said = session.text("err.txt");
    assert!(
        said.contains(&format!("ethtool -K {} tx off tso off gso off", pair.outside)),
        "{said}"
    );
    assert!(said.contains("host 0 sends frames longer than its MTU"), "{said}");
    assert_eq!(
        (&told["beyond_mtu"], &told["taken"]["oversized"]),
        (&4.into(), &2.into()),
        "{told}"
    );
    let there = lab::ip(&["link", "show", &pair.outside]);
    assert!(there.status.success(), "it was not made by the session, and stays");
}

/// What is wrong with a live scenario is said before anything is made.
#[test]
fn wrong_live_scenarios_are_refused() {
    let place = Place::new("live-refused");
    let refused = |text: &str| {
        place.file("lab.toml", text);
        place.refused(&["live", "lab.toml"])
    };
    assert!(
        refused("[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\nbytes = 1\n")
            .contains("attaches no host")
    );
    assert!(
        refused("[topology]\nhosts = 16\n[[host]]\nnumber = 99\nattach = \"veth\"\n")
            .contains("there is no host 99")
    );
    assert!(refused("[[host]]\nnumber = 0\nattach = \"vet\"\n").contains("veth"));
    assert!(refused("[[host]]\nnumber = [1, 1]\nattach = \"veth\"\n").contains("attached twice"));
    let text = "[topology]\nhosts = 16\n[[host]]\nnumber = 0\nattach = \"interface\"\ninterface = \"nope0\"\n";
    let message = refused(text);
    assert!(
        message.contains("no network interface `nope0`") && message.contains("lo"),
        "{message}"
    );
    let text = "[topology]\nhosts = 16\n[workload]\nkind = \"all-reduce\"\nbytes = 1000\n[[host]]\nnumber = 0\n\
        attach = \"interface\"\ninterface = \"lo\"\n";
    assert!(refused(text).contains("live runs have flows"));
    let text = "[topology]\nhosts = 16\n[[host]]\nnumber = 0\nattach = \"veth\"\n";
    place.file("lab.toml", text);
    assert!(place.refused(&["live", "lab.toml", "--out", "o"]).contains("captures nothing"));
    place.file("journal", "no journal");
    assert!(place.refused(&["live", "--replay", "journal"]).contains("it is no journal"));
    assert!(place.refused(&["live", "--replay", "nowhere"]).contains("nowhere"));
    place.file("lab.toml", "[[host]]\nnumber = 0\nattach = \"veth\"\n");
    assert!(place.refused(&["run", "lab.toml"]).contains("ultraloom live"));
}
