//! What tests of `ultraloom live` share: sessions in namespaces, and programs that run on their hosts.

#![allow(dead_code, reason = "each file of tests uses what it needs")]

pub(crate) mod damage;
pub(crate) mod tools;

use std::fs::File;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::place::Place;

/// Sessions run one at a time: a start removes what others have left, and lags are their own.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether namespaces can be made here, with the programs that a test needs.
pub(crate) fn can_run(programs: &[&str]) -> bool {
    let is_there = |program: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let mut needed = ["ip", "ethtool"].iter().chain(programs);
    if let Some(missing) = needed.find(|program| !is_there(program)) {
        eprintln!("SKIP: {missing} is not installed");
        return false;
    }
    // Tests that begin together ask once.
    static MADE: OnceLock<bool> = OnceLock::new();
    let made = *MADE.get_or_init(|| {
        let name = format!("ultraloom-probe-{}", std::process::id());
        let made = ip(&["netns", "add", &name]).status.success();
        ip(&["netns", "del", &name]);
        made
    });
    if !made {
        eprintln!("SKIP: namespaces cannot be made here");
    }
    made
}

pub(crate) fn ip(arguments: &[&str]) -> Output {
    Command::new("ip").args(arguments).output().expect("ip starts")
}

/// The hosts of `number = [0, 1, 7]`; none of a scenario that attaches nobody.
fn hosts(scenario: &str) -> Vec<u32> {
    let list = scenario.split("number = [").nth(1).and_then(|rest| rest.split(']').next());
    let numbers = list.into_iter().flat_map(|list| list.split(','));
    numbers.map(|number| number.trim().parse().expect("a number")).collect()
}

/// A session that runs until it is told to end.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) child: Child,
    pub(crate) place: Place,
    hosts: Vec<u32>,
}

impl Session {
    /// Starts a session of a scenario.
    pub(crate) fn spawn(name: &str, scenario: &str, arguments: &[&str]) -> Session {
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
        Session { name, child, place, hosts: hosts(scenario) }
    }

    /// The same, and waits until its namespaces are there.
    pub(crate) fn start(name: &str, scenario: &str, arguments: &[&str]) -> Session {
        let session = Session::spawn(name, scenario, arguments);
        let last = session.namespace(*session.hosts.last().expect("a host is attached"));
        for _ in 0..600 {
            let up = ip(&["-n", &last, "route", "get", "10.0.0.1"]).status.success();
            if up {
                return session;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no namespaces: {}", session.text("err.txt"));
    }

    pub(crate) fn namespace(&self, host: u32) -> String {
        format!("ultraloom-{}-h{host}", self.name)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.place.0.join(file)).unwrap_or_default()
    }

    /// A program on a host.
    pub(crate) fn on(&self, host: u32, program: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).args(program);
        command
    }

    /// A program of this binary on a host: see [`tools`].
    pub(crate) fn tool(&self, host: u32, what: &str) -> Command {
        let own = std::env::current_exe().expect("this binary");
        let own = own.to_string_lossy().into_owned();
        let mut command = self.on(host, &[&own, "tool", "--exact", "--ignored", "--nocapture"]);
        command.env(tools::WHAT, what);
        command
    }

    /// What such a program says; a program that fails says why.
    pub(crate) fn told(&self, host: u32, what: &str) -> String {
        let output = self.tool(host, what).output().expect("it starts");
        tools::said(&output)
    }

    pub(crate) fn output(&self, host: u32, program: &[&str]) -> String {
        let output = self.on(host, program).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Tells it to end with `signal`; its exit code and what it printed.
    pub(crate) fn end(&mut self, signal: &str) -> (Option<i32>, Value) {
        let id = self.child.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill");
        self.wait()
    }

    /// Waits for its end: its exit code and what it printed.
    pub(crate) fn wait(&mut self) -> (Option<i32>, Value) {
        let status = self.child.wait().expect("it ends");
        let told = serde_json::from_str(&self.text("out.json"));
        (status.code(), told.unwrap_or(Value::Null))
    }

    pub(crate) fn has_namespaces(&self) -> bool {
        let text = String::from_utf8(ip(&["netns", "list"]).stdout).expect("text");
        text.contains(&self.namespace(self.hosts[0]))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for host in &self.hosts {
            ip(&["netns", "del", &self.namespace(*host)]);
        }
    }
}

/// Eight hosts on four leaves and two spines; links of 1 ms, so that machines that are busy can be told from the model.
pub(crate) const FAR: &str = "name = \"far\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\nspines = 2\n\
    link_rate = \"100 Mb/s\"\nlink_delay = \"1 ms\"\n[live]\ntolerance = \"200 ms\"\n[[host]]\nnumber = [0, 1, 7]\n\
    attach = \"veth\"\n";

/// Least round trip that `ping` prints, in microseconds.
pub(crate) fn least(ping: &str) -> f64 {
    let line =
        ping.lines().find(|line| line.contains("min/avg/max")).unwrap_or_else(|| panic!("{ping}"));
    let least = line.split('=').nth(1).and_then(|rest| rest.split('/').next()).expect("a time");
    least.trim().parse::<f64>().expect("a number") * 1e3
}

/// What a ping takes by the model over so many links of [`FAR`], there and back, in microseconds.
pub(crate) fn way(links: f64) -> f64 {
    // An echo is a frame of 102 B; with preamble and gap it takes 9.76 us a link at 100 Mb/s.
    2.0 * (links * (1_000.0 + 9.76) + (links - 1.0) * 0.4 + 0.5)
}
