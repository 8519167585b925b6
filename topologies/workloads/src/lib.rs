//! Workloads: what each host sends, and what it waits for before it goes on.
//!
//! A workload gives every host a program ([`fabric::program::Program`]) that sees only its own host's
//! completions. Collectives are small generators, not lists: their state does not grow with the number
//! of messages.
//!
//! # Map of the code
//! - Flows: [`matrix`]: connection matrices (`.cm`), read with exact places in every error; [`ns3_flows`]: flow files of the
//!   HPCC authors' model; [`flow_table`]: a table of our own; [`patterns`]: permutation and incast; [`poisson`]: flows that arrive at random;
//!   [`flows`]: the program that plays them
//! - Collectives: [`collective`]: which there are, and their bandwidths; [`algorithms`]: their [`steps`]; [`dataflow`]: the
//!   proof that these are right; [`choice`]: the fastest by size; [`exchange`]: tables of bytes; [`ring`] and
//!   [`all_to_all`]: programs of a few words for the two most usual
//! - Graphs of tasks: [`plan`] builds them, [`tasks`] is the program of a rank that does them; [`traces`]: those of other
//!   tools' files; [`pipeline`]: a line of ranks; [`training`]: iterations of a model; [`services`]: clients and servers
//! - [`jobs`]: several workloads side by side

pub mod algorithms;
pub mod all_to_all;
pub mod choice;
pub mod collective;
pub mod dataflow;
#[cfg(test)]
mod driver;
pub mod exchange;
pub mod flow_table;
pub mod flows;
pub mod jobs;
mod math;
pub mod matrix;
mod meter;
pub mod ns3_flows;
pub mod patterns;
pub mod pipeline;
pub mod plan;
pub mod poisson;
pub mod ring;
pub mod services;
pub mod steps;
pub mod tasks;
pub mod traces;
pub mod training;

use serde::{Deserialize, Serialize};

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx, Report};
use fabric::units::Span;

use all_to_all::AllToAll;
use collective::Collective;
use flows::Flows;
use jobs::{Job, Several};
use ring::Ring;
use services::serving::Server;
use tasks::Tasks;

/// A workload, ready for a fabric with one program a host.
pub struct Workload {
    /// The program of each host.
    pub programs: Vec<AnyProgram>,
    /// Hosts whose programs signal each other.
    pub couplings: Vec<Vec<HostId>>,
    /// Messages it will post.
    pub messages: u64,
    /// What it computes, if it is a collective.
    pub collective: Option<Collective>,
    /// What the labels in programs' reports stand for.
    pub labels: Vec<String>,
    /// Above all numbers of its messages.
    pub numbers: u64,
    /// The jobs of which it consists, if it does.
    pub jobs: Vec<Job>,
    /// Time that its useful operations would take each rank at its best, if that is known.
    pub ideal: Option<Span>,
}

impl Workload {
    /// Programs that post so many messages, numbered without gaps.
    pub fn new(programs: Vec<AnyProgram>, messages: u64) -> Workload {
        Workload {
            programs,
            couplings: Vec::new(),
            messages,
            collective: None,
            labels: Vec::new(),
            numbers: messages,
            jobs: Vec::new(),
            ideal: None,
        }
    }
}

/// Declares the programs a host can run, and passes each call to the one it has.
macro_rules! programs {
    ($($(#[$doc:meta])* $name:ident($type:ty),)*) => {
        /// The program of a host.
        #[derive(Serialize, Deserialize)]
        pub enum AnyProgram {
            /// Nothing to do.
            Idle,
            $($(#[$doc])* $name($type),)*
        }

        impl Program for AnyProgram {
            fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
                match self {
                    AnyProgram::Idle => {}
                    $(AnyProgram::$name(program) => program.on_start(cx),)*
                }
            }
            fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId) {
                match self {
                    AnyProgram::Idle => {}
                    $(AnyProgram::$name(program) => program.on_sent(cx, message),)*
                }
            }
            fn on_received(&mut self, cx: &mut ProgramCx<'_>, src: HostId, message: MessageId) {
                match self {
                    AnyProgram::Idle => {}
                    $(AnyProgram::$name(program) => program.on_received(cx, src, message),)*
                }
            }
            fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
                match self {
                    AnyProgram::Idle => {}
                    $(AnyProgram::$name(program) => program.on_wake(cx, token),)*
                }
            }
            fn on_signal(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
                match self {
                    AnyProgram::Idle => {}
                    $(AnyProgram::$name(program) => program.on_signal(cx, token),)*
                }
            }
            fn unposted(&self) -> u64 {
                match self {
                    AnyProgram::Idle => 0,
                    $(AnyProgram::$name(program) => program.unposted(),)*
                }
            }
            fn report(&self) -> Option<Report> {
                match self {
                    AnyProgram::Idle => None,
                    $(AnyProgram::$name(program) => program.report(),)*
                }
            }
        }
    };
}

programs! {
    /// Flows with start times and triggers.
    Flows(Flows),
    /// A rank of a ring all-reduce.
    Ring(Ring),
    /// A rank of an all-to-all.
    AllToAll(AllToAll),
    /// A rank with tasks.
    Tasks(Box<Tasks>),
    /// A rank of an inference service.
    Serving(Box<Server>),
    /// Several of these.
    Several(Box<Several>),
}

/// One program for each of `hosts`: that of its rank where it has one, else none.
fn seat(hosts: u32, ranks: &[HostId], program: impl Fn(u32) -> AnyProgram) -> Vec<AnyProgram> {
    let mut programs: Vec<AnyProgram> = (0..hosts).map(|_| AnyProgram::Idle).collect();
    for (rank, host) in ranks.iter().enumerate() {
        programs[host.index()] = program(rank as u32);
    }
    programs
}
