//! What the command refuses: one error with its place, exit code 2, and nothing left behind.

mod place;

use place::{Place, SMALL};

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

/// A program without MPI does not run once for each process of a launcher; one of them says so.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_need_mpi() {
    let place = Place::new("refusals-processes");
    let started = |rank: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ultraloom"));
        command.current_dir(&place.0).args(arguments);
        command.env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", rank);
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let message = started("0", &["run"]);
    assert!(message.contains("2 processes") && message.contains("--features mpi"), "{message}");
    assert_eq!(started("1", &["run"]), "");
    assert!(started("0", &["bench"]).contains("only `run`"));
}

/// Endpoints say which option is wrong, and what it may be.
#[test]
fn impossible_endpoints_are_refused() {
    let place = Place::new("endpoints");
    let two = ["--peers", "10.0.0.1,10.0.0.2"];
    let at = |rank: &'static str| [&two[..], &["--rank", rank]].concat();
    for (arguments, expected) in [
        (
            vec!["all-reduce", "--peers", "10.0.0.1"],
            "--peers names 1 endpoints, and a job has 2 to 256",
        ),
        ([&["all-reduce"], &two[..]].concat(), "--rank is missing"),
        ([vec!["all-reduce"], at("2")].concat(), "--rank is 2, and ranks are 0 to 1"),
        ([vec!["send", "--to", "0"], at("0")].concat(), "--to is this endpoint's own rank"),
        ([vec!["receive", "--from", "7"], at("0")].concat(), "--from is 7, and ranks are 0 to 1"),
        ([vec!["all-reduce", "--bytes", "4 B"], at("0")].concat(), "--bytes is 4, and may be 8 to"),
        (
            [vec!["ping-pong", "--entropy-values", "48"], at("0")].concat(),
            "--entropy-values is 48, and has to be a power of two",
        ),
        ([vec!["send", "--to", "1", "--file", "none"], at("0")].concat(), "none: No such file"),
        // No interface of this machine has an address of documentation (RFC 5737).
        (
            vec!["ping-pong", "--peers", "192.0.2.1,192.0.2.2", "--rank", "0"],
            "cannot use 192.0.2.1: Cannot assign requested address",
        ),
        (vec!["all-reduce", "--session", "nobody"], "no session `nobody`"),
    ] {
        let text = place.refused(&[vec!["endpoint"], arguments.clone()].concat());
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
