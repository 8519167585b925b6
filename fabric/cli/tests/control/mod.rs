//! Sessions of `ultraloom live --control`, and requests to them.

#![allow(dead_code, reason = "each file of tests uses what it needs")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab;

/// What tests give as token.
pub(crate) const TOKEN: &str = "a-token-of-tests";

/// A session that serves its control, and runs until it is told to end.
pub(crate) struct Session {
    lab: lab::Session,
    pub(crate) address: String,
}

impl Deref for Session {
    type Target = lab::Session;

    fn deref(&self) -> &lab::Session {
        &self.lab
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut lab::Session {
        &mut self.lab
    }
}

impl Session {
    /// Starts a session of a scenario and waits until it answers.
    pub(crate) fn start(name: &str, scenario: &str, arguments: &[&str]) -> Session {
        let arguments = [arguments, &["--token", TOKEN, "--control"]].concat();
        let lab = lab::Session::spawn(name, scenario, &arguments);
        let mut session = Session { lab, address: String::new() };
        session.address = eventually("an address", || session.printed_address());
        eventually("an answer", || (session.get("status").1["state"] == "running").then_some(()));
        session
    }

    fn printed_address(&self) -> Option<String> {
        let text = self.text("err.txt");
        let rest = text.split("http://").nth(1)?;
        rest.split_once('/').map(|(address, _)| address.to_owned())
    }

    /// A request; its status and answer, which is null if it is no JSON.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> (u16, Value) {
        let (status, text) = self.raw(method, path, headers, body);
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The same with the answer as it came.
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return (0, String::new()) };
        let host = format!("Host: {}", self.address);
        let host =
            if headers.iter().any(|header| header.starts_with("Host:")) { "X: y" } else { &host };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        let mut answer = Vec::new();
        let sent = stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes());
        if sent.and_then(|()| stream.read_to_end(&mut answer)).is_err() {
            return (0, String::new());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return (0, String::new()) };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, body.to_owned())
    }

    pub(crate) fn get(&self, what: &str) -> (u16, Value) {
        self.ask("GET", &format!("/api/v1/{what}"), &[], "")
    }

    /// Changes something, with the token.
    pub(crate) fn post(&self, what: &str, body: &str) -> (u16, Value) {
        let token = format!("Authorization: Bearer {TOKEN}");
        self.ask("POST", &format!("/api/v1/{what}"), &[&token], body)
    }

    /// The number of the link between two nodes.
    pub(crate) fn link(&self, a: &str, b: &str) -> u64 {
        let (_, topology) = self.get("topology");
        let links = topology["links"].as_array().expect("links");
        let found = links.iter().find(|link| link["a"] == a && link["b"] == b);
        found.unwrap_or_else(|| panic!("{a} - {b}"))["id"].as_u64().expect("a number")
    }

    /// Runs its journal again: what that printed.
    pub(crate) fn replay(&self) -> Value {
        let output = self.place.ultraloom(&["live", "--replay", "journal", "--output", "json"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"))
    }
}

/// Waits until something is so, for at most half a minute.
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    #[allow(clippy::disallowed_methods, reason = "tests wait by the clock")]
    let now = Instant::now;
    let start = now();
    while now().duration_since(start) < Duration::from_secs(30) {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("{what}: not within half a minute")
}
