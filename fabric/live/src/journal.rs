//! What was injected and when, so that a live run can be run again offline: the same digest.
//!
//! A journal begins with [`MAGIC`] and the [`Head`]; then come [`Entry`]s, the last of which is the end. All in postcard's format,
//! each with its length before it. One that was cut short (a machine that died) is read as far as it goes.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::LiveError;
use crate::motor::Action;

/// The first bytes of a journal.
pub const MAGIC: &[u8; 8] = b"ULTRALJ2";
/// Longest record: a frame with what is said of it.
const LONGEST: usize = 1 << 20;

/// What the journal is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The scenario as resolved.
    pub scenario: String,
    /// Name of the variant that was run.
    pub variant: String,
    /// The program's version.
    pub version: String,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// A frame went to a host's NIC.
    Frame {
        /// When, in emulated picoseconds.
        at_ps: u64,
        /// The host.
        host: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The fabric was changed.
    Change {
        /// When, in emulated picoseconds.
        at_ps: u64,
        /// How.
        action: Action,
    },
    /// The run ended.
    End {
        /// When, in emulated picoseconds.
        at_ps: u64,
        /// The run's digest, in hexadecimal.
        digest: String,
    },
}

/// A journal that is written.
pub struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Writer {
    /// Begins a journal.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, head: &Head) -> Result<Writer, LiveError> {
        let out = File::create(path).map_err(|error| file(path, &error))?;
        let mut writer = Writer { path: path.to_path_buf(), out: BufWriter::new(out) };
        writer.write(MAGIC)?;
        writer.record(head)?;
        Ok(writer)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), LiveError> {
        self.record(entry)
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<(), LiveError> {
        self.out.flush().map_err(|error| file(&self.path, &error))
    }

    fn record(&mut self, record: &impl Serialize) -> Result<(), LiveError> {
        let bytes = postcard::to_stdvec(record)
            .map_err(|error| LiveError::File { path: self.path.clone(), why: error.to_string() })?;
        self.write(&(bytes.len() as u32).to_le_bytes())?;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LiveError> {
        self.out.write_all(bytes).map_err(|error| file(&self.path, &error))
    }
}

fn file(path: &Path, error: &std::io::Error) -> LiveError {
    LiveError::File { path: path.to_path_buf(), why: error.to_string() }
}

/// A journal that is read.
pub struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    /// What it is of.
    pub head: Head,
}

impl Reader {
    /// Opens a journal.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Reader, LiveError> {
        let wrong = |why: &str| LiveError::File { path: path.to_path_buf(), why: why.to_owned() };
        let input = File::open(path).map_err(|error| file(path, &error))?;
        let mut input = BufReader::new(input);
        let mut magic = [0; MAGIC.len()];
        let is_journal = input.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        if !is_journal {
            return Err(wrong("it is no journal of `ultraloom live --journal`"));
        }
        let head = record(&mut input)
            .and_then(|bytes| postcard::from_bytes(&bytes).ok())
            .ok_or_else(|| wrong("its head is damaged"))?;
        Ok(Reader { path: path.to_path_buf(), input, head })
    }

    /// The next entry; `None` at the end, or where the journal was cut short.
    ///
    /// # Errors
    /// When an entry is damaged.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LiveError> {
        let Some(bytes) = record(&mut self.input) else { return Ok(None) };
        postcard::from_bytes(&bytes).map(Some).map_err(|error| LiveError::File {
            path: self.path.clone(),
            why: format!("an entry is damaged: {error}"),
        })
    }
}

/// The bytes of the next whole record.
fn record(input: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    let mut bytes = vec![0; Some(length).filter(|length| *length <= LONGEST)?];
    input.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::ids::LinkId;
    use fabric::units::Span;

    /// What was written is read back; what was cut short is read as far as it goes; what is no journal is refused.
    #[test]
    fn journals_are_read_back() {
        let folder = std::env::temp_dir().join(format!("ultraloom-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("j");
        let (scenario, variant) = ("name = \"x\"".to_owned(), "uec".to_owned());
        let head = Head { scenario, variant, version: "1".to_owned() };
        let frame = |at_ps| Entry::Frame { at_ps, host: 3, bytes: vec![at_ps as u8; 60] };
        let action = Action::Delay { link: LinkId(2), delay: Span(7) };
        let change = Entry::Change { at_ps: 2, action };
        let end = Entry::End { at_ps: 9, digest: "ab".to_owned() };
        let mut writer = Writer::create(&path, &head).unwrap();
        [change.clone(), frame(1), frame(2), end.clone()]
            .iter()
            .for_each(|entry| writer.add(entry).unwrap());
        writer.finish().unwrap();
        let read = |path: &Path| {
            let mut reader = Reader::open(path).unwrap();
            assert_eq!(reader.head, head);
            std::iter::from_fn(|| reader.next_entry().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(read(&path), [change.clone(), frame(1), frame(2), end]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        assert_eq!(read(&path), [change, frame(1)]);
        std::fs::write(&path, b"nothing").unwrap();
        assert!(Reader::open(&path).is_err());
        let _ = std::fs::remove_dir_all(&folder);
    }
}
