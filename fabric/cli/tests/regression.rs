//! Regression tests as a user's continuous integration runs them: compare, check, baselines, JUnit.

mod place;

use place::{Place, SMALL};

const CLAIMS: &str = "[[claim]]\nname = \"bus bandwidth\"\nmetric = \"uec.collective.bus_bandwidth_gbps\"\noperator = \">=\"\n\
    value = 1\n[[claim]]\nname = \"impossible\"\nmetric = \"uec.fct_us.p99\"\noperator = \"<\"\nvalue = 0.001\n";

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A run compared with itself passes with the same digests; with one of slower links it fails, and says by how much, in every form.
#[test]
fn a_slower_run_is_a_regression() {
    let place = Place::new("compare");
    place.file("small.toml", SMALL);
    for (out, rate) in [("a", "400 Gb/s"), ("b", "200 Gb/s")] {
        let set = format!("topology.link_rate=\"{rate}\"");
        assert!(
            place.ultraloom(&["run", "small.toml", "--out", out, "--set", &set]).status.success()
        );
    }
    let same = place.ultraloom(&["compare", "a", "a/summary.json"]);
    assert!(same.status.success() && text(&same).contains("digests the same"), "{}", text(&same));
    let worse = place.ultraloom(&["compare", "a", "b", "--junit", "out.xml"]);
    assert_eq!(worse.status.code(), Some(1));
    assert!(text(&worse).contains("WORSE: uec, "), "{}", text(&worse));
    let xml = std::fs::read_to_string(place.0.join("out.xml")).expect("a file");
    assert!(xml.contains("failures=\"2\"") && xml.contains("WORSE: roce, "), "{xml}");
    let markdown = text(&place.ultraloom(&["compare", "a", "b", "--output", "markdown"]));
    assert!(markdown.starts_with("### small: **regression**"), "{markdown}");
    let json = text(&place.ultraloom(&["compare", "a", "b", "--output", "json"]));
    let value: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(value["passes"], false);
    let patient = place.ultraloom(&["compare", "a", "b", "--tolerance", "500%"]);
    assert!(patient.status.success(), "{}", text(&patient));
    let message = place.refused(&["compare", "a", "b", "--tolerance", "fct_p98_us=5%"]);
    assert!(
        message.contains("there is no figure `fct_p98_us`") && message.contains("`fct_p99_us`?"),
        "{message}"
    );
    let message = place.refused(&["compare", "a", "c"]);
    assert!(message.contains("cannot read c"), "{message}");
}

