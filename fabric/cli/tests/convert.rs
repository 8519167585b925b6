//! `ultraloom convert` as a user types it.

mod place;

use place::Place;

/// Figures of a variant of the scenario in `file`, played in a folder of its own.
fn played(place: &Place, file: &str) -> serde_json::Value {
    let out = format!("out-{file}");
    let output = place.ultraloom(&["run", file, "--output", "json", "--out", &out]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    all["variants"][0].clone()
}

fn trace(place: &Place, name: &str, file: &str) -> serde_json::Value {
    let text = format!("[topology]\nhosts = 16\n[workload]\nkind = \"trace\"\nfile = {file:?}\n");
    place.file(name, &text);
    played(place, name)
}

/// A program that a scenario generates, written down and replayed, gives the same digest as a table and the same time as GOAL.
#[test]
fn programs_written_down_are_the_same() {
    let place = Place::new("convert-programs");
    let text = "[topology]\nhosts = 16\n[workload]\nkind = \"training\"\nlayers = 2\nhidden = 256\nfeed_forward = 512\n\
        heads = 4\nkey_value_heads = 4\nvocabulary = 64\nsequence = 64\ntensor_parallel = 2\npipeline_parallel = 2\n";
    place.file("own.toml", text);
    for file in ["x.csv", "x.goal"] {
        let output = place.ultraloom(&["convert", "own.toml", file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let own = played(&place, "own.toml");
    let table = trace(&place, "table.toml", "x.csv");
    assert_eq!(table["digest"], own["digest"]);
    assert_eq!(table["program"]["time_us"], own["program"]["time_us"]);
    let goal = trace(&place, "goal.toml", "x.goal");
    assert_eq!(goal["flows"], own["flows"]);
    let time = |figures: &serde_json::Value| figures["program"]["time_us"].as_f64().unwrap();
    let ratio = time(&goal) / time(&own);
    // GOAL has whole nanoseconds.
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}

/// A collective as GOAL takes as long as it does.
#[test]
fn a_collective_becomes_its_messages() {
    let place = Place::new("convert-collective");
    place.file(
        "own.toml",
        "[topology]\nhosts = 16\n[workload]\nkind = \"all-reduce\"\nbytes = \"1 MiB\"\n",
    );
    assert!(place.ultraloom(&["convert", "own.toml", "ring.goal"]).status.success());
    let own = played(&place, "own.toml")["collective"]["time_us"].as_f64().unwrap();
    let goal = trace(&place, "goal.toml", "ring.goal")["program"]["time_us"].as_f64().unwrap();
    assert!((goal / own - 1.0).abs() < 0.01, "{goal} {own}");
}

/// Flows go from each form to each other and back unchanged; what a form cannot say is refused, and nothing is written.
#[test]
fn flows_go_through_all_forms() {
    let place = Place::new("convert-flows");
    let text =
        "Nodes 8\nConnections 2\n0->5 id 1 start 0 size 1000\n3->7 id 2 start 12345678 size 20\n";
    place.file("a.cm", text);
    for (from, to, form) in
        [("a.cm", "b.csv", "table"), ("b.csv", "c.flow", "ns3"), ("c.flow", "d.cm", "cm")]
    {
        let output = place.ultraloom(&["convert", from, to, "--to", form]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(place.0.join("d.cm")).unwrap(), text);
    let triggered = "Nodes 4\nConnections 2\nTriggers 1\n0->1 id 1 start 0 size 9 send_done_trigger 1\n\
        1->2 id 2 trigger 1 size 9\ntrigger id 1 oneshot\n";
    place.file("t.cm", triggered);
    for (arguments, expected) in [
        (["convert", "t.cm", "t.csv"], "the matrix has triggers, which the other form cannot say"),
        (["convert", "a.cm", "t.goal"], "flows become `cm`, `table` or `ns3`"),
        (["convert", "a.cm", "t"], "the form of t is not clear from its name"),
        (["convert", "none.goal", "t.csv"], "cannot read none.goal: there is no such file"),
    ] {
        let message = place.refused(&arguments);
        assert!(message.contains(expected), "{message}");
    }
    assert!(!place.0.join("t.csv").exists() && !place.0.join("t.goal").exists());
}

/// A link that a matrix says is not there carries nothing, and nothing is lost for it; one that there is not is refused.
#[test]
fn failures_of_a_matrix_are_missing_links() {
    let place = Place::new("failures");
    // Two hosts of a ToR that has two links up.
    let both = "0->15 id 1 start 0 size 4000000\n1->13 id 2 start 0 size 4000000\n";
    let flows = format!("Nodes 16\nConnections 2\nFailures 1\n{both}");
    place.file("m.cm", &format!("{flows}failure switch_type TOR switch_id 0 link_id 1\n"));
    let scenario = "profile = \"htsim\"\n[topology]\nhosts = 16\n[workload]\nkind = \"matrix\"\nfile = \"m.cm\"\n";
    place.file("m.toml", scenario);
    let figures = played(&place, "m.toml");
    assert_eq!(figures["completed"], 2);
    place.file("all.cm", &format!("Nodes 16\nConnections 2\n{both}"));
    place.file("all.toml", &scenario.replace("m.cm", "all.cm"));
    let whole = played(&place, "all.toml");
    let time = |figures: &serde_json::Value| figures["makespan_us"].as_f64().unwrap();
    let ratio = time(&figures) / time(&whole);
    assert!((1.8..2.1).contains(&ratio), "{ratio}");
    let dropped = &figures["packets"]["dropped"];
    assert_eq!(dropped, 0, "nobody sends into the missing link");
    place.file("m.cm", &format!("{flows}failure switch_type AGG switch_id 99 link_id 1\n"));
    let message = place.refused(&["run", "m.toml"]);
    assert!(message.contains("m.cm:6: the fabric has no switch 99 of tier 1"), "{message}");
}
