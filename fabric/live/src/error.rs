//! What can go wrong with interfaces, namespaces and journals.

use std::net::SocketAddr;
use std::path::PathBuf;

/// An error that its user can mend.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A program of the system failed, or is not there.
    #[error("`{command}` failed: {why}")]
    Command {
        /// What was called.
        command: String,
        /// What it said.
        why: String,
    },
    /// There is no such interface.
    #[error("there is no network interface `{name}`; there are {known}")]
    NoInterface {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A raw socket cannot be opened.
    #[error("cannot open a raw socket on `{name}`: {why}")]
    Socket {
        /// The interface.
        name: String,
        /// Why.
        why: String,
    },
    /// An address cannot be served at.
    #[error("cannot serve at {address}: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}
