//! One emulation over many processes.
//!
//! [`World`] is the set of processes that were started together: one, or the ranks of an MPI job. It gives the engine
//! what it asks of [`Ranks`], and the command a way to end on all of them alike.
//!
//! # Map of the code
//! - this file: the world, and whether this process is one of several
//! - `mpi`: ranks over MPI (feature `mpi`)

#[cfg(feature = "mpi")]
mod mpi;

use fabric::engine::ranks::{Alone, Note, Ranks};

/// Variables by which launchers tell a process how many there are: Open MPI's, and those of PMI (MPICH, Slurm).
const COUNTS: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// Variables by which launchers tell a process its number.
const NUMBERS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

/// What a launcher has said of a number, by one of these variables.
#[allow(clippy::disallowed_methods, reason = "launchers speak through the environment")]
fn said(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Which of the processes that were started together this one is, as far as the launcher has said: 0 if it has not.
pub fn number() -> usize {
    said(&NUMBERS).unwrap_or(0)
}

/// How many processes were started together, as far as the launcher has said: 1 if it has not.
pub fn started() -> usize {
    said(&COUNTS).unwrap_or(1)
}

/// The processes that run an emulation together.
pub struct World(Inner);

enum Inner {
    Alone,
    #[cfg(feature = "mpi")]
    Mpi(mpi::MpiRanks),
}

impl World {
    /// Joins the processes that this one was started with.
    ///
    /// # Errors
    /// When there are several and this program was built without MPI, or MPI does not start.
    pub fn join() -> Result<World, String> {
        match said(&COUNTS) {
            Some(0 | 1) => Ok(World(Inner::Alone)),
            Some(count) => World::among(count),
            // Some launchers tell only that there is one; MPI knows the rest.
            None if said(&NUMBERS).is_some() && cfg!(feature = "mpi") => World::among(0),
            None => Ok(World(Inner::Alone)),
        }
    }

    #[cfg(feature = "mpi")]
    fn among(_: usize) -> Result<World, String> {
        mpi::MpiRanks::join().map(|ranks| World(Inner::Mpi(ranks)))
    }

    #[cfg(not(feature = "mpi"))]
    fn among(count: usize) -> Result<World, String> {
        Err(format!(
            "{count} processes were started together, but this program was built without MPI"
        ))
    }
}

/// Passes a call to the ranks that there are.
macro_rules! pass {
    ($world:expr, $ranks:ident => $call:expr) => {
        match &$world.0 {
            Inner::Alone => {
                let $ranks = Alone;
                $call
            }
            #[cfg(feature = "mpi")]
            Inner::Mpi($ranks) => $call,
        }
    };
}

impl Ranks for World {
    fn rank(&self) -> usize {
        pass!(self, ranks => ranks.rank())
    }
    fn count(&self) -> usize {
        pass!(self, ranks => ranks.count())
    }
    fn meet(&self, note: Note, mail: &mut [Vec<u64>]) -> Vec<Note> {
        pass!(self, ranks => ranks.meet(note, mail))
    }
    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        pass!(self, ranks => ranks.gather(bytes))
    }
    fn share(&self, bytes: Vec<u8>) -> Vec<u8> {
        pass!(self, ranks => ranks.share(bytes))
    }
}
