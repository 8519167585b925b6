//! Every matrix of the reference simulator, and of the recorded cases, is read; mistakes name their place.

use std::path::{Path, PathBuf};

use workloads::matrix::{parse, read};

fn shared(folder: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("SKIP: {} is not there", root.display());
    None
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// The one file of the reference that contradicts itself: its header counts flows and triggers that are
/// not there, and the reference refuses it too.
const CONTRADICTORY: &str = "a2a.cm";

/// Every `.cm` file is read, and can be played unless it contradicts itself.
#[test]
fn every_matrix_of_the_reference_is_read() {
    for folder in ["data/uet-htsim", "data/reps-artifact", "cases"] {
        let Some(folder) = shared(folder) else { return };
        let mut found = Vec::new();
        files(&folder, "cm", &mut found);
        assert!(found.len() > 1, "{} has matrices", folder.display());
        for path in found {
            let text = std::fs::read_to_string(&path).expect("text");
            let draft = read(&text).unwrap_or_else(|error| panic!("{}:{error}", path.display()));
            if path.ends_with(CONTRADICTORY) {
                let error = draft.check().expect_err("it contradicts itself").to_string();
                assert_eq!(error, "2:13: `Connections` is 3600, but 240 are listed");
                continue;
            }
            let matrix = draft.check().unwrap_or_else(|error| panic!("{}:{error}", path.display()));
            assert!(!matrix.connections.is_empty());
        }
    }
}

/// Every `.topo` file parses and builds as many hosts as it says.
#[test]
fn every_topology_of_the_reference_is_read() {
    let Some(folder) = shared("data/uet-htsim") else { return };
    let mut found = Vec::new();
    files(&folder, "topo", &mut found);
    assert!(found.len() > 20);
    // The largest take seconds to walk: two at a time.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let own = found.iter().skip(half).step_by(2);
            scope.spawn(|| own.for_each(|path| builds(path)));
        }
    });
}

/// A `.topo` file builds as many hosts as it says, and each reaches the others.
fn builds(path: &Path) {
    let text = std::fs::read_to_string(path).expect("text");
    let clos = topologies::htsim_topo::parse(&text)
        .unwrap_or_else(|error| panic!("{}:{error}", path.display()));
    let graph = clos.build().expect("it was checked");
    let nodes: u32 = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Nodes "))
        .and_then(|value| value.trim().parse().ok())
        .expect("a number of nodes");
    assert_eq!(graph.hosts, nodes);
    topologies::check::check(&graph);
}

const GOOD: &str = "Nodes 4\nConnections 2\nTriggers 1\n\
    0->1 id 1 start 0 size 5000000000000 send_done_trigger 7\n2->3 id 2 trigger 7 size 10\n\
    trigger id 7 oneshot\n";

/// Sizes over 4 GiB and starts over 2^53 ps are exact.
#[test]
fn large_numbers_are_exact() {
    let text = GOOD.replace("start 0", "start 9007199254740993");
    let matrix = parse(&text).expect("a good matrix");
    assert_eq!(matrix.connections[0].bytes, 5_000_000_000_000);
    let workloads::matrix::Start::At(at) = matrix.connections[0].start else { panic!("a time") };
    assert_eq!(at.0, 9_007_199_254_740_993);
}

/// Each kind of mistake is one line with its place, what was found and what was expected.
#[test]
fn mistakes_name_their_place() {
    for (from, to, expected) in [
        (
            "Nodes",
            "Nods",
            "1:1: found `Nods`; expected a header, SRC->DST, trigger or failure (did you mean `Nodes`?)",
        ),
        ("Connections 2", "Connections 3", "2:13: `Connections` is 3, but 2 are listed"),
        ("Triggers 1\n", "", "0:0: `Triggers` is 0, but 1 are listed"),
        ("0->1", "0->9", "4:4: host 9 is out of range; `Nodes` is 4"),
        ("0->1", "0->0", "4:1: host 0 sends to itself"),
        ("0->1", "x->1", "4:1: the host is `x`; expected a whole number, not negative"),
        ("size 10", "size 0", "5:26: size is 0; expected 1 to 2^62 bytes"),
        ("size 10", "size -5", "5:26: size is `-5`; expected a whole number, not negative"),
        ("size 10", "size", "5:21: `size` has no value; expected a number"),
        (" size 10", "", "5:1: the flow has no `size`"),
        ("size 10", "sizes 10", "5:21: unknown key `sizes` (did you mean `size`?)"),
        ("id 2", "id 1", "5:1: flow id 1 stands already in line 4"),
        (
            "trigger 7 size",
            "trigger 8 size",
            "5:19: trigger 8 is not described by any `trigger` line",
        ),
        (" send_done_trigger 7", "", "6:1: trigger 7 never starts flow 2: no flow fires it"),
        (
            "oneshot",
            "barrier count 2",
            "6:1: trigger 7 never starts flow 2: its count is 2, but only 1 flows fire it",
        ),
        (
            "oneshot",
            "onshot",
            "6:14: found `onshot`; expected `trigger id N oneshot|multishot|barrier [count N]` (did you mean `oneshot`?)",
        ),
        ("start 0 ", "trigger 7 ", "6:1: trigger 7 never starts flow"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        let error = parse(&text).expect_err(to).to_string();
        assert!(error.starts_with(expected), "{to}: {error}");
    }
}
