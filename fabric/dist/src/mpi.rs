//! Ranks over MPI.
//!
//! A meeting is one all-to-all of a few words (each rank's note, and how much mail follows), then the mail itself
//! between those that have any. Only the thread that joined speaks to MPI.

use std::cell::RefCell;

use fabric::engine::ranks::{NOTE_WORDS, Note, Ranks};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::request::{WaitGuard, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

/// Exit code after a panic, which ends all ranks.
const PANICKED: i32 = 101;

/// Most items of one message: MPI counts in 32 bits.
const MOST: usize = 1 << 27;

/// Words of an entry of the all-to-all: the note, and the words of mail.
const ENTRY: usize = NOTE_WORDS + 1;

/// See the module.
pub(crate) struct MpiRanks {
    world: SimpleCommunicator,
    /// Where mail arrives, by rank; kept so that it need not be made anew.
    arrived: RefCell<Vec<Vec<u64>>>,
    /// Ends MPI when it goes, so it goes last.
    _universe: Universe,
}

impl MpiRanks {
    /// Starts MPI.
    pub(crate) fn join() -> Result<MpiRanks, String> {
        let (universe, level) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or("MPI has been started before")?;
        if level < Threading::Funneled {
            return Err("this MPI does not work with threads".to_owned());
        }
        Ok(MpiRanks { world: universe.world(), arrived: RefCell::default(), _universe: universe })
    }

    /// Lets mail change hands: `mail` by rank goes, and turns into what comes, `lengths` by rank.
    fn carry(&self, mail: &mut [Vec<u64>], lengths: &[usize]) {
        let mut arrived = self.arrived.borrow_mut();
        arrived.resize_with(mail.len(), Vec::new);
        arrived.iter_mut().zip(lengths).for_each(|(words, length)| words.resize(*length, 0));
        scope(|scope| {
            let mut under_way = Vec::new();
            for (rank, words) in arrived.iter_mut().enumerate() {
                let from = self.world.process_at_rank(rank as i32);
                for part in words.chunks_mut(MOST) {
                    under_way.push(WaitGuard::from(from.immediate_receive_into(scope, part)));
                }
            }
            let mut sent = Vec::new();
            for (rank, words) in mail.iter().enumerate() {
                let to = self.world.process_at_rank(rank as i32);
                for part in words.chunks(MOST) {
                    sent.push(WaitGuard::from(to.immediate_send(scope, part)));
                }
            }
        });
        mail.swap_with_slice(&mut arrived);
    }
}

impl Drop for MpiRanks {
    /// A rank that panics ends all others: they would wait for it for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.world.abort(PANICKED);
        }
    }
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn count(&self) -> usize {
        self.world.size() as usize
    }

    fn meet(&self, note: Note, mail: &mut [Vec<u64>]) -> Vec<Note> {
        let ranks = self.count();
        let mut told = Vec::with_capacity(ranks * ENTRY);
        for words in mail.iter() {
            told.extend(note.to_words());
            told.push(words.len() as u64);
        }
        let mut heard = vec![0u64; ranks * ENTRY];
        self.world.all_to_all_into(&told[..], &mut heard[..]);
        let lengths: Vec<usize> =
            heard.chunks_exact(ENTRY).map(|entry| entry[NOTE_WORDS] as usize).collect();
        self.carry(mail, &lengths);
        let note = |entry: &[u64]| Note::from_words(std::array::from_fn(|place| entry[place]));
        heard.chunks_exact(ENTRY).map(note).collect()
    }

    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let root = self.world.process_at_rank(0);
        if self.rank() != 0 {
            root.send(&(bytes.len() as u64));
            bytes.chunks(MOST).for_each(|part| root.send(part));
            return Vec::new();
        }
        let mut all = vec![bytes];
        for rank in 1..self.count() {
            let from = self.world.process_at_rank(rank as i32);
            let (length, _) = from.receive::<u64>();
            let mut bytes = vec![0u8; length as usize];
            bytes.chunks_mut(MOST).for_each(|part| {
                from.receive_into(part);
            });
            all.push(bytes);
        }
        all
    }

    fn share(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let root = self.world.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        bytes.chunks_mut(MOST).for_each(|part| root.broadcast_into(part));
        bytes
    }
}
