//! A run that is stored and taken up in a new process again and again is the same run.

use fabric::assemble::Extent;
use fabric::engine::Progress;
use fabric::engine::ranks::{Alone, Ranks};
use fabric::probe::RunRecord;
use fabric::run::{Run, Stage, Until};
use fabric::series::Sampling;
use fabric::units::{Span, Time};
use transports::AnyEndpoint;
use ultraloom::execute::{Cut, assembled, prepare};
use ultraloom::scenario::model::Scenario;
use ultraloom_tests::ranks::Channels;
use ultraloom_tests::scenario;
use workloads::AnyProgram;

/// How all runs are cut: 9 can be split over ranks unevenly, and ranks may be others than it is made for.
const CUT: Cut = Cut { shards: 9, ranks: 2 };

/// Ports, buffers and connections are recorded as well, so that this is stored too.
const SAMPLING: Option<Sampling> =
    Some(Sampling { interval: Span::from_nanos(700), most: 40, connections: 2 });

fn fresh(scenario: &Scenario, rank: usize, ranks: usize) -> Run<AnyEndpoint, AnyProgram> {
    let prepared = prepare(scenario).expect("it is right").remove(0);
    let workload = &scenario.variants[0].workloads[0];
    let programs = prepared.workload(workload, scenario.seed).expect("it fits");
    let extent = Extent { rank, ranks, threads: 1 };
    assembled(&prepared, programs, scenario.seed, CUT, extent, SAMPLING).expect("it assembles")
}

const END: Time = Time(10_000_000_000_000);

/// The stored state of a run: what all shards share, and each shard.
type State = (Vec<u8>, Vec<Vec<u8>>);

/// Goes on from `state` as one of `ranks` up to a pause in `step`; gives the new state of all shards to rank 0, or
/// the record when the run is over.
fn on<R: Ranks>(
    scenario: &Scenario,
    state: Option<&State>,
    step: u64,
    ranks: &R,
) -> Result<Option<RunRecord>, State> {
    let mut run = fresh(scenario, ranks.rank(), ranks.count());
    if let Some((whole, shards)) = state {
        run.take_up_whole(whole).expect("it was stored");
        for shard in run.own_shards() {
            run.take_up_shard(shard, &shards[shard]).expect("it was stored");
        }
    }
    let until = Until { end: END, pause: Time(run.next().0 + step) };
    let stage = run.proceed(1 + ranks.count() % 2, until, &Progress::default(), ranks);
    if stage != Stage::Paused {
        return Ok(run.finish(ranks));
    }
    let mut shards = Vec::new();
    for shard in 0..run.shards() {
        let own = run.own_shards().contains(&shard);
        let bytes =
            if own { run.store_shard(shard).expect("it can be stored") } else { Vec::new() };
        shards.push(ranks.gather(bytes).into_iter().find(|bytes| !bytes.is_empty()));
    }
    let shards = shards.into_iter().map(Option::unwrap_or_default).collect();
    Err((run.store_whole().expect("it can be stored"), shards))
}

/// The same with so many ranks, each a thread.
fn on_among(
    scenario: &Scenario,
    state: Option<&State>,
    step: u64,
    ranks: usize,
) -> Result<RunRecord, State> {
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = Channels::among(ranks)
            .into_iter()
            .map(|rank| scope.spawn(move || (on(scenario, state, step, &rank), rank)))
            .collect();
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let first = outcomes.into_iter().next().expect("a rank").0;
    first.map(|record| record.expect("the first rank has it"))
}

/// Everything that a record has but the number of windows, which a pause between ranks may change.
fn witness(record: &RunRecord) -> String {
    let mut record = record.clone();
    (record.work.windows, record.work.packets_in_flight_max) = (0, 0);
    format!("{record:?}")
}

