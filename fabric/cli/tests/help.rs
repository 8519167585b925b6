//! What helps a user along: lists, new scenarios, completions, man pages, schemas.

mod place;

use place::Place;
use ultraloom::catalogue::{SCENARIOS, TOPOLOGIES, WORKLOADS, has_files};

fn text(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Lists have a line for each thing, in every form.
#[test]
fn everything_is_listed() {
    let place = Place::new("list");
    let all = text(&place.ultraloom(&["list"]));
    for part in [
        "scenarios\n",
        "  incast ",
        "topologies\n",
        "  dragonfly ",
        "gb200-nvl72",
        "  uet ",
        "  all-reduce ",
        "  fct_p99_us ",
    ] {
        assert!(all.contains(part), "{part}");
    }
    let one = text(&place.ultraloom(&["list", "workloads", "--output", "json"]));
    let value: serde_json::Value = serde_json::from_str(&one).expect("one object");
    assert_eq!(value["workloads"].as_array().map(Vec::len), Some(WORKLOADS.len()));
    assert!(
        text(&place.ultraloom(&["list", "transports", "--output", "markdown"]))
            .contains("| `roce` | RoCEv2")
    );
}

/// A new scenario runs as it is, with comments; there is nothing that it overwrites.
#[test]
fn a_new_scenario_runs() {
    let place = Place::new("new");
    let arguments = [
        "new",
        "mine.toml",
        "--topology",
        "leaf-spine",
        "--hosts",
        "16",
        "--workload",
        "all-to-all",
    ];
    assert!(text(&place.ultraloom(&arguments)).contains("ultraloom run mine.toml"));
    let written = std::fs::read_to_string(place.0.join("mine.toml")).expect("a scenario");
    assert!(written.contains("name = \"mine\"") && written.matches("# ").count() > 20, "{written}");
    assert!(
        text(&place.ultraloom(&["run", "mine.toml", "--set", "workload.bytes=4096"]))
            .contains("mine — all-to-all")
    );
    assert!(place.refused(&["new", "mine.toml"]).contains("cannot write mine.toml"));
    assert!(
        place
            .refused(&["new", "x.toml", "--topology", "fattree"])
            .contains("did you mean `fat-tree`?")
    );
    let message = place.refused(&["new", "x.toml", "--from", "incats"]);
    assert!(
        message.contains("there is no scenario `incats`")
            && message.contains("did you mean `incast`?"),
        "{message}"
    );
    assert!(
        place.refused(&["new", "x.toml", "--from", "perm128"]).contains("needs files of its own")
    );
}

/// With every kind of topology and of traffic that needs no more than that, a new scenario is right; so is each that ships.
#[test]
fn new_scenarios_of_every_kind_are_right() {
    let place = Place::new("kinds");
    for (kind, _) in TOPOLOGIES
        .iter()
        .filter(|(kind, _)| !["file", "torus", "mesh", "hyperx", "rail-only"].contains(kind))
    {
        let made = text(&place.ultraloom(&["new", "-", "--topology", kind, "--hosts", "64"]));
        assert!(made.contains(&format!("kind = \"{kind}\"")));
    }
    for kind in ["permutation", "incast", "all-gather", "barrier", "storage"] {
        text(&place.ultraloom(&["new", "-", "--workload", kind, "--hosts", "16"]));
    }
    for (name, shipped) in SCENARIOS.iter().filter(|(_, text)| !has_files(text)) {
        assert_eq!(text(&place.ultraloom(&["new", "-", "--from", name])), *shipped, "{name}");
    }
}

/// Completions and man pages know every command; help shows examples.
#[test]
fn shells_and_manuals_know_every_command() {
    let place = Place::new("shell");
    let help = text(&place.ultraloom(&["--help"]));
    assert!(help.contains("Examples:\n  ultraloom run\n"), "{help}");
    text(&place.ultraloom(&["man", "pages"]));
    let commands = [
        "run",
        "sweep",
        "compare",
        "check",
        "topology",
        "convert",
        "validate",
        "bench",
        "list",
        "new",
        "plot",
        "report",
        "timeline",
        "schema",
        "completions",
        "man",
    ];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let completions = text(&place.ultraloom(&["completions", shell]));
        assert!(commands.iter().all(|command| completions.contains(command)), "{shell}");
    }
    for command in commands {
        assert!(help.contains(&format!("  {command} ")), "{command}");
        let page = std::fs::read_to_string(place.0.join(format!("pages/ultraloom-{command}.1")))
            .expect(command);
        assert!(page.contains(".TH"), "{command}");
    }
    let syntax = place.file("completions.bash", &text(&place.ultraloom(&["completions", "bash"])));
    assert!(
        std::process::Command::new("bash").arg("-n").arg(syntax).status().expect("bash").success()
    );
}

/// The schema of records comes for people, for scripts and for the book; a wrong name is told.
#[test]
fn records_are_described() {
    let place = Place::new("schema");
    let human = text(&place.ultraloom(&["schema"]));
    assert!(
        human.contains("port_samples: a row for every port") && human.contains("rtt.hlog"),
        "{human}"
    );
    let json = text(&place.ultraloom(&["schema", "flows", "--output", "json"]));
    let value: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert!(
        value["tables"][0]["columns"]
            .as_array()
            .expect("columns")
            .iter()
            .any(|c| c["name"] == "fct_ps" && c["unit"] == "ps")
    );
    assert!(
        text(&place.ultraloom(&["schema", "--output", "markdown"]))
            .contains("| `fct_ps` | whole number, can be missing | ps |")
    );
    assert!(place.refused(&["schema", "flow"]).contains("did you mean `flows`?"));
}
