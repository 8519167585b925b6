//! `ultraloom topology` as a user types it.

mod place;

use place::Place;

const SHAPES: &str = "name = \"shapes\"\n[topology]\nkind = \"dragonfly\"\nhosts = 72\n[workload]\nkind = \"permutation\"\n\
    bytes = \"1 MB\"\n[variants.minimal]\n[variants.roce]\ntransport = { kind = \"roce\" }\n[variants.adaptive]\n\
    topology = { routing = { paths = \"adaptive\" } }\n";

/// Variants with the same fabric are described once; ways that need another channel apart.
#[test]
fn fabrics_are_described_once_each() {
    let place = Place::new("topology");
    place.file("shapes.toml", SHAPES);
    let output = place.ultraloom(&["topology", "shapes.toml"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "shapes — minimal, roce\n",
        "shapes — adaptive\n",
        "  deadlock under PFC      impossible with 2 virtual channels\n",
        "  deadlock under PFC      impossible with 3 virtual channels\n",
        "  routes                  all arrive\n",
        "  bisection               9600 Gb/s, 67 % of what half of the hosts can send\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let output =
        place.ultraloom(&["topology", "shapes.toml", "--output", "json", "--variant", "roce"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fabric = &found["fabrics"][0]["topology"];
    assert_eq!((&fabric["hosts"], &fabric["switches"]), (&72.into(), &36.into()));
    assert_eq!(found["fabrics"].as_array().unwrap().len(), 1);
}

/// Exports hold every link; of several fabrics one has to be chosen, by a name that there is.
#[test]
fn exports_hold_every_link() {
    let place = Place::new("export");
    place.file("shapes.toml", SHAPES);
    let export = ["--graphml", "x.graphml", "--dot", "x.dot", "--output", "quiet"];
    let with = |more: &[&'static str]| [&["topology", "shapes.toml"][..], &export, more].concat();
    let message = place.refused(&with(&[]));
    assert!(message.contains("the variants have 2 fabrics; `--variant` says which"), "{message}");
    let message = place.refused(&with(&["--variant", "rocee"]));
    assert!(
        message.contains("there is no variant `rocee`") && message.contains("`roce`?"),
        "{message}"
    );
    assert!(place.ultraloom(&with(&["--variant", "roce"])).status.success());
    let read = |name: &str| std::fs::read_to_string(place.0.join(name)).unwrap();
    assert_eq!(read("x.graphml").matches("<edge ").count(), 162);
    assert_eq!(read("x.dot").matches(" -- ").count(), 162);
}

/// Parameters that do not fit are said with their place, and what would fit; lossless traffic that would need more channels than
/// there are is refused.
#[test]
fn impossible_shapes_are_refused_with_their_place() {
    let place = Place::new("impossible");
    let workload = "[workload]\nkind = \"permutation\"\nbytes = 1000\n";
    for (topology, expected) in [
        ("kind = \"slim-fly\"\nq = 9", "`q` is 9, but a prime from 5 to 61 is needed"),
        (
            "kind = \"torus\"\nhosts = 9\ndimensions = [2, 2]",
            "`hosts` is 9, but 2 to 4 fit on 4 switches",
        ),
        ("kind = \"torus\"", "`topology.dimensions` is missing"),
        (
            "kind = \"dragonfly\"\nhosts = 72\ngroups = 99",
            "`groups` is 99, but 2 to 9 are possible",
        ),
        ("hosts = 64\noversubscription = 3", "`oversubscription` is 3, but 4 ports down"),
        ("hosts = 64\nplanes = 9", "`topology.planes` is `9`; expected a whole number from 1 to 8"),
        (
            "kind = \"dragonfly\"\nhosts = 72\nplanes = 2",
            "`planes` is 2, but only trees can have several",
        ),
        (
            "hosts = 17\nbuildings = { count = 2, length = \"1 km\" }",
            "`hosts` is 17, but 2 buildings",
        ),
        ("hosts = 64\nrouting.paths = \"valiant\"", "can be other than `minimal` in a dragonfly"),
        ("kind = \"rail-optimised\"\nhosts = 60", "`hosts` is 60, but whole servers of 8"),
        (
            "kind = \"rail-only\"\nhosts = 64",
            "nothing joins the 8 rails outside of a domain; what can be",
        ),
        ("kind = \"hyper\"", "did you mean `hyperx`?"),
    ] {
        place.file("x.toml", &format!("[topology]\n{topology}\n{workload}"));
        let message = place.refused(&["topology", "x.toml"]);
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(message.contains("x.toml:") || expected.contains("missing"), "{message}");
    }
    let torus = "kind = \"torus\"\nhosts = 16\ndimensions = [4, 4]\nrouting.paths = \"valiant\"";
    place.file("x.toml", &format!("[topology]\n{torus}\n[transport]\nkind = \"roce\"\n{workload}"));
    let message = place.refused(&["topology", "x.toml"]);
    let expected = "lossless traffic needs 4 virtual channels to be free of deadlock in this topology; 3 are possible";
    assert!(message.contains(expected), "{message}");
}

/// A picture names every node, at 16 hosts as at 1,024; as PNG it is what it says; large fabrics show their tiers.
#[test]
fn fabrics_are_drawn() {
    let place = Place::new("picture");
    for hosts in ["16", "1024"] {
        let set = format!("topology.hosts={hosts}");
        let draw =
            ["topology", "--set", &set, "--svg", "x.svg", "--png", "x.png", "--output", "quiet"];
        let output = place.ultraloom(&draw);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let svg = std::fs::read_to_string(place.0.join("x.svg")).unwrap();
        let hosts: usize = hosts.parse().unwrap();
        assert_eq!(svg.matches("<title>host:").count(), hosts);
        assert!(svg.contains(&format!("host – tor: {hosts} × 400 Gb/s")));
        let png = std::fs::read(place.0.join("x.png")).unwrap();
        // Width and height stand behind the header.
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert!(png.starts_with(b"\x89PNG") && size(16) >= 1_500 && size(20) >= 1_000);
    }
    place.file(
        "gigawatt.toml",
        "[topology]\npreset = \"one-gigawatt\"\n[workload]\nkind = \"permutation\"\nbytes = 1\n",
    );
    let output =
        place.ultraloom(&["topology", "gigawatt.toml", "--svg", "g.svg", "--output", "quiet"]);
    assert!(output.status.success());
    let svg = std::fs::read_to_string(place.0.join("g.svg")).unwrap();
    assert!(svg.contains("414,720 hosts") && svg.len() < 100_000, "{}", svg.len());
}

/// Rails that nothing joins are said to be so.
#[test]
fn rails_alone_are_said_to_be_so() {
    let place = Place::new("rails");
    let text = "[topology]\nkind = \"rail-only\"\nhosts = 32\nscale_up = { domain = 8, rate = \"3600 Gb/s\" }\n\
        [workload]\nkind = \"all-reduce\"\nbytes = \"1 MiB\"\nalgorithm = \"hierarchical\"\n";
    place.file("rails.toml", text);
    let output = place.ultraloom(&["topology", "rails.toml"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "  routes                  all arrive on their own rail and in their domain; nothing joins the rails\n";
    assert!(text.contains(line), "{text}");
}
