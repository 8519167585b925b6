//! The work that is measured: what the reference's speed is known for, larger fabrics, and RoCE.

/// A piece of work.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Its scenario.
    pub scenario: &'static str,
    /// It takes long, or much memory.
    pub large: bool,
    /// What uet-htsim takes for it on one core, in seconds (`htsim-profile.md`, a 2-core cloud VM).
    pub reference_s: Option<f64>,
}

/// A scenario by hosts and workload, as the reference ran it.
macro_rules! htsim {
    ($hosts:literal, $workload:literal) => {
        concat!(
            "profile = \"htsim\"\n[topology]\nhosts = ",
            $hosts,
            "\n[transport]\nspraying = \"mixed\"\n[workload]\n",
            $workload
        )
    };
}

/// A permutation of 16 MB on 128 hosts over RoCE with a congestion control.
macro_rules! roce {
    ($congestion:literal) => {
        concat!(
            "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\ncongestion = \"",
            $congestion,
            "\"\n[workload]\nkind = \"permutation\"\nbytes = \"16 MB\"\n"
        )
    };
}

const fn case(name: &'static str, scenario: &'static str, reference_s: Option<f64>) -> Case {
    Case { name, scenario, large: false, reference_s }
}

const fn large(case: Case) -> Case {
    Case { large: true, ..case }
}

/// All of them.
pub const CASES: [Case; 11] = [
    case(
        "permutation-128x16MB",
        htsim!("128", "kind = \"permutation\"\nbytes = \"16 MB\"\n"),
        Some(5.8),
    ),
    case(
        "permutation-1024x2MB",
        htsim!("1024", "kind = \"permutation\"\nbytes = \"2 MB\"\n"),
        Some(13.2),
    ),
    large(case(
        "permutation-8192x2MB",
        htsim!("8192", "kind = \"permutation\"\nbytes = \"2 MB\"\n"),
        Some(212.0),
    )),
    large(case(
        "permutation-65536x256KB",
        htsim!("65536", "kind = \"permutation\"\nbytes = \"256 KB\"\n"),
        None,
    )),
    case(
        "all-to-all-128x128KiB",
        htsim!("128", "kind = \"all-to-all\"\nbytes = \"128 KiB\"\nwindow = 8\n"),
        Some(10.1),
    ),
    case("ring-128x64KiB", htsim!("128", "kind = \"all-reduce\"\nbytes = \"8 MiB\"\n"), Some(6.25)),
    case("incast-127x2MB", htsim!("128", "kind = \"incast\"\nbytes = \"2 MB\"\n"), Some(0.70)),
    case(
        "one-flow-65536",
        htsim!("65536", "kind = \"incast\"\nsenders = 1\nreceiver = 65535\nbytes = \"2 MB\"\n"),
        None,
    ),
    large(case(
        "one-flow-262144",
        htsim!("262144", "kind = \"incast\"\nsenders = 1\nreceiver = 262143\nbytes = \"2 MB\"\n"),
        None,
    )),
    case("roce-dcqcn-128x16MB", roce!("dcqcn"), None),
    case("roce-hpcc-128x16MB", roce!("hpcc"), None),
];
