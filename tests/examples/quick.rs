use std::sync::Arc;
use fabric::{assemble::*, config::*, units::*, ids::*, engine::Progress};
use topologies::{build::*, properties::*, partition::*};
use transports::uet::{*, config::*, nscc::Nscc};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&a[1]).unwrap();
    let gbps: u64 = a[2].parse().unwrap();
    let spraying = match a[3].as_str() { "mixed" => Spraying::Mixed, "reps" => Spraying::Reps, "bitmap" => Spraying::Bitmap, "oblivious" => Spraying::Oblivious, _ => Spraying::Ecmp };
    let seed: u64 = a[4].parse().unwrap();
    let threads: usize = a.get(5).map_or(1, |t| t.parse().unwrap());
    let matrix = workloads::matrix::parse(&text).unwrap();
    let hosts = matrix.nodes;
    let common = Common { link_rate: Rate::from_gbps(gbps), link_delay: Span::from_micros(1), switch_latency: Span::ZERO };
    let graph = fat_tree(hosts, &common).unwrap();
    let rtt = Diameter::of(&graph).base_rtt(4150, 64, Span::ZERO);
    let rate = common.link_rate;
    let bdp = rate.bytes_in(rtt).div_ceil(4150);
    let q = bdp * 4150;
    let ceil = |n: u64| (bdp * n).div_ceil(10) * 4150;
    let config = FabricConfig { reference_rate: rate, classes: vec![
        ClassConfig { limit: 2*q, ecn: None, overflow: Overflow::TailDrop, schedule: Schedule::Strict, lossless: false },
        ClassConfig { limit: q, ecn: Some(Ecn{kmin: ceil(2), kmax: ceil(8), pmax: Ratio::ONE}), overflow: Overflow::CoinTrim{bytes:64,to:Class::CONTROL}, schedule: Schedule::Strict, lossless: false }],
        host_facing: None, buffer: Buffer::PerQueue, frame_overhead: 0, host_latency: Span::ZERO, pfc_bytes: 64 };
    let mut u = UetConfig::htsim(rate, rtt, true, q); u.spraying = spraying;
    let u = Arc::new(u);
    let w = workloads::flows::flows(&matrix, hosts);
    let shard_of = partition(&graph, threads as u32, &w.couplings);
    let t = std::time::Instant::now();
    let run = assemble(Parts { graph: &graph, config: &config, endpoints: (0..hosts).map(|h| Uet::<Nscc>::new(HostId(h), u.clone(), seed)).collect::<Vec<_>>(), programs: w.programs, couplings: &w.couplings, shard_of: &shard_of, faults: &[], seed }).ok().unwrap();
    let build = t.elapsed().as_secs_f64();
    let t = std::time::Instant::now();
    let r = run.execute(threads, Time(1<<55), &Progress::default());
    let e = t.elapsed().as_secs_f64();
    let mut f: Vec<f64> = r.messages.iter().map(|m| (m.acked.0 ) as f64/1e6).collect(); f.sort_by(|a,b| a.total_cmp(b));
    let mut c = fabric::probe::EndpointCounters::default(); r.endpoints.iter().for_each(|x| c.merge(x));
    let rss = std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmHWM")).unwrap().to_string();
    println!("min {:.4} p50 {:.3} mean {:.3} p99 {:.3} max {:.3} new {} rtx {} acks {} nacks {} to {}", f[0], f[f.len()/2], f.iter().sum::<f64>()/f.len() as f64, f[f.len()*99/100], f[f.len()-1], c.new, c.retransmitted, c.acks, c.nacks, c.timeouts);
    println!("  build {build:.2} run {e:.3}s {:.2} M hops/s hops {} inflight {} windows {} {} {:x}", r.work.hops as f64/e/1e6, r.work.hops, r.work.packets_in_flight_max, r.work.windows, rss, r.digest);
}
