//! Who may use whom: the table of ARCHITECTURE.md, read off the manifests.

use std::path::Path;

const OURS: [&str; 9] = [
    "fabric",
    "dist",
    "live",
    "transports",
    "topologies",
    "workloads",
    "results",
    "ultraloom",
    "fuzz",
];

/// Each package's dependencies among ours are those that the architecture allows.
#[test]
fn packages_use_only_what_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (folder, allowed) in [
        ("fabric", &[][..]),
        ("transports", &["fabric"]),
        ("topologies", &["fabric"]),
        ("topologies/workloads", &["fabric", "topologies"]),
        ("results", &["fabric"]),
        ("fabric/dist", &["fabric"]),
        ("fabric/live", &["fabric", "transports"]),
        ("tests/fuzz", &["fabric", "transports", "live"]),
        (
            "fabric/cli",
            &["fabric", "dist", "live", "transports", "topologies", "workloads", "results"],
        ),
    ] {
        let text =
            std::fs::read_to_string(root.join(folder).join("Cargo.toml")).expect("a manifest");
        let dependencies = text.split("[dependencies]").nth(1).expect("dependencies");
        let dependencies = dependencies.split("\n[").next().expect("a section");
        for line in dependencies.lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("");
            if OURS.contains(&name) {
                assert!(allowed.contains(&name), "{folder} must not use {name}");
            }
        }
    }
}

/// Source files stay short enough to have one idea, and the packet path has no `dyn`.
#[test]
fn files_are_short_and_the_packet_path_has_no_dyn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    let mut folders: Vec<_> = ["fabric", "transports", "topologies", "results", "tests"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let lines = text.lines().count();
                assert!(lines <= 600, "{} has {lines} lines", path.display());
                let name = path.display().to_string();
                let hot = ["fabric/src/net", "fabric/src/engine", "transports/src"];
                if hot.iter().any(|part| name.contains(part)) {
                    assert!(!text.contains("dyn "), "{name} has a dyn");
                }
                count += 1;
            }
        }
    }
    assert!(count > 60);
}
