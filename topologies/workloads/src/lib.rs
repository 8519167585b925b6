//! Workloads: what each host sends, and what it waits for before it goes on.
//!
//! A workload gives every host a program ([`fabric::program::Program`]) that sees only its own host's
//! completions. Collectives are small generators, not lists: their state does not grow with the number
//! of messages.
//!
//! # Map of the code
//! - [`matrix`]: connection matrices (`.cm`), read with exact places in every error
//! - [`ns3_flows`]: flow files of the HPCC authors' model
//! - [`flows`]: the program that plays flows with start times and triggers
//! - [`patterns`]: permutation and incast as flows; [`poisson`]: flows that arrive at random
//! - [`ring`]: ring all-reduce; [`all_to_all`]: all-to-all with bounded messages in flight
//! - [`collective`]: algorithm and bus bandwidth

pub mod all_to_all;
pub mod collective;
#[cfg(test)]
mod driver;
pub mod flows;
pub mod matrix;
pub mod ns3_flows;
pub mod patterns;
pub mod poisson;
pub mod ring;

use serde::{Deserialize, Serialize};

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx};

use all_to_all::AllToAll;
use collective::Collective;
use flows::Flows;
use ring::Ring;

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
}

/// One program for each of `hosts`: that of its rank where it has one, else none.
fn seat(hosts: u32, ranks: &[HostId], program: impl Fn(u32) -> AnyProgram) -> Vec<AnyProgram> {
    let mut programs: Vec<AnyProgram> = (0..hosts).map(|_| AnyProgram::Idle).collect();
    for (rank, host) in ranks.iter().enumerate() {
        programs[host.index()] = program(rank as u32);
    }
    programs
}
