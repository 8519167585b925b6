//! The command as a user types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for each test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("ultraloom-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Place(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn ultraloom(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ultraloom"));
        command.current_dir(&self.0).args(arguments).output().expect("it starts")
    }

    /// Runs, expects exit code 2 and nothing on standard output or disk, and returns the message.
    fn refused(&self, arguments: &[&str]) -> String {
        let before = self.listing();
        let output = self.ultraloom(arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
        assert_eq!(self.listing(), before, "nothing is left behind");
        message
    }

    fn listing(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SMALL: &str = "name = \"small\"\n[topology]\nhosts = 16\n[workload]\nkind = \"all-reduce\"\n\
    bytes = \"1 MB\"\n[variants.uec]\n[variants.roce]\ntransport = { kind = \"roce\" }\n";

fn exists(folder: &Path) {
    for (name, start) in [
        ("summary.json", &b"{"[..]),
        ("manifest.json", b"{"),
        ("scenario.toml", b"name = \"small\""),
        ("flows.parquet", b"PAR1"),
        ("ports.parquet", b"PAR1"),
        ("completion.svg", b"<svg"),
        ("completion.png", b"\x89PNG"),
        ("completion.hlog", b"#"),
    ] {
        let content = std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(content.starts_with(start), "{name}");
    }
}

/// A run prints the variants side by side and leaves its records; a second run takes the next folder.
#[test]
fn a_run_compares_variants_and_keeps_records() {
    let place = Place::new("run");
    place.file("small.toml", SMALL);
    for folder in ["results/runs/small", "results/runs/small-2"] {
        let output = place.ultraloom(&["run", "small.toml"]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        let line = text.lines().find(|line| line.contains("bus bandwidth, Gb/s")).expect("a row");
        assert!(line.ends_with('×') && text.contains("/ uec"), "{text}");
        exists(&place.0.join(folder));
    }
}

/// `--output json` prints one object with the names that scripts rely on; the same run gives the same
/// digest for other threads, shards and folders, and from its own resolved scenario.
#[test]
fn json_is_one_object_and_runs_can_be_repeated() {
    let place = Place::new("json");
    place.file("small.toml", SMALL);
    let digest = |arguments: &[&str]| {
        let output = place.ultraloom(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        let variant = &value["variants"][1];
        assert_eq!(variant["name"], "roce");
        assert_eq!(variant["completed"], variant["flows"]);
        assert!(variant["collective"]["bus_bandwidth_gbps"].as_f64().expect("a number") > 1.0);
        assert!(variant["engine"]["hops_per_s"].as_f64().expect("a number") > 1.0);
        variant["digest"].as_str().expect("text").to_owned()
    };
    let first = digest(&["run", "small.toml", "--output", "json", "--out", "a", "--threads", "1"]);
    let other =
        ["run", "small.toml", "--output", "json", "--out", "b", "--threads", "3", "--shards", "7"];
    assert_eq!(digest(&other), first);
    assert_eq!(digest(&["run", "a/scenario.toml", "--output", "json", "--out", "c"]), first);
    let seeded = ["run", "small.toml", "--output", "json", "--out", "d", "--seed", "9"];
    assert_ne!(digest(&seeded), first);
}

/// `--output quiet` prints nothing.
#[test]
fn quiet_prints_nothing() {
    let place = Place::new("quiet");
    place.file("small.toml", SMALL);
    let output = place.ultraloom(&["run", "small.toml", "--output", "quiet"]);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
}

/// A mistake in a scenario is one error with file, line and column, and exit code 2.
#[test]
fn a_wrong_scenario_is_refused_with_its_place() {
    let place = Place::new("wrong");
    for (from, to, parts) in [
        (
            "hosts = 16",
            "hots = 16",
            &["unknown key `topology.hots`", "x.toml:3:1", "did you mean `hosts`?"][..],
        ),
        ("1 MB", "1 MiBB", &["`workload.bytes`", "MiBB", "KiB", "x.toml:6:9"]),
        (
            "\"roce\"",
            "\"rocky\"",
            &[
                "`transport.kind` is `rocky`; expected uet, roce, ndp, srd, strack or tcp",
                "x.toml:9:22",
            ],
        ),
        (
            "\"roce\"",
            "\"roce\", operation = \"read\", congestion = \"hpcc\"",
            &["`transport.operation` is `read`; expected write or send with this `congestion`"],
        ),
        (
            "\"roce\"",
            "\"roce\", operation = \"read\"",
            &["`transport.operation` is read, which moves data to the host that posts"],
        ),
        ("hosts = 16", "hosts = 1", &["`topology.hosts` is `1`", "x.toml:3:9"]),
        (
            "\"all-reduce\"",
            "\"all-reduce\"\nranks = 17",
            &["`ranks` is 17, but 2 to the number of hosts, 16"],
        ),
        (
            "\"all-reduce\"\nbytes = \"1 MB\"",
            "\"matrix\"\nfile = \"none.cm\"",
            &["none.cm: there is no such file", "x.toml:6:8"],
        ),
        (
            "hosts = 16",
            "kind = \"dumbbell\"\nhosts = 15",
            &["impossible topology: `hosts` is 15, but an even number", "x.toml:4:9"],
        ),
        (
            "hosts = 16",
            "kind = \"leaf-spine\"\nhosts = 16\noversubscription = 3",
            &["impossible topology: `oversubscription` is 3"],
        ),
        (
            "hosts = 16",
            "hosts = 16\nlink_length = \"30 m\"\nlink_delay = \"1 us\"",
            &["`topology.link_length` is `30 m`; expected nothing beside `link_delay`", "x.toml:4"],
        ),
        ("hosts = 16", "hosts = 16\nlink_length = \"30 feet\"", &["allowed are m and km"]),
        ("hosts = 16", "hosts = 16\nbuffer = \"10 KB\"", &["shared buffer of", "10000 B"]),
        (
            "hosts = 16",
            "hosts = 16\nlink_delay = \"0 us\"\nswitch_latency = \"0 us\"\nhost_latency = \"0 us\"",
            &["has no latency at all"],
        ),
    ] {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL);
        place.file("x.toml", &text);
        let message = place.refused(&["run", "x.toml"]);
        assert!(message.starts_with("error: "), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}

/// Mistakes in matrices and topology files are shown in those files.
#[test]
fn wrong_files_are_refused_with_their_place() {
    let place = Place::new("files");
    let scenario = "[workload]\nkind = \"matrix\"\nfile = \"m.cm\"\n";
    place.file("x.toml", scenario);
    place.file("m.cm", "Nodes 4\nConnections 1\n0->7 size 10\n");
    let message = place.refused(&["run", "x.toml"]);
    assert!(message.contains("host 7 is out of range; `Nodes` is 4"), "{message}");
    assert!(message.contains("m.cm:3:4"), "{message}");
    place.file("m.cm", "Nodes 4\nConnections 1\n0->1 size 10\n");
    place.file("y.toml", &format!("[topology]\nkind = \"file\"\nfile = \"t.topo\"\n{scenario}"));
    place.file("t.topo", "Nodes 4\nTears 2\n");
    let message = place.refused(&["run", "y.toml"]);
    assert!(message.contains("unknown key `Tears` (did you mean `Tiers`?)"), "{message}");
    assert!(message.contains("t.topo:2:1"), "{message}");
    place.file("z.toml", &format!("[topology]\nhosts = 2\n{scenario}"));
    let message = place.refused(&["run", "z.toml"]);
    assert!(message.contains("is written for 4 hosts; the fabric has 2"), "{message}");
}

/// Pinned paths that the fabric has not, or that contradict each other, are shown in their file.
#[test]
fn wrong_paths_are_refused_with_their_place() {
    let place = Place::new("paths");
    let text = SMALL.replacen(
        "hosts = 16",
        "kind = \"leaf-spine\"\nhosts = 16\nhosts_per_leaf = 4\nspines = 2\n\
         routing = { kind = \"pinned\", file = \"p.csv\" }",
        1,
    );
    place.file("x.toml", &text);
    for (lines, part, at) in [
        ("src,dst,spine\n0,5,2\n", "spine 2 is not there; the fabric has 2", "p.csv:2:1"),
        ("src,dst,spine\n0,5,1\n0,99,0\n", "host 99 is not there; the fabric has 16", "p.csv:3:1"),
        ("src,dst\n0,5\n", "a line has either a `spine` or a `path`", "p.csv:2:1"),
        ("src,dst,path\n0,5,leaf:0 tor:1\n", "`tor:1` is no switch", "p.csv:2:1"),
        ("src,dst,path\n0,5,leaf:0 leaf:1\n", "no link between leaf:0 and leaf:1", "p.csv:2:1"),
        (
            "src,dst,path\n0,5,leaf:0 spine:0 leaf:1\n0,5,leaf:0 spine:1 leaf:1\n",
            "at leaf:0 packets from host:0 to host 5 would go to spine:1 and, by an earlier line, to spine:0",
            "p.csv:3:1",
        ),
    ] {
        place.file("p.csv", lines);
        let message = place.refused(&["run", "x.toml"]);
        assert!(message.contains(part) && message.contains(at), "{part} in {message}");
    }
}

/// A run that deadlocks says which flows did not finish and which ports hold each other, and exits with 1.
#[test]
fn a_deadlock_is_named() {
    let place = Place::new("deadlock");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/scenarios");
    let scenario = folder.join("pfc-deadlock.toml").display().to_string();
    let output = place.ultraloom(&["run", &scenario, "--out", "out"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("unfinished: bounced, matrix: 8 flows did not finish"), "{errors}");
    assert!(errors.contains("deadlock: these ports pause each other in a circle"), "{errors}");
}

/// Faults that name no link of the fabric are refused.
#[test]
fn unknown_links_are_refused() {
    let place = Place::new("links");
    for (link, part) in [
        ("[\"tor:0\", \"agg:99\"]", "there is no node `agg:99` in this fabric"),
        ("[\"tor:0\", \"tor:1\"]", "there is no link between tor:0 and tor:1"),
        ("\"tor:0\"", "is `tor:0`; expected the names of both ends"),
    ] {
        let text = format!("{SMALL}[[fault]]\nkind = \"link-down\"\nlink = {link}\n");
        place.file("x.toml", &text);
        let message = place.refused(&["run", "x.toml"]);
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// So are switches that are none, and faults whose times contradict each other.
#[test]
fn impossible_faults_are_refused() {
    let place = Place::new("faults");
    for (fault, part) in [
        ("kind = \"switch-down\"", "`fault[0].switch` is missing"),
        ("kind = \"switch-down\"\nswitch = \"host:1\"", "`host:1` is no switch"),
        ("kind = \"switch-down\"\nswitch = \"spine:1\"", "there is no node `spine:1`"),
        (
            "kind = \"link-flap\"\nlink = [\"tor:0\", \"agg:0\"]\nperiod = \"1 us\"\ndown = \"1 us\"",
            "`fault[0].down` is `1 us`; expected less than `period`, 1 us",
        ),
        ("kind = \"link-flip\"", "did you mean `link-flap`?"),
    ] {
        place.file("x.toml", &format!("{SMALL}[[fault]]\n{fault}\n"));
        let message = place.refused(&["run", "x.toml"]);
        assert!(message.contains(part), "{part} in {message}");
    }
    for (routing, part) in [
        (
            "{ kind = \"adaptive\" }",
            "expected ecmp, least-queue, two-choices, round-robin or pinned",
        ),
        ("{ flowlet_gap = \"1 us\" }", "unknown key `topology.routing.flowlet_gap`"),
        ("{ convergence = \"soon\" }", "`topology.routing.convergence`"),
    ] {
        place.file("x.toml", SMALL);
        let set = format!("topology.routing={routing}");
        let message = place.refused(&["run", "x.toml", "--set", &set]);
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// Captured ports leave a pcapng a variant, with the addresses, ports and bytes of the protocol; where tshark is
/// installed, it decodes RoCE and pauses to the last field and finds nothing malformed.
#[test]
fn captures_are_pcapng_files() {
    let place = Place::new("capture");
    let capture = "[capture]\nports = [\"host:0\", \"tor:0 agg:0\"]\nframes = 4000\n";
    let text = "name = \"small\"\n[topology]\nhosts = 16\n[workload]\nkind = \"incast\"\n\
        bytes = \"100 KB\"\n[variants.uec]\n[variants.roce]\ntransport.kind = \"roce\"\n\
        topology.buffer = \"2 MiB\"\n";
    place.file("x.toml", &format!("{text}{capture}"));
    let plain = place.file("plain.toml", text);
    let digest = |scenario: &str, out: &str| {
        let output = place.ultraloom(&["run", scenario, "--output", "json", "--out", out]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        value["variants"][1]["digest"].as_str().expect("text").to_owned()
    };
    assert_eq!(digest("x.toml", "o"), digest(&plain.display().to_string(), "p"));
    let manifest = std::fs::read_to_string(place.0.join("o/manifest.json")).expect("a manifest");
    for name in ["uec.pcapng", "roce.pcapng"] {
        assert!(manifest.contains(name), "{manifest}");
        let file = std::fs::read(place.0.join("o").join(name)).expect("a capture");
        assert!(file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "a section begins it");
        assert!(file.windows(6).any(|bytes| bytes == b"host:0"), "interfaces are named");
    }
    let Ok(output) = tshark(&place, "roce.pcapng", "infiniband || macc") else {
        eprintln!("SKIP: tshark is not installed");
        return;
    };
    let decoded = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in
        ["RDMA Write First", "RDMA Write Middle", "RDMA Write Last", "RC Acknowledge", "MAC CTRL"]
    {
        assert!(decoded.contains(part), "no {part} in {decoded}");
    }
    let whole = tshark(&place, "roce.pcapng", "frame").expect("it ran before").stdout;
    assert_eq!(lines(&whole), lines(&output.stdout), "every frame is RoCE or a pause");
    // Of UET, tshark guesses by the source port, which is the entropy value: only the outer headers count.
    let wrong = [
        ("roce.pcapng", "_ws.malformed || ip.checksum.status == 0"),
        ("uec.pcapng", "ip.checksum.status == 0"),
    ];
    for (name, filter) in wrong {
        let wrong = tshark(&place, name, filter).expect("it ran before").stdout;
        assert_eq!(lines(&wrong), 0, "malformed frames in {name}");
    }
    let uec = tshark(&place, "uec.pcapng", "udp.dstport == 4793").expect("it ran before").stdout;
    let all = tshark(&place, "uec.pcapng", "frame").expect("it ran before").stdout;
    assert!(lines(&uec) == lines(&all) && lines(&uec) > 500);
    let trimmed =
        "udp.dstport == 4793 && ip.dsfield.dscp == 18 && udp.length > 4000 && ip.len == 44";
    let trimmed = tshark(&place, "uec.pcapng", trimmed).expect("it ran before").stdout;
    assert!(lines(&trimmed) > 0, "trimmed packets keep the length that they had in UDP");
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// The frames of a capture that pass a filter, one a line.
fn tshark(place: &Place, name: &str, filter: &str) -> std::io::Result<Output> {
    let file = place.0.join("o").join(name).display().to_string();
    let check = ["-o", "ip.check_checksum:TRUE"];
    Command::new("tshark").args(["-r", &file, "-Y", filter]).args(check).output()
}

/// Captures of ports that are not there are refused.
#[test]
fn impossible_captures_are_refused() {
    let place = Place::new("captures");
    place.file("x.toml", SMALL);
    for (capture, part) in [
        ("{ ports = \"host:99\" }", "there is no node `host:99`"),
        ("{ ports = \"tor:0 core:0\" }", "tor:0 has no port towards core:0"),
        ("{ ports = \"a b c\" }", "expected a port, like"),
        ("{ ports = \"host:0\", from = \"2 us\", until = \"1 us\" }", "later than `from`, 2 us"),
        ("{ port = \"host:0\" }", "did you mean `ports`?"),
    ] {
        let set = format!("capture={capture}");
        let message = place.refused(&["run", "x.toml", "--set", &set]);
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// What cannot be read, or stands in the way, is said before anything runs.
#[test]
fn files_in_the_way_are_said() {
    let place = Place::new("way");
    place.file("small.toml", SMALL);
    place.file("taken", "x");
    std::fs::create_dir_all(place.0.join("full/of")).expect("a folder");
    assert!(place.refused(&["run", "none.toml"]).contains("none.toml: there is no such file"));
    assert!(place.refused(&["run", "full"]).contains("it is a folder"));
    let message = place.refused(&["run", "small.toml", "--out", "taken"]);
    assert!(message.contains("taken is a file") && message.contains("--out"), "{message}");
    let message = place.refused(&["run", "small.toml", "--out", "full"]);
    assert!(message.contains("full exists and is not empty"), "{message}");
    assert!(place.refused(&["run", "small.toml", "--threads", "0"]).contains("--threads"));
    assert!(
        place.refused(&["run", "small.toml", "--set", "topology.hosts"]).contains("has no `=`")
    );
}

/// A run whose flows do not finish names them, keeps its records, and exits with 1.
#[test]
fn unfinished_flows_are_named() {
    let place = Place::new("unfinished");
    place.file("small.toml", &format!("{SMALL}[run]\nuntil = \"10 us\"\n"));
    let output = place.ultraloom(&["run", "small.toml", "--out", "o"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.contains("unfinished: uec, all-reduce:"), "{message}");
    assert!(message.contains("from host ") && message.contains("never posted"), "{message}");
    exists(&place.0.join("o"));
}

/// The help names the command's options and an example.
#[test]
fn help_shows_examples() {
    let place = Place::new("help");
    let output = place.ultraloom(&["--help"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && text.contains("ultraloom run topologies/scenarios/incast.toml")
    );
}

/// Ctrl-C ends the run after the present window: what was finished is kept, and the code is 130.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_finished() {
    use std::io::Read;
    use std::process::Stdio;

    let place = Place::new("interrupt");
    let long = "name = \"small\"\n[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\n\
        bytes = \"1 MB\"\n[variants.short]\n[variants.long]\nworkload.bytes = \"1 TB\"\n";
    place.file("x.toml", long);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .current_dir(&place.0)
        .args(["run", "x.toml", "--out", "o", "--set", "run.until=1000 s"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
    let status = child.wait().expect("it ends");
    let mut message = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut message).expect("text");
    assert_eq!(status.code(), Some(130), "{message}");
    assert!(message.contains("interrupted: what was finished is kept"), "{message}");
    exists(&place.0.join("o"));
}

/// A claim that holds is said, one that is missed ends with exit code 1, and one about a figure that cannot be
/// is refused with its place.
#[test]
fn claims_are_checked() {
    let place = Place::new("claims");
    let text = |least: &str, metric: &str| {
        format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 4\n[workload]\nkind = \"incast\"\n\
             bytes = \"100 KB\"\n[variants.uec]\n[variants.roce]\ntransport = {{ kind = \"roce\" }}\n\
             [[claim]]\nname = \"three share\"\nmetric = {metric:?}\nover = \"uec.flow.0.fct_us\"\n\
             least = {least}\nsource = \"arithmetic\"\n"
        )
    };
    place.file("good.toml", &text("0.1", "roce/incast.fct_us.max"));
    let output = place.ultraloom(&["run", "good.toml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("holds: three share: "), "{said}");
    place.file("missed.toml", &text("99", "roce.slowdown.p999"));
    let output = place.ultraloom(&["run", "missed.toml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("claim MISSED: three share: "));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"holds\": false"));
    place.file("bad.toml", &text("1", "roce.fct_us.p98"));
    let message = place.refused(&["run", "bad.toml"]);
    assert!(message.contains("`roce.fct_us.p98` is no figure"), "{message}");
    assert!(message.contains("bad.toml:12:"), "{message}");
}

/// Pinned paths, topology and flow files of the ns-3 model are read together; a spine that is not there is
/// named with its line.
#[test]
fn files_of_the_ns3_model_are_played() {
    let place = Place::new("ns3");
    let wires = ["0 4", "1 4", "2 5", "3 5", "4 6", "4 7", "5 6", "5 7"];
    let links: String = wires.iter().map(|wire| format!("{wire} 100Gbps 1000ns 0\n")).collect();
    place.file("fabric.txt", &format!("8 4 8\n4 5 6 7\n{links}"));
    place.file("flows.txt", "2\n0 2 3 100 1000000 2.0\n1 3 3 100 1000000 2.0\n");
    place.file(
        "paths.csv",
        "case,src,dst,spine\none,0,2,0\none,1,3,0\ntwo,0,2,0\ntwo,1,3,1\nbad,0,2,9\n",
    );
    place.file(
        "x.toml",
        "profile = \"ns3-rdma\"\n[topology]\nkind = \"file\"\nfile = \"fabric.txt\"\n\
         routing = { kind = \"pinned\", file = \"paths.csv\", case = \"one\" }\n[transport]\n\
         kind = \"roce\"\ncongestion = \"none\"\nwindow = false\n[workload]\nkind = \"matrix\"\n\
         file = \"flows.txt\"\n",
    );
    let longest = |case: &str| {
        let set = format!("topology.routing.case={case}");
        let output = place.ultraloom(&["run", "x.toml", "--set", &set, "--output", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        value["variants"][0]["fct_us"]["max"].as_f64().expect("a number")
    };
    // A packet on each of four links besides the thousand, and the links there and back.
    let alone = (1_003.0 * 0.083_84 + 4.0 * 0.004_8) + 8.0;
    assert!((longest("two") - alone).abs() < 0.01, "{}", longest("two"));
    assert!((longest("one") - (alone + 1_000.0 * 0.083_84)).abs() < 0.2, "they share a spine");
    let load = "[workload]\nkind = \"incast\"\nbytes = 1000\n";
    for (text, expected) in [
        (
            "[transport]\nkind = \"ndp\"\n",
            "`profile` is `ns3-rdma`, which models RoCE only; base has another",
        ),
        (
            "[transport]\nkind = \"roce\"\n[topology]\nrouting = { kind = \"pinned\" }\n",
            "`topology.routing.file` is missing: pinned paths",
        ),
    ] {
        place.file("wrong.toml", &format!("profile = \"ns3-rdma\"\n{text}{load}"));
        let message = place.refused(&["run", "wrong.toml"]);
        assert!(message.contains(expected) && message.contains("wrong.toml:"), "{message}");
    }
    let message = place.refused(&["run", "x.toml", "--set", "topology.routing.case=bad"]);
    assert!(message.contains("spine 9 is not there; the fabric has 2"), "{message}");
    assert!(message.contains("paths.csv:6"), "{message}");
}

/// `bench` measures, stores and compares; a result that nobody reaches makes it exit with 1.
#[test]
fn bench_stores_and_compares() {
    let place = Place::new("bench");
    let message = place.refused(&["bench", "--filter", "no-such"]);
    assert!(message.contains("no case has `no-such` in its name") && message.contains("incast"));
    let few = ["bench", "--filter", "incast", "--runs", "1"];
    let output = place.ultraloom(&[&few[..], &["--save", "b.json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("incast-127x2MB") && text.contains("M hops/s"), "{text}");
    let stored = std::fs::read_to_string(place.0.join("b.json")).unwrap();
    let mut report: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert!(report["cases"][0]["hops"].as_u64() > Some(1_000_000));
    report["cases"][0]["hops_per_s"] = 1e12.into();
    place.file("fast.json", &report.to_string());
    let output = place.ultraloom(&[&few[..], &["--against", "fast.json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("/ stored"));
    place.file("wrong.json", "[]");
    let message = place.refused(&["bench", "--against", "wrong.json"]);
    assert!(
        message.contains("wrong.json: it is no result of `ultraloom bench --save`"),
        "{message}"
    );
}

/// A run that would need more memory than it may is refused before it starts; one that fits tells its forecast.
#[test]
fn memory_is_forecast() {
    let place = Place::new("memory");
    place.file("small.toml", SMALL);
    let message = place.refused(&["run", "small.toml", "--memory", "4 MiB"]);
    assert!(message.contains("the run would need about 1"), "{message}");
    assert!(message.contains("`--memory` allows 4 MiB"), "{message}");
    let output = place.ultraloom(&[
        "run",
        "small.toml",
        "--memory",
        "1GiB",
        "--output",
        "json",
        "--out",
        "o",
    ]);
    assert!(output.status.success());
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let engine = &summary["variants"][0]["engine"];
    assert!(engine["forecast_rss_bytes"].as_u64() > Some(10 << 20));
    assert_eq!(place.ultraloom(&["run", "--memory", "much"]).status.code(), Some(2));
}
