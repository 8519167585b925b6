//! Traces of other tools, replayed: against our own collectives, and every file that there is.

use std::path::{Path, PathBuf};

use results::summary::Figures;
use ultraloom_tests::{figures, files};

fn trace(hosts: u32, file: &Path, more: &str) -> Figures {
    let text = format!(
        "[topology]\nkind = \"single-switch\"\nhosts = {hosts}\n[workload]\nkind = \"trace\"\nfile = {file:?}\n{more}"
    );
    figures(&text)
}

/// A ring as MSCCL XML, its expansion into execution traces, one node of a trace, and our own ring take the same time within
/// 1 %, each with the time for adding up that the expansion has.
#[test]
fn a_ring_is_a_ring_in_every_form() {
    let Some(data) = files("astra-sim") else { return };
    let folder = data.join("examples/system/custom_collectives/custom_ring_allreduce_8npus_1MB");
    // 7 us for each 128 KiB.
    let adding = "reduce_rate = \"149.797 Gb/s\"";
    let own = figures(&format!(
        "[topology]\nkind = \"single-switch\"\nhosts = 8\n[workload]\nkind = \"all-reduce\"\nbytes = \"1 MiB\"\n\
         {adding}"
    ));
    let own = own.collective.unwrap().time_us;
    let xml =
        trace(8, &folder.join("custom_allreduce.xml"), &format!("bytes = \"1 MiB\"\n{adding}"));
    let expanded = trace(8, &folder.join("custom_allreduce.*.et"), "");
    let one = data.join("examples/workload/microbenchmarks/all_reduce/8npus_1MB/all_reduce.*.et");
    let one = trace(8, &one, adding);
    assert_eq!(xml.collective.as_ref().map(|c| c.kind.as_str()), Some("all-reduce"));
    for (name, figures) in [("xml", xml), ("expanded", expanded), ("one node", one)] {
        let time = figures.program.expect("it finished").time_us;
        assert!((time / own - 1.0).abs() < 0.01, "{name}: {time} us, own {own} us");
    }
}

