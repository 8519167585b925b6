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

/// Variables that only tell that there is a launcher.
const LAUNCHED: [&str; 2] = ["PMIX_RANK", "PMI_RANK"];

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
    #[allow(clippy::disallowed_methods, reason = "launchers speak through the environment")]
    pub fn join() -> Result<World, String> {
        let count = COUNTS.iter().find_map(|name| std::env::var(name).ok()?.parse::<usize>().ok());
        let launched = LAUNCHED.iter().any(|name| std::env::var_os(name).is_some());
        match count {
            Some(0 | 1) => Ok(World(Inner::Alone)),
            Some(count) => World::among(count),
            None if launched && cfg!(feature = "mpi") => World::among(0),
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