/// A folder of scenarios is checked by claims and baselines; baselines carry the command that made them, and what a change of the
/// scenario makes worse fails with exit code 1.
#[test]
fn a_folder_of_scenarios_is_checked() {
    let place = Place::new("check");
    std::fs::create_dir(place.0.join("scenarios")).expect("a folder");
    place.file("scenarios/small.toml", &SMALL.replace("name = \"small\"", "name = \"first\""));
    place.file("scenarios/claims.toml", &format!("{SMALL}{CLAIMS}"));
    let output = place.ultraloom(&[
        "check",
        "scenarios",
        "--filter",
        "small",
        "--baselines",
        "base",
        "--update",
    ]);
    assert!(output.status.success(), "{}", text(&output));
    let baseline = std::fs::read_to_string(place.0.join("base/small.json")).expect("a baseline");
    assert!(
        baseline.contains("ultraloom check scenarios --baselines base --update --filter small"),
        "{baseline}"
    );
    let output = place.ultraloom(&[
        "check",
        "scenarios",
        "--filter",
        "small",
        "--baselines",
        "base",
        "--threads",
        "1",
    ]);
    assert!(
        output.status.success() && text(&output).contains("ok     scenarios/small.toml (3 checks"),
        "{}",
        text(&output)
    );
    let slower = "topology.link_rate=\"200 Gb/s\"";
    let output =
        place.ultraloom(&["check", "scenarios/small.toml", "--baselines", "base", "--set", slower]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAILED") && text(&output).contains("WORSE"),
        "{}",
        text(&output)
    );
    let output = place.ultraloom(&["check", "scenarios", "--junit", "out.xml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_str(&text(&output)).expect("one object");
    assert_eq!(
        (value["failed"].as_u64(), value["checks"].as_array().map(Vec::len)),
        (Some(1), Some(4))
    );
    let xml = std::fs::read_to_string(place.0.join("out.xml")).expect("a file");
    assert!(xml.contains("classname=\"small\" name=\"impossible\""), "{xml}");
    assert!(xml.contains("MISSED: impossible"), "{xml}");
    place.file("scenarios/wrong.toml", "[topology]\nhost = 3\n");
    let message = place.refused(&["check", "scenarios"]);
    assert!(message.contains("unknown key `topology.host`"), "nothing runs: {message}");
}

/// The records of a run become a timeline that is one JSON object with events of every kind, for all workloads or one.
#[test]
fn a_run_becomes_a_timeline() {
    let place = Place::new("timeline");
    let fault = "[[fault]]\nkind = \"link-down\"\nlink = [\"tor:0\", \"agg:0\"]\nat = \"2 us\"\nuntil = \"9 us\"\n";
    let training = "name = \"t\"\n[topology]\nhosts = 16\n[workload]\nkind = \"training\"\nlayers = 4\nhidden = 256\n\
        feed_forward = 512\nheads = 4\nkey_value_heads = 4\nvocabulary = 64\nsequence = 64\ntensor_parallel = 2\n\
        pipeline_parallel = 2\n[variants.uec]\n[variants.roce]\ntransport.kind = \"roce\"\n";
    place.file("t.toml", &format!("{training}{fault}"));
    assert!(place.ultraloom(&["run", "t.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["timeline", "o"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |text: &str| -> Vec<serde_json::Value> {
        let value: serde_json::Value = serde_json::from_str(text).expect("one object");
        value["traceEvents"].as_array().expect("events").clone()
    };
    let all = read(&std::fs::read_to_string(place.0.join("o/timeline.json")).expect("a file"));
    for kind in ["M", "X", "b", "e", "s", "f", "C", "i"] {
        assert!(all.iter().any(|event| event["ph"] == kind), "no event of kind {kind}");
    }
    assert!(
        all.iter().any(|event| event["name"] == "iteration" && event["dur"].as_f64() > Some(1.0))
    );
    assert!(all.iter().any(|event| event["name"] == "tor:0 - agg:0: down"));
    let processes = |events: &[serde_json::Value]| {
        events.iter().filter(|e| e["name"] == "process_name").count()
    };
    assert_eq!(processes(&all), 2);
    let one = read(&text(&place.ultraloom(&[
        "timeline",
        "o",
        "--out",
        "-",
        "--variant",
        "roce",
        "--messages",
        "3",
    ])));
    assert_eq!((processes(&one), one.iter().filter(|event| event["ph"] == "b").count()), (1, 3));
    let message = place.refused(&["timeline", "o", "--variant", "rocce"]);
    assert!(
        message.contains("there is no variant `rocce`") && message.contains("did you mean `roce`?"),
        "{message}"
    );
    assert!(place.refused(&["timeline", "."]).contains(". is no folder of a run"));
}

/// Figures are made anew from the records alone: all of them, or those asked for, each as SVG and PNG, and a table of speed-ups.
#[test]
fn figures_are_made_from_records() {
    let place = Place::new("plot");
    place.file("small.toml", SMALL);
    assert!(place.ultraloom(&["run", "small.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["plot", "o"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read(place.0.join("o/plots").join(name)).expect(name);
    for name in
        ["percentiles", "queues", "utilisation", "throughput", "fairness", "cwnd", "rtt", "links"]
    {
        assert!(read(&format!("{name}.svg")).starts_with(b"<svg"), "{name}");
        assert!(read(&format!("{name}.png")).starts_with(b"\x89PNG"), "{name}");
    }
    let table = String::from_utf8(read("speedup.md")).expect("text");
    assert!(table.contains("| figure | uec | roce |") && table.contains("×"), "{table}");
    assert!(place.ultraloom(&["plot", "o", "--only", "links", "--out", "one"]).status.success());
    assert_eq!(std::fs::read_dir(place.0.join("one")).expect("a folder").count(), 2);
    let message = place.refused(&["plot", "o", "--only", "link"]);
    assert!(
        message.contains("there is no figure `link`") && message.contains("`links`?"),
        "{message}"
    );
}

/// The figure of speed is drawn as SVG and PNG, and is of the runs whose digests stand beside it.
#[test]
fn the_figure_of_speed_is_of_the_runs_it_names() {
    let place = Place::new("speed");
    let arguments = ["bench", "--filter", "permutation-128", "--runs", "1", "--figure", "speed"];
    let output = place.ultraloom(&[&arguments[..], &["--output", "json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_str(&text(&output)).expect("one object");
    let digest = report["cases"][0]["digest"].as_str().expect("a digest");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/figures/README.md");
    let page = std::fs::read_to_string(page).expect("the page of figures");
    assert!(page.contains(&format!("128 hosts `{digest}`")), "{digest}");
    let read = |name: &str| std::fs::read(place.0.join(name)).expect(name);
    assert!(read("speed.svg").starts_with(b"<svg") && read("speed.png").starts_with(b"\x89PNG"));
    let nowhere = ["bench", "--filter", "permutation-128", "--figure", "nowhere/speed"];
    assert!(place.refused(&nowhere).contains("there is no folder nowhere"));
}
