//! Where the command is run by tests.

#![allow(dead_code, reason = "each file of tests uses what it needs")]

use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of its own for each test, removed at its end.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("ultraloom-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Place(folder)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn ultraloom(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ultraloom"));
        command.current_dir(&self.0).args(arguments).output().expect("it starts")
    }

    /// Runs, expects exit code 2 and nothing on standard output or disk, and returns the message.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let before = self.listing();
        let output = self.ultraloom(arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
        assert_eq!(self.listing(), before, "nothing is left behind");
        message
    }

    fn listing(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A scenario of two variants that takes no time.
pub(crate) const SMALL: &str = "name = \"small\"\n[topology]\nhosts = 16\n[workload]\nkind = \"all-reduce\"\n\
    bytes = \"1 MB\"\n[variants.uec]\n[variants.roce]\ntransport = { kind = \"roce\" }\n";
