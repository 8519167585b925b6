//! Training, pipelines, services and jobs against closed forms and against each other.

use results::summary::Figures;
use ultraloom_tests::{figures, refusal, run_on};

fn on_one_switch(hosts: u32, workload: &str) -> Figures {
    let text =
        format!("[topology]\nkind = \"single-switch\"\nhosts = {hosts}\n[workload]\n{workload}");
    figures(&text)
}

fn program_time(figures: &Figures) -> f64 {
    figures.program.as_ref().expect("it finished").time_us
}

fn p50(figures: &Figures, step: &str) -> f64 {
    let steps = &figures.program.as_ref().expect("it finished").steps;
    steps.iter().find(|known| known.name == step).expect("a step of that name").p50_us
}

/// A line of ranks takes a stage's time for each message and each other rank, and a message's for each link between them.
#[test]
fn a_pipeline_takes_its_closed_form() {
    let message = "kind = \"send-receive\"\nbytes = \"1 MiB\"";
    let message = on_one_switch(8, message).collective.unwrap().time_us;
    let line = "kind = \"pipeline\"\nbytes = \"1 MiB\"\nmessages = 20\nstage_time = \"100 us\"";
    let expected = f64::from(20 + 8 - 1) * 100.0 + 7.0 * message;
    let time = program_time(&on_one_switch(8, line));
    assert!((time / expected - 1.0).abs() < 0.01, "{time} for {expected}");
}

/// With hardly anything to send, an iteration takes the model's operations and the bubble of its schedule: m + (p − 1) / v times
/// a micro-batch.
#[test]
fn bubbles_are_those_of_the_schedule() {
    let model = "kind = \"training\"\nlayers = 16\nhidden = 512\nfeed_forward = 2048\nheads = 8\n\
        key_value_heads = 8\nvocabulary = 1\nsequence = 64\npipeline_parallel = 4\nmicro_batches = 8\nzero = 0\n\
        tflops = 0.1\nefficiency = 1.0";
    let mut utilisation = Vec::new();
    for (schedule, chunks) in [("1f1b", 1.0), ("interleaved", 2.0)] {
        let found = on_one_switch(4, &format!("{model}\nschedule = \"{schedule}\""));
        let program = found.program.expect("it finished");
        // Each stage computes eight micro-batches, and waits for (p − 1) / v of one.
        let expected = program.compute_us * (8.0 + 3.0 / chunks) / 8.0;
        let ratio = program.time_us / expected;
        assert!((0.999..1.02).contains(&ratio), "{schedule}: {ratio}");
        let share = program.model_flops_utilisation.expect("training tells it");
        assert!((share / (program.compute_us / program.time_us) - 1.0).abs() < 1e-3, "{share}");
        utilisation.push(share);
    }
    assert!(utilisation[1] > utilisation[0]);
}

const TRAINING: &str = "[topology]\nkind = \"rail-optimised\"\nhosts = 16\nrails = 4\nservers_per_group = 2\n\
    scale_up = { domain = 4, rate = \"1600 Gb/s\" }\n[workload]\nkind = \"training\"\nlayers = 4\nhidden = 1024\n\
    feed_forward = 4096\nheads = 8\nkey_value_heads = 8\nvocabulary = 1024\nsequence = 1024\ntensor_parallel = 4\n\
    micro_batches = 2\n";

/// Collectives within domains take about as long by formula as packet by packet, with a fraction of the packets.
#[test]
fn formulas_stand_for_packets() {
    let packets = figures(TRAINING);
    let formula = figures(&format!("{TRAINING}within_domain = \"formula\"\n"));
    let ratio = program_time(&formula) / program_time(&packets);
    assert!((ratio - 1.0).abs() < 0.03, "{ratio}");
    assert!(formula.packets.new * 2 < packets.packets.new);
    let none =
        "[topology]\nhosts = 16\n[workload]\nkind = \"training\"\nwithin_domain = \"formula\"\n";
    let error = refusal(none);
    assert!(error.contains("the topology has no domains"), "{error}");
}

/// What is communicated behind computing is not waited for; a straggler holds up all; jitter costs time.
#[test]
fn overlap_helps_and_stragglers_hurt() {
    // Slow enough that computing lasts longer than communicating.
    let with = |more: &str| {
        let found = figures(&format!("{TRAINING}tflops = 20\n{more}"));
        found.program.expect("it finished")
    };
    let usual = with("");
    let none = with("overlap = false\n");
    assert!(usual.hidden_us > 0.0 && none.hidden_us < usual.hidden_us);
    assert!(usual.time_us < none.time_us, "{} {}", usual.time_us, none.time_us);
    let slow = with("stragglers = [3]\nstraggler_factor = 2.0\n");
    let added = slow.time_us - usual.time_us;
    assert!((added / usual.compute_us - 1.0).abs() < 0.1, "{added} us more than {}", usual.time_us);
    assert!(with("jitter = 0.3\n").time_us > usual.time_us);
}

