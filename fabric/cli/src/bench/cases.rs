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

/// All of them.
pub const CASES: [Case; 11] = [
    Case {
        name: "permutation-128x16MB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 128\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"permutation\"\nbytes = \"16 MB\"\n",
        large: false,
        reference_s: Some(5.8),
    },
    Case {
        name: "permutation-1024x2MB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 1024\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"permutation\"\nbytes = \"2 MB\"\n",
        large: false,
        reference_s: Some(13.2),
    },
    Case {
        name: "permutation-8192x2MB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 8192\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"permutation\"\nbytes = \"2 MB\"\n",
        large: true,
        reference_s: Some(212.0),
    },
    Case {
        name: "permutation-65536x256KB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 65536\n[transport]\n\
                   spraying = \"mixed\"\n[workload]\nkind = \"permutation\"\nbytes = \"256 KB\"\n",
        large: true,
        reference_s: None,
    },
    Case {
        name: "all-to-all-128x128KiB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 128\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"all-to-all\"\nbytes = \"128 KiB\"\nwindow = 8\n",
        large: false,
        reference_s: Some(10.1),
    },
    Case {
        name: "ring-128x64KiB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 128\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"all-reduce\"\nbytes = \"8 MiB\"\n",
        large: false,
        reference_s: Some(6.25),
    },
    Case {
        name: "incast-127x2MB",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 128\n[transport]\nspraying = \"mixed\"\n\
                   [workload]\nkind = \"incast\"\nbytes = \"2 MB\"\n",
        large: false,
        reference_s: Some(0.70),
    },
    Case {
        name: "one-flow-65536",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 65536\n[workload]\nkind = \"incast\"\n\
                   senders = 1\nreceiver = 65535\nbytes = \"2 MB\"\n",
        large: false,
        reference_s: None,
    },
    Case {
        name: "one-flow-262144",
        scenario: "profile = \"htsim\"\n[topology]\nhosts = 262144\n[workload]\nkind = \"incast\"\n\
                   senders = 1\nreceiver = 262143\nbytes = \"2 MB\"\n",
        large: true,
        reference_s: None,
    },
    Case {
        name: "roce-dcqcn-128x16MB",
        scenario: "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\n[workload]\n\
                   kind = \"permutation\"\nbytes = \"16 MB\"\n",
        large: false,
        reference_s: None,
    },
    Case {
        name: "roce-hpcc-128x16MB",
        scenario: "[topology]\nhosts = 128\n[transport]\nkind = \"roce\"\ncongestion = \"hpcc\"\n\
                   [workload]\nkind = \"permutation\"\nbytes = \"16 MB\"\n",
        large: false,
        reference_s: None,
    },
];
