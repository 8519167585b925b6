//! The packet-hop, end to end: permutations on fat trees with NSCC and mixed spraying (profile htsim).

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ultraloom_tests::figures;

fn scenario(hosts: u32, bytes: &str) -> String {
    format!(
        "profile = \"htsim\"\n[topology]\nhosts = {hosts}\n[workload]\nkind = \"permutation\"\n\
         bytes = \"{bytes}\"\n[records]\nseries = false\n"
    )
}

fn hops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hops");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    for (hosts, bytes) in [(128, "2 MB"), (128, "16 MB"), (1_024, "2 MB")] {
        let text = scenario(hosts, bytes);
        let name = format!("{hosts}x{}", bytes.replace(' ', ""));
        group.throughput(Throughput::Elements(figures(&text).engine.hops));
        group.bench_function(BenchmarkId::new("permutation", name), |bencher| {
            bencher.iter(|| black_box(figures(&text).engine.hops));
        });
    }
    group.finish();
}

criterion_group!(benches, hops);
criterion_main!(benches);
