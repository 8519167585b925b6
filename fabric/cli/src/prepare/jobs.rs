//! Programs of several jobs, of bursts, and of serving.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fabric::ids::HostId;
use topologies::placement::spread;
use workloads::Workload as Programs;
use workloads::jobs::together;
use workloads::matrix::Matrix;
use workloads::patterns;
use workloads::poisson::Sizes;
use workloads::services::serving::Serving;

use crate::error::UserError;
use crate::forecast::Traffic;
use crate::prepare::{Prepared, flow_sizes, wrong};
use crate::scenario::model::{
    BurstOptions, JobsOptions, Seats, ServingOptions, Workload, WorkloadKind,
};

impl Prepared {
    /// The programs of several jobs.
    pub(super) fn jobs(
        &self,
        workload: &Workload,
        options: &JobsOptions,
        seed: u64,
    ) -> Result<Programs, UserError> {
        let needs = options.jobs.iter().filter_map(|job| match (&job.seats, &job.workload.kind) {
            // Programs may know their own number of ranks.
            (Seats::Own(_), WorkloadKind::Program(_)) => Some(self.program_ranks(&job.workload)),
            (Seats::Own(count), _) => Some(*count),
            (Seats::Everywhere, _) => None,
        });
        let needs: Vec<u32> = needs.collect();
        let seats = spread(&needs, &self.graph, options.spread, seed);
        let seats = seats.map_err(|error| wrong(workload, error.to_string()))?;
        let mut seats = seats.into_iter();
        let all: Vec<HostId> = (0..self.graph.hosts).map(HostId).collect();
        let alone = options.jobs.iter().map(|job| {
            let own = match job.seats {
                Seats::Own(_) => seats.next().unwrap_or_default(),
                Seats::Everywhere => Vec::new(),
            };
            let programs =
                self.on_places(&job.workload, if own.is_empty() { &all } else { &own })?;
            Ok((job.workload.name.clone(), own, job.start, programs))
        });
        let alone: Vec<_> = alone.collect::<Result<_, UserError>>()?;
        together(self.graph.hosts, alone).map_err(|message| wrong(workload, message))
    }
}

/// Flows of bursts among so many hosts.
pub(super) fn bursts(options: &BurstOptions, hosts: u32) -> Result<Matrix, String> {
    let BurstOptions { senders, bytes, interval, duration, seed } = *options;
    patterns::bursts(hosts, (senders, bytes), (interval, duration), seed)
}

/// Serving as far as the memory of its run depends on it.
pub(super) fn serving_traffic(
    options: &ServingOptions,
    sizes: &BTreeMap<PathBuf, Sizes>,
) -> Traffic {
    let Serving { prefill, decode, requests, costs, .. } = options.serving;
    let shares = u64::from(prefill.1.max(decode.1) * costs.chunks);
    let tokens = flow_sizes(&options.prompts, sizes).mean() as u64;
    let instances = u64::from(prefill.0);
    Traffic {
        messages: u64::from(requests) * (3 + 2 * shares),
        at_once: instances * shares * 2,
        bytes: tokens * costs.key_value_bytes / shares.max(1),
        pairs: instances * u64::from(decode.0) * shares,
    }
}
