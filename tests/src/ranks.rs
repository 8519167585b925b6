//! Ranks that are threads of one process: what MPI does, without it; and a fabric for which they are far apart.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use fabric::engine::ranks::{Note, Ranks};

/// What goes from one rank to another.
enum Letter {
    Meeting(Note, Vec<u64>),
    Bytes(Vec<u8>),
}

/// One of several ranks in threads.
pub struct Channels {
    rank: usize,
    to: Vec<Sender<Letter>>,
    from: Vec<Receiver<Letter>>,
}

impl Channels {
    /// `count` ranks that know each other.
    pub fn among(count: usize) -> Vec<Channels> {
        let mut ranks: Vec<Channels> =
            (0..count).map(|rank| Channels { rank, to: Vec::new(), from: Vec::new() }).collect();
        for from in 0..count {
            for to in 0..count {
                let (sender, receiver) = channel();
                ranks[from].to.push(sender);
                ranks[to].from.push(receiver);
            }
        }
        ranks
    }

    fn send(&self, to: usize, letter: Letter) {
        self.to[to].send(letter).expect("the other rank is there");
    }

    fn bytes(&self, from: usize) -> Vec<u8> {
        match self.from[from].recv() {
            Ok(Letter::Bytes(bytes)) => bytes,
            _ => panic!("rank {from} sends bytes"),
        }
    }
}

impl Ranks for Channels {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.to.len()
    }

    fn meet(&self, note: Note, mail: &mut [Vec<u64>]) -> Vec<Note> {
        for (to, words) in mail.iter_mut().enumerate() {
            self.send(to, Letter::Meeting(note, std::mem::take(words)));
        }
        let mut notes = Vec::new();
        for (from, words) in mail.iter_mut().enumerate() {
            let Ok(Letter::Meeting(note, arrived)) = self.from[from].recv() else {
                panic!("rank {from} comes to the meeting")
            };
            notes.push(note);
            *words = arrived;
        }
        notes
    }

    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.send(0, Letter::Bytes(bytes));
        let ranks = if self.rank == 0 { self.count() } else { 0 };
        (0..ranks).map(|from| self.bytes(from)).collect()
    }

    fn share(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.rank == 0 {
            (0..self.count()).for_each(|to| self.send(to, Letter::Bytes(bytes.clone())));
        }
        self.bytes(0)
    }
}

/// Four pods whose links to the top are forty times as long as all others; its file goes with it.
pub struct Distant(PathBuf);

const DISTANT: &str = "Nodes 32\nTiers 3\nPodsize 8\n\
    Tier 0\nDownlink_speed_Gbps 400\nRadix_Down 4\nRadix_Up 4\nDownlink_Latency_ns 500\n\
    Tier 1\nDownlink_speed_Gbps 400\nRadix_Down 2\nRadix_Up 4\nDownlink_Latency_ns 500\n\
    Tier 2\nDownlink_speed_Gbps 400\nRadix_Down 4\nDownlink_Latency_ns 20000\n";

impl Distant {
    /// Writes the file, for the test of this name.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new(test: &str) -> Distant {
        let name = format!("ultraloom-distant-{test}-{}.topo", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, DISTANT).expect("a file");
        Distant(path)
    }

    /// A scenario on it.
    pub fn scenario(&self, workload: &str) -> String {
        let file = self.0.display().to_string();
        format!("[topology]\nkind = \"file\"\nfile = {file:?}\n[workload]\n{workload}\n")
    }
}

impl Drop for Distant {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