/// Tokens that all want the same experts make an exchange slower than tokens that do not, and a file says the same as a law.
#[test]
fn popular_experts_hold_up_an_exchange() {
    let text = |more: &str| {
        format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 8\n[workload]\nkind = \"training\"\nlayers = 2\nhidden = 1024\n\
             feed_forward = 2048\nheads = 8\nkey_value_heads = 8\nvocabulary = 1024\nsequence = 2048\nexperts = 8\n\
             expert_parallel = 8\nmicro_batches = 1\n{more}\n"
        )
    };
    let time = |more: &str| program_time(&figures(&text(more)));
    let even = time("");
    let skewed = time("skew = 1.2");
    assert!(skewed > 1.5 * even, "{skewed} {even}");
    let folder = std::env::temp_dir().join(format!("ultraloom-experts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("shares.txt");
    std::fs::write(&file, "1 1 1 1 1 1 1 1\n").unwrap();
    let named = time(&format!("file = {file:?}"));
    assert_eq!(named, even);
    std::fs::write(&file, "1 1 1\n").unwrap();
    let error = refusal(&text(&format!("file = {file:?}")));
    assert!(error.contains("has 3 a line; there are 8 experts"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A request that is alone waits for its prompt's computing and a few crossings of the fabric, and then for each of its tokens.
#[test]
fn a_request_alone_takes_its_computing() {
    let text = "kind = \"serving\"\nprefill = 1\nprefill_ranks = 2\ndecode = 1\ndecode_ranks = 2\nrequests = 20\n\
        rate = 0.5\nprompt = 1000\nanswer = 10\nkey_value_bytes = \"128 KiB\"\niteration = \"1 ms\"\nanswer_token = \"10 us\"";
    let text = format!(
        "[run]\nuntil = \"100 s\"\n[topology]\nkind = \"single-switch\"\nhosts = 8\n[workload]\n{text}"
    );
    let found = figures(&text);
    let first = p50(&found, "time to first token");
    assert!((10_000.0..10_050.0).contains(&first), "{first}");
    // 131 MB in two shares at 400 Gb/s, the last of eight chunks after the prompt.
    let transfer = p50(&found, "key-value transfer");
    let least = 1000.0 * 131_072.0 / 8.0 / 2.0 / 50e3;
    assert!(transfer > 8_750.0 + least && transfer < 8_750.0 + 2.0 * least, "{transfer}");
    let token = p50(&found, "time per output token");
    assert!((1_010.0..1_050.0).contains(&token), "{token}");
    let steps = &found.program.as_ref().unwrap().steps;
    let good = steps.iter().find(|step| step.name == "request within both limits").unwrap();
    assert_eq!(good.count, 20);
}

/// Reads of a service with free servers take a round trip and its time; beyond what its cores can do, requests queue.
#[test]
fn services_queue_when_cores_are_busy() {
    let of = |rate: u32, cores: u32| {
        let text = format!(
            "kind = \"key-value\"\nservers = 1\nrequests = 400\nread_share = 1\nbytes = 100\nskew = 0\n\
             service_time = \"10 us\"\nrate = {rate}\ncores = {cores}"
        );
        p50(&on_one_switch(4, &text), "get")
    };
    let free = of(1_000, 16);
    assert!((13.0..17.0).contains(&free), "{free}");
    // Three clients ask for 150,000 a second; one core does 100,000.
    assert!(of(50_000, 1) > 10.0 * free);
    assert!(of(50_000, 16) < 1.2 * free);
}

/// A checkpoint fills the links of its servers, and clients leave its barrier together.
#[test]
fn a_checkpoint_fills_the_servers_links() {
    let text = "kind = \"checkpoint\"\nservers = 2\nbytes = \"16 MiB\"";
    let found = on_one_switch(10, text);
    let share = found.goodput_gbps / (2.0 * 400.0);
    assert!((0.9..1.0).contains(&share), "{share}");
    assert_eq!(found.flows, 8 * 4 * 2 + 8 * 3, "parts, answers, a barrier of three rounds");
}

/// Jobs that do not meet take as long as they would alone, counted from their own starts; those that share hosts do not.
#[test]
fn jobs_that_do_not_meet_do_not_disturb_each_other() {
    let job = |name: &str, more: &str| {
        format!(
            "[[workload.jobs]]\nname = \"{name}\"\nkind = \"all-reduce\"\nbytes = \"1 MiB\"\n{more}\n"
        )
    };
    let text = |jobs: &str| {
        format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 16\n[workload]\nkind = \"jobs\"\n{jobs}"
        )
    };
    let alone = on_one_switch(8, "kind = \"all-reduce\"\nbytes = \"1 MiB\"").collective.unwrap();
    let two = job("a", "ranks = 8") + &job("b", "ranks = 8\nstart = \"7 us\"");
    let found = figures(&text(&two));
    assert_eq!(found.jobs.len(), 2);
    for found in &found.jobs {
        let own = found.collective.as_ref().expect("it finished");
        assert_eq!(own.bytes, alone.bytes);
        assert!((own.time_us / alone.time_us - 1.0).abs() < 1e-3, "{}", own.time_us);
    }
    assert_eq!(found.jobs[1].start_us, 7.0);
    let large = |name| job(name, "everywhere = true").replace("1 MiB", "32 MiB");
    let time = |jobs: &str| {
        let jobs = figures(&text(jobs)).jobs;
        jobs.iter().map(|job| job.collective.as_ref().unwrap().time_us).fold(0.0, f64::max)
    };
    let ratio = time(&(large("a") + &large("b"))) / time(&large("a"));
    assert!((1.7..2.1).contains(&ratio), "{ratio}");
}

/// Jobs, services and training give the same for any number of threads and shards.
#[test]
fn programs_are_deterministic() {
    let jobs = "[topology]\nhosts = 32\n[workload]\nkind = \"jobs\"\nplacement = \"fragmented\"\n\
        [[workload.jobs]]\nkind = \"key-value\"\nranks = 10\nservers = 2\nrequests = 20\n\
        [[workload.jobs]]\nkind = \"agents\"\nranks = 12\nservers = 8\ntasks = 2\n\
        [[workload.jobs]]\nkind = \"incast-bursts\"\neverywhere = true\nbytes = 20000\ninterval = \"5 us\"\n\
        duration = \"50 us\"\nsenders = 4\nstart = \"3 us\"\n";
    let serving = "[topology]\nhosts = 32\n[workload]\nkind = \"serving\"\nprefill_ranks = 4\ndecode_ranks = 4\n\
        requests = 10\nprompt = 200\nanswer = 4\nrate = 1000\nkey_value_bytes = 4096\n";
    for text in [jobs, serving, TRAINING] {
        let found = |threads, shards| {
            let figures = run_on(text, &[], threads, shards).summary.variants.remove(0).figures;
            (figures.digest.clone(), figures.program.clone(), figures.jobs.clone())
        };
        let first = found(1, 1);
        for (threads, shards) in [(1, 8), (2, 16)] {
            assert_eq!(found(threads, shards), first, "{threads}, {shards}: {text}");
        }
    }
}

/// What cannot be is refused with its place.
#[test]
fn impossible_programs_are_refused() {
    let of = |workload: &str| refusal(&format!("[topology]\nhosts = 16\n[workload]\n{workload}\n"));
    for (workload, expected) in [
        ("kind = \"training\"\ntensor_parallel = 5", "16 ranks are no whole replicas of 5"),
        (
            "kind = \"training\"\nmodel = \"llama-3-80b\"",
            "`workload.model` is `llama-3-80b`; expected gpt-3-175b",
        ),
        ("kind = \"storage\"\nservers = 16", "`workload.servers` is 16, of 16 ranks"),
        ("kind = \"agents\"\nservers = 4", "`fan_out` is 8; there are 4 tools"),
        ("kind = \"serving\"", "`ranks` is 33"),
        ("kind = \"jobs\"", "`workload.jobs` is missing"),
        (
            "kind = \"jobs\"\njobs = [{ kind = \"permutation\", bytes = 1 }]",
            "`workload.jobs[0].ranks` is missing",
        ),
        (
            "kind = \"jobs\"\njobs = [{ kind = \"permutation\", bytes = 1, ranks = 17 }]",
            "the fabric has 16 hosts",
        ),
        (
            "kind = \"incast-bursts\"\nbytes = 1\ninterval = \"1 us\"\nduration = \"1 us\"",
            "1 to 15",
        ),
    ] {
        let error = of(workload);
        assert!(error.contains(expected), "{workload}: {error}");
    }
}