/// Every state that there is: all transports but TCP, shared buffers and their watchdog, credits, link-level retry,
/// telemetry, flowlets, ways by queues and other groups, several ports and NICs, tasks, faults before and after a pause, triggers between hosts, captures.
#[test]
fn a_run_taken_up_again_and_again_is_the_same_run() {
    let topology = "hosts = 32\nrouting = { kind = \"least-queue\", flowlet_gap = \"1 us\", \
        convergence = \"4 us\" }";
    let faults = "[[fault]]\nkind = \"switch-down\"\nswitch = \"core:1\"\nat = \"4 us\"\n\
        until = \"30 us\"\n[[fault]]\nkind = \"link-flap\"\nlink = [\"tor:0\", \"agg:0\"]\n\
        period = \"9 us\"\ndown = \"3 us\"\ncount = 3\n";
    let errors = "[link]\nfer = 1e-3\nllr = true\n";
    let exchange = "kind = \"all-to-all\"\nbytes = \"8 KB\"\n";
    let incast = "kind = \"incast\"\nbytes = \"60 KB\"\n";
    let permutation = "kind = \"permutation\"\nbytes = \"200 KB\"\n";
    let reduce = "kind = \"all-reduce\"\nbytes = \"256 KB\"\n";
    let transport = |keys: &str| format!("[transport]\n{keys}\n");
    let roce = |keys: &str| transport(&format!("kind = \"roce\"\n{keys}"));
    let capture = "\n[capture]\nports = \"host:3\"";
    let watchdog = "\n[switch]\npfc_watchdog = \"5 us\"";
    let buffer = "hosts = 32\nbuffer = \"1 MiB\"";
    let plain = "hosts = 32";
    let by_queues = "kind = \"dragonfly\"\nhosts = 72\nrouting.paths = \"adaptive\"";
    let by_groups = "kind = \"dragonfly\"\nhosts = 72\nrouting.paths = \"valiant\"";
    let domains = "hosts = 32\nscale_up = { domain = 8, rate = \"1600 Gb/s\" }";
    let tree = "kind = \"all-reduce\"\nbytes = \"256 KB\"\nalgorithm = \"double-tree\"\nchunks = 4\n\
        reduce_rate = \"800 Gb/s\"\nstep_overhead = \"500 ns\"\n";
    let jobs = "kind = \"jobs\"\njobs = [{ kind = \"key-value\", ranks = 12, servers = 2, requests = 30 }, \
        { kind = \"agents\", ranks = 12, servers = 8, tasks = 2, start = \"2 us\" }, { kind = \"incast-bursts\", \
        everywhere = true, bytes = 9000, interval = \"4 us\", duration = \"20 us\", senders = 4 }]\n";
    let serving = "kind = \"serving\"\nprefill_ranks = 4\ndecode_ranks = 4\nrequests = 12\nprompt = 200\nanswer = 4\n\
        rate = 20000\nkey_value_bytes = 4096\niteration = \"20 us\"\n";
    let training = "kind = \"training\"\nlayers = 4\nhidden = 256\nfeed_forward = 512\nheads = 4\nkey_value_heads = 4\n\
        vocabulary = 64\nsequence = 64\ntensor_parallel = 2\npipeline_parallel = 2\nwithin_domain = \"formula\"\n";
    let cases = [
        (plain, String::new(), jobs),
        (plain, String::new(), serving),
        (domains, String::new(), training),
        (plain, String::new(), exchange),
        (plain, transport(&format!("congestion = \"rccc\"{capture}")), incast),
        (plain, transport("congestion = \"dctcp\"\npdc_scope = \"message\""), exchange),
        (topology, faults.to_owned(), exchange),
        (plain, errors.to_owned(), exchange),
        (plain, "[link]\ncbfc = true\n".to_owned(), incast),
        (buffer, roce(watchdog), incast),
        (plain, roce("congestion = \"hpcc\""), incast),
        (plain, roce("congestion = \"timely\"\nrecovery = \"irn\""), incast),
        (plain, roce("operation = \"read\"\nqueue_pairs = 2"), permutation),
        (plain, transport("kind = \"ndp\""), incast),
        (plain, transport("kind = \"srd\""), exchange),
        (plain, transport("kind = \"strack\""), reduce),
        (by_queues, String::new(), exchange),
        (by_groups, roce(""), permutation),
        ("hosts = 32\nplanes = 2", roce("queue_pairs = 2"), exchange),
        (domains, String::new(), tree),
    ];
    for (topology, rest, workload) in cases {
        let text = format!("[topology]\n{topology}\n{rest}\n[workload]\n{workload}");
        same_when_taken_up(&scenario(&text, &[]));
    }
}

fn same_when_taken_up(scenario: &Scenario) {
    let record = on(scenario, None, u64::MAX / 2, &Alone).expect("it is over").expect("a record");
    let first = witness(&record);
    let mut done: Vec<u64> = record.messages.iter().map(|message| message.acked.0).collect();
    done.sort_unstable();
    let step = done[done.len() / 8] / 2;
    let mut state = None;
    let mut pauses = 0;
    // Each time with other ranks and threads.
    let last = loop {
        match on_among(scenario, state.as_ref(), step, 1 + pauses % 3) {
            Ok(record) => break record,
            Err(next) => state = Some(next),
        }
        pauses += 1;
    };
    assert!(pauses >= 4, "{pauses} pauses: {}", scenario.resolved);
    assert!(witness(&last) == first, "taken up {pauses} times: {}", scenario.resolved);
}

/// Ranks that are far from each other have windows of their own, and pause together all the same.
#[test]
fn distant_ranks_are_taken_up() {
    let distant = ultraloom_tests::ranks::Distant::new("checkpoints");
    same_when_taken_up(&scenario(
        &distant.scenario("kind = \"all-to-all\"\nbytes = \"8 KB\""),
        &[],
    ));
}

/// Bytes that were damaged are refused, wherever they were cut off, and so are those of other shards.
#[test]
fn damaged_states_are_refused() {
    let text = "[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\nbytes = \"200 KB\"\n";
    let scenario = scenario(text, &[]);
    let Err((whole, shards)) = on(&scenario, None, 3_000_000, &Alone) else { panic!("it pauses") };
    let mut run = fresh(&scenario, 0, 1);
    assert!(run.take_up_whole(&whole[..whole.len() - 1]).is_err());
    run.take_up_whole(&whole).expect("it was stored");
    for length in (0..shards[0].len()).step_by(97) {
        assert!(run.take_up_shard(0, &shards[0][..length]).is_err(), "{length} B");
    }
    let longer = [&shards[0][..], &[0]].concat();
    let error = run.take_up_shard(0, &longer).expect_err("one byte too many").to_string();
    assert!(error.contains("1 B too many"), "{error}");
    let differs = (1..shards.len()).any(|shard| run.take_up_shard(0, &shards[shard]).is_err());
    assert!(differs, "some shard has other nodes");
}
