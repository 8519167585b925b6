//! `ultraloom live`: real hosts in namespaces that the command makes. Skipped, with the reason, where that cannot be done.

mod place;

use std::fs::File;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use place::Place;
use serde_json::Value;

/// Sessions run one at a time: a start removes what others have left, and lags are their own.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether namespaces can be made here, with the programs that a test needs.
fn can_run(programs: &[&str]) -> bool {
    let is_there = |program: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let mut needed = ["ip", "ethtool"].iter().chain(programs);
    if let Some(missing) = needed.find(|program| !is_there(program)) {
        eprintln!("SKIP: {missing} is not installed");
        return false;
    }
    let name = format!("ultraloom-probe-{}", std::process::id());
    let made = ip(&["netns", "add", &name]).status.success();
    ip(&["netns", "del", &name]);
    if !made {
        eprintln!("SKIP: namespaces cannot be made here");
    }
    made
}

fn ip(arguments: &[&str]) -> Output {
    Command::new("ip").args(arguments).output().expect("ip starts")
}

/// A session that runs until it is told to end.
struct Session {
    name: String,
    child: Child,
    place: Place,
}

impl Session {
    /// Starts a session of a scenario and waits until its namespaces are there.
    fn start(name: &str, scenario: &str, arguments: &[&str]) -> Session {
        let place = Place::new(&format!("live-{name}"));
        place.file("lab.toml", scenario);
        let name = format!("{name}-{}", std::process::id());
        let file = |file: &str| File::create(place.0.join(file)).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
            .current_dir(&place.0)
            .args(["live", "lab.toml", "--session", &name, "--output", "json"])
            .args(arguments)
            .stdout(file("out.json"))
            .stderr(file("err.txt"))
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let session = Session { name, child, place };
        let last = session.namespace(session.last_host(scenario));
        for _ in 0..600 {
            let up = ip(&["-n", &last, "route", "get", "10.0.0.1"]).status.success();
            if up {
                return session;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no namespaces: {}", session.text("err.txt"));
    }

    /// The last host of `number = [0, 1, 7]`.
    fn last_host(&self, scenario: &str) -> u32 {
        let list = scenario.split("number = [").nth(1).and_then(|rest| rest.split(']').next());
        let last = list.and_then(|list| list.rsplit(',').next()).expect("a list of hosts");
        last.trim().parse().expect("a number")
    }

    fn namespace(&self, host: u32) -> String {
        format!("ultraloom-{}-h{host}", self.name)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.place.0.join(file)).unwrap_or_default()
    }

    /// A program on a host.
    fn on(&self, host: u32, program: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).args(program);
        command
    }

    fn output(&self, host: u32, program: &[&str]) -> String {
        let output = self.on(host, program).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Tells it to end with `signal`; its exit code and what it printed.
    fn end(&mut self, signal: &str) -> (Option<i32>, Value) {
        let id = self.child.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill");
        let status = self.child.wait().expect("it ends");
        let told = serde_json::from_str(&self.text("out.json"));
        (status.code(), told.unwrap_or(Value::Null))
    }

    fn has_namespaces(&self) -> bool {
        let text = String::from_utf8(ip(&["netns", "list"]).stdout).expect("text");
        text.contains(&self.namespace(0))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for host in 0..8 {
            ip(&["netns", "del", &self.namespace(host)]);
        }
    }
}

/// Eight hosts on four leaves and two spines; links of 1 ms, so that machines that are busy can be told from the model.
const FAR: &str = "name = \"far\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\nspines = 2\n\
    link_rate = \"100 Mb/s\"\nlink_delay = \"1 ms\"\n[live]\ntolerance = \"200 ms\"\n[[host]]\nnumber = [0, 1, 7]\n\
    attach = \"veth\"\n";

/// Least round trip that `ping` prints, in microseconds.
fn least(ping: &str) -> f64 {
    let line =
        ping.lines().find(|line| line.contains("min/avg/max")).unwrap_or_else(|| panic!("{ping}"));
    let least = line.split('=').nth(1).and_then(|rest| rest.split('/').next()).expect("a time");
    least.trim().parse::<f64>().expect("a number") * 1e3
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
    // An echo is a frame of 102 B; with preamble and gap it takes 9.76 us a link at 100 Mb/s.
    let way = |links: f64| 2.0 * (links * (1_000.0 + 9.76) + (links - 1.0) * 0.4 + 0.5);
    let lag = told["lag"]["max_us"].as_f64().expect("a lag");
    for (ping, links) in [(near, 2.0), (far, 4.0)] {
        assert!(ping.contains("8 received"), "{ping}");
        let (found, model) = (least(&ping), way(links));
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

/// Goodput of two TCP connections to one receiver over its link of 100 Mb/s, in Mb/s, and what the session told.
fn two_to_one(attempt: u32) -> (f64, Value) {
    let scenario = FAR.replace("1 ms", "20 us").replace(
        "[live]",
        "[switch]\nqueue = \"256 KiB\"\necn_kmin = \"32 KiB\"\necn_kmax = \"64 KiB\"\n[live]",
    );
    let mut session = Session::start(&format!("iperf{attempt}"), &scenario, &[]);
    for host in [0, 1, 7] {
        session.output(host, &["sysctl", "-w", "net.ipv4.tcp_ecn=1"]);
    }
    let serve = |port: &str| {
        let mut server = session.on(7, &["iperf3", "-s", "-1", "-p", port]);
        server.stdout(Stdio::null()).spawn().expect("iperf3 starts")
    };
    let mut servers = ["5201", "5202"].map(serve);
    std::thread::sleep(Duration::from_millis(500));
    let client = |host: u32, port: &str| {
        let arguments = ["iperf3", "-c", "10.0.0.8", "-p", port, "-t", "4", "-O", "1", "-J"];
        session.on(host, &arguments).stdout(Stdio::piped()).spawn().expect("iperf3 starts")
    };
    let clients = [client(0, "5201"), client(1, "5202")];
    let rates = clients.map(|client| {
        let output = client.wait_with_output().expect("it ends");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or_else(|| panic!("{told}"))
    });
    servers.iter_mut().for_each(|server| drop(server.kill().and_then(|()| server.wait())));
    ((rates[0] + rates[1]) / 1e6, session.end("-TERM").1)
}

/// TCP gets what the emulated bottleneck leaves it, and with ECN sees marks. A machine that is busy with something else may take away from
/// that, so one attempt of three is enough; no attempt gets more.
#[test]
fn tcp_fills_the_emulated_bottleneck() {
    if !can_run(&["iperf3"]) {
        return;
    }
    let _alone = alone();
    let mut found = Vec::new();
    for attempt in 0..3 {
        let (sum, told) = two_to_one(attempt);
        assert!(sum < 96.0, "{sum} Mb/s of 100: {told}");
        found.push((sum, told["frames"]["marked"].as_u64().unwrap_or(0)));
        if found.iter().any(|(sum, marked)| *sum > 88.0 && *marked > 10) {
            return;
        }
    }
    panic!("goodput in Mb/s and frames marked: {found:?}");
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
    place.file("journal", "no journal");
    assert!(place.refused(&["live", "--replay", "journal"]).contains("it is no journal"));
    assert!(place.refused(&["live", "--replay", "nowhere"]).contains("nowhere"));
    place.file("lab.toml", "[[host]]\nnumber = 0\nattach = \"veth\"\n");
    assert!(place.refused(&["run", "lab.toml"]).contains("ultraloom live"));
}