/// Every trace that there is runs to its end.
#[test]
fn every_file_runs_to_its_end() {
    let mut ran = 0;
    let mut run = |hosts: u32, file: &Path, more: &str| {
        let figures = trace(hosts, file, more);
        assert_eq!(figures.completed, figures.flows, "{}", file.display());
        assert!(figures.program.is_some_and(|program| program.time_us > 0.0), "{}", file.display());
        ran += 1;
    };
    if let Some(data) = files("astra-sim") {
        for kind in ["all_gather", "all_reduce", "all_to_all", "reduce_scatter"] {
            for ranks in [4, 8, 16] {
                let name =
                    format!("examples/workload/microbenchmarks/{kind}/{ranks}npus_1MB/{kind}.*.et");
                run(ranks, &data.join(name), "");
            }
        }
    }
    if let Some(data) = files("loggopsim") {
        run(32, &data.join("binary_tree_32.goal"), "");
    }
    if let Some(data) = files("simai") {
        run(8, &data.join("example/microAllReduce.txt"), "");
        let groups = "ranks = 4\nexpert_parallel = 2\nlayers = 40";
        run(4, &data.join("example/workload_analytical.txt"), groups);
    }
    if let Some(data) = files("aicb") {
        for name in ["all_gather", "all_reduce", "all_to_all", "muti_all_reduce"] {
            let file = data.join(format!("workload/simAI/micro_test/{name}.txt"));
            run(8, &file, "ranks = 8\nlayers = 14");
        }
        run(8, &data.join("workload/physical/micro_test/all_to_all_workload.csv"), "ranks = 8");
        let mut models: Vec<PathBuf> =
            std::fs::read_dir(data.join("workload/simAI/model_workload"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
        models.sort();
        assert_eq!(models.len(), 7);
        // All layers but those of whole gradients, of gigabytes.
        models.iter().for_each(|file| parses(file));
        lists_parse(&data.join("workload/physical"));
    }
    assert!(ran == 0 || ran >= 12, "{ran}");
}

/// A model's file is read whole, and becomes a program of whole groups.
fn parses(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let iteration = workloads::traces::simai::parse(&text)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let tensor = iteration.tensor.unwrap();
    let groups = workloads::traces::simai::Groups { ranks: 16, tensor, expert: iteration.expert };
    let trace = iteration.trace(&groups, None).unwrap();
    assert!(trace.ranks.iter().all(|nodes| nodes.len() > iteration.layers()), "{}", file.display());
}

/// Every list of communication is read whole and becomes a program of whole groups.
fn lists_parse(folder: &Path) {
    use workloads::traces::aicb;
    for (name, rows, ranks, tensor) in [
        ("micro_test/all_to_all_workload.csv", 2_000, None, None),
        ("model_workload/G13B-M1-C02_GPT13B_megatron_tp8_pp1_mbs1_sp.csv", 419, Some(128), Some(8)),
        ("model_workload/L7B-D1-C02_Llama7B_zero3_mbs1.csv", 1_241, Some(128), None),
        ("model_workload/L7B-M1-C04_Llama7B_megatron_tp2_pp1_mbs1.csv", 147, Some(128), Some(2)),
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let list = aicb::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((list.ranks, list.tensor), (ranks, tensor), "{name}");
        let trace = list.trace(16, tensor.unwrap_or(1), 1).unwrap();
        assert!(trace.ranks.iter().all(|nodes| nodes.len() == rows), "{name}");
    }
}

/// Real execution traces of one rank, in both forms, given to several: computing takes what was measured.
#[test]
fn real_execution_traces_run_on_several_ranks() {
    let Some(data) = files("chakra") else { return };
    let folder = std::env::temp_dir().join(format!("ultraloom-chakra-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (archive, file) in [
        ("feeder_tests_trace.tar.gz", "tests/data/chakra.0.et"),
        ("json_trace.tar.gz", "jsonData/chakra.0.json"),
        ("1.0.2-chakra.0.0.4.tgz", "1.0.2-chakra.0.0.4.json"),
    ] {
        let done = std::process::Command::new("tar")
            .arg("-xzf")
            .arg(data.join(archive))
            .arg("-C")
            .arg(&folder)
            .stderr(std::process::Stdio::null())
            .status()
            .expect("tar");
        assert!(done.success(), "{archive}");
        let figures = trace(4, &folder.join(file), "ranks = 4");
        assert_eq!(figures.completed, figures.flows, "{file}");
        let program = figures.program.unwrap();
        assert_eq!(program.ranks, 4);
        if file != "1.0.2-chakra.0.0.4.json" {
            assert!(program.compute_us > 200_000.0, "{file}: {}", program.compute_us);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What cannot be replayed says why: a file of another kind, no file, fewer hosts than ranks, ends that do not meet.
#[test]
fn wrong_traces_say_why() {
    use ultraloom_tests::refusal;
    let folder = std::env::temp_dir().join(format!("ultraloom-wrong-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let lonely = "num_ranks 2\nrank 0 {\nl1: send 10b to 1 tag 5\n}\nrank 1 {\nl1: calc 5\n}\n";
    let circle =
        "num_ranks 2\nrank 0 {\nl1: calc 1\nl2: calc 1\nl1 requires l2\nl2 requires l1\n}\n";
    for (name, content, expected) in [
        ("x.txt", "hello", "is no trace that is known; expected GOAL, MSCCL XML"),
        ("y.goal", lonely, "rank 0 sends 1 messages of tag 5 to rank 1, which receives 0"),
        ("z.goal", circle, "rank 0: node 0 waits for itself by way of others"),
        ("many.goal", "num_ranks 9\n", "`ranks` is 9, but 2 to the number of hosts, 4"),
        ("x.xml", "<algo/>", "`workload.bytes` is missing"),
        ("x.et", "\u{7f}", "x.et: byte 0: a message of 127 B is longer than the file"),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, content).unwrap();
        let text = format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 4\n[workload]\nkind = \"trace\"\nfile = {file:?}\n"
        );
        let found = refusal(&text);
        assert!(found.contains(expected) && found.contains("test.toml:"), "{name}: {found}");
    }
    let text = "[workload]\nkind = \"trace\"\nfile = \"/nowhere/a.*.et\"\n";
    assert!(refusal(text).contains("there is no /nowhere/a.0.et"), "{}", refusal(text));
    std::fs::remove_dir_all(&folder).unwrap();
}
