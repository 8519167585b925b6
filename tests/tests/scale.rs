//! Large fabrics are cheap to have.

use ultraloom_tests::figures;

/// A 65,536-host fat tree is built and carries a flow over its diameter, in less than 3 GiB.
#[test]
fn a_fabric_of_65536_hosts_carries_a_flow() {
    let text = "profile = \"htsim\"\n[topology]\nhosts = 65536\n[workload]\nkind = \"incast\"\n\
        senders = 1\nreceiver = 65535\nbytes = \"2 MB\"\n";
    let found = figures(text);
    assert!((found.fct_us.max / 53.0499 - 1.0).abs() < 0.001, "{}", found.fct_us.max);
    let peak = found.engine.peak_rss_bytes;
    assert!(peak < 3 << 30, "{peak} B");
}
