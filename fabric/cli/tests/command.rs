//! The command as a user types it.

mod place;

use std::path::Path;
use std::process::{Command, Output};

use place::{Place, SMALL};

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

/// Of two runs of the same, on other threads and shards, all records are the same to the byte.
#[test]
fn records_are_the_same_to_the_byte() {
    let place = Place::new("bytes");
    place.file("small.toml", SMALL);
    let run = |out: &str, more: &[&str]| {
        let arguments = [&["run", "small.toml", "--output", "quiet", "--out", out], more].concat();
        assert!(place.ultraloom(&arguments).status.success());
    };
    run("a", &["--threads", "1"]);
    run("b", &["--threads", "1"]);
    run("c", &["--threads", "2", "--shards", "5"]);
    let mut records = 0;
    for entry in std::fs::read_dir(place.0.join("a")).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name");
        if ["manifest.json", "summary.json"].iter().any(|timed| name == *timed) {
            continue;
        }
        let first = std::fs::read(&path).expect("a record");
        for other in ["b", "c"] {
            let other = std::fs::read(place.0.join(other).join(name)).expect("the same file");
            assert!(first == other, "{}", path.display());
        }
        records += 1;
    }
    assert!(records > 15, "{records} files");
}

/// Tables come as CSV and as lines of JSON where that is asked for, with all series off without samples.
#[test]
fn records_come_in_other_forms() {
    let place = Place::new("forms");
    let records = "[records]\nformats = [\"csv\", \"json\"]\nseries = false\nflows = 50\n";
    place.file("small.toml", &format!("{SMALL}{records}"));
    assert!(place.ultraloom(&["run", "small.toml", "--out", "o"]).status.success());
    let read = |name: &str| std::fs::read_to_string(place.0.join("o").join(name)).expect(name);
    assert!(read("ports.csv").lines().count() > 50);
    assert!(read("ports.jsonl").lines().next().expect("a row").starts_with("{\"variant\":\"uec\""));
    assert_eq!(read("port_samples.csv").lines().count(), 1, "the head alone");
    assert!(read("flows.csv").lines().count() <= 101, "50 rows of each variant");
    assert!(!place.0.join("o/flows.parquet").exists());
    for (wrong, message) in [
        ("formats = \"xml\"", "`records.formats` is `xml`; expected parquet, csv or json"),
        ("ports = \"some\"", "`records.ports` is `some`"),
        ("interval = \"0 us\"", "`records.interval` is `0 us`; expected more than 0"),
    ] {
        place.file("wrong.toml", &format!("{SMALL}[records]\n{wrong}\n"));
        let output = place.ultraloom(&["run", "wrong.toml"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(message), "{text}");
    }
}

/// `--output quiet` prints nothing.
#[test]
fn quiet_prints_nothing() {
    let place = Place::new("quiet");
    place.file("small.toml", SMALL);
    let output = place.ultraloom(&["run", "small.toml", "--output", "quiet"]);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
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

/// A reader that leaves early gets what it wanted, and no panic.
#[test]
fn a_reader_may_leave() {
    use std::process::{Command, Stdio};
    let place = Place::new("reader");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .args(["topology", "--set", "topology.hosts=16"])
        .current_dir(&place.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}
