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

    /// One process.
    pub fn alone() -> World {
        World(Inner::Alone)
    }

    /// Whether this is the process that speaks for all.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The first rank on which something failed, and what; `own` is what failed here. All ranks have to call it.
    pub fn first_failure(&self, own: Option<&str>) -> Option<(usize, String)> {
        let all = self.gather(own.unwrap_or_default().as_bytes().to_vec());
        let failed = all.iter().position(|text| !text.is_empty());
        let told = failed.map(|rank| [&(rank as u64).to_le_bytes()[..], &all[rank]].concat());
        let told = self.share(told.unwrap_or_default());
        let (rank, text) = told.split_first_chunk()?;
        Some((u64::from_le_bytes(*rank) as usize, String::from_utf8_lossy(text).into_owned()))
    }

    /// Whether it is true on some rank. All ranks have to call it.
    pub fn any(&self, own: bool) -> bool {
        let all = self.gather(vec![u8::from(own)]);
        let any = all.iter().flatten().any(|one| *one != 0);
        self.share(vec![u8::from(any)]) != [0]
    }

    /// The sum over all ranks, on the first. All ranks have to call it.
    pub fn sum(&self, own: u64) -> u64 {
        let all = self.gather(own.to_le_bytes().to_vec());
        let number = |bytes: Vec<u8>| bytes.try_into().map_or(0, u64::from_le_bytes);
        all.into_iter().map(number).sum()
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
