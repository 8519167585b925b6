//! Network namespaces for attached hosts, each with one end of a veth pair: made with `ip` and `ethtool` (iproute2, ethtool), and
//! removed again.
//!
//! Names tell what is ours: namespaces are `ultraloom-SESSION-hN`, interfaces `ulHASHhN`. A file in [`STATE`] says whose
//! process a session is; what a process that is gone has left behind is removed by the next start. Nothing else is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fabric::ids::HostId;
use fabric::rng::mix64;
use transports::wire::outer;

use crate::directory::address;
use crate::error::LiveError;

/// Where sessions are noted.
pub const STATE: &str = "/run/ultraloom";
/// What all names of namespaces begin with.
const PREFIX: &str = "ultraloom-";
/// The interface within a namespace.
pub const INSIDE: &str = "eth0";

/// Namespaces and interfaces of a session; they go with it.
#[derive(Debug)]
pub struct Space {
    session: String,
    hosts: Vec<HostId>,
    note: PathBuf,
}

/// The namespace of a host.
pub fn namespace(session: &str, host: HostId) -> String {
    format!("{PREFIX}{session}-h{}", host.0)
}

/// The interface outside of it.
pub fn outside(session: &str, host: HostId) -> String {
    let letters: Vec<u64> = session.bytes().map(u64::from).collect();
    let hash = letters.iter().fold(0, |hash, letter| mix64(hash ^ letter)) % (1 << 24);
    format!("ul{hash:06x}h{}", host.0)
}

/// Whether a text can name a session: short, of lower-case letters, digits and dashes.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 32 && text.chars().all(fits)
}

/// Calls a program; what it prints.
fn call(program: &str, arguments: &[&str]) -> Result<String, LiveError> {
    let failed = |why: String| LiveError::Command {
        command: format!("{program} {}", arguments.join(" ")),
        why,
    };
    let output = Command::new(program).args(arguments).output().map_err(|error| {
        failed(format!("{error}; namespaces are made with iproute2 and ethtool"))
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let is_denied = told.contains("Operation not permitted") || told.contains("Permission denied");
    let help = "; making namespaces needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run as root, or make interfaces \
                yourself and name them (`attach = \"interface\"`)";
    Err(failed(if is_denied { told + help } else { told }))
}

/// Whether a process is there.
fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// Removes what sessions have left whose processes are gone; their names.
pub fn remove_leftovers() -> Vec<String> {
    let entries = fs::read_dir(STATE).into_iter().flatten().flatten();
    let mut removed = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        let process = lines.next().and_then(|line| line.parse().ok());
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if let (Some(process), Some(session)) = (process, name)
            && is_name(&session)
            && !is_alive(process)
        {
            let hosts: Vec<HostId> =
                lines.filter_map(|line| line.parse().ok()).map(HostId).collect();
            remove(&session, &hosts);
            let _ = fs::remove_file(&path);
            removed.push(session);
        }
    }
    removed
}

/// The hosts of a session that is running, in their order; `None` if there is no such session.
pub fn hosts(session: &str) -> Option<Vec<HostId>> {
    let text = fs::read_to_string(Path::new(STATE).join(format!("{session}.session"))).ok()?;
    let mut lines = text.lines();
    lines.next()?.parse().ok().filter(|process| is_alive(*process))?;
    let mut hosts: Vec<HostId> = lines.filter_map(|line| line.parse().ok()).map(HostId).collect();
    hosts.sort_unstable();
    Some(hosts)
}

/// Removes namespaces and interfaces of a session; what is not there is gone already.
fn remove(session: &str, hosts: &[HostId]) {
    for host in hosts {
        let _ = call("ip", &["link", "del", &outside(session, *host)]);
        let _ = call("ip", &["netns", "del", &namespace(session, *host)]);
    }
}

impl Space {
    /// Makes a namespace for each host, with its address, joined to an interface outside; it is down until [`Space::up`].
    ///
    /// # Errors
    /// When that is not permitted, or a program for it is missing. Nothing is left then.
    pub fn make(session: &str, hosts: &[HostId], mtu: u32) -> Result<Space, LiveError> {
        let note = Path::new(STATE).join(format!("{session}.session"));
        let failed = |error: std::io::Error| LiveError::File {
            path: note.clone(),
            why: format!("{error}; making namespaces needs root"),
        };
        if let Ok(text) = fs::read_to_string(&note) {
            let process = text.lines().next().and_then(|line| line.parse().ok());
            if process.is_some_and(is_alive) {
                let why =
                    "a session of this name is running; choose another with --session".to_owned();
                return Err(LiveError::File { path: note, why });
            }
        }
        let numbers: Vec<String> = hosts.iter().map(|host| host.0.to_string()).collect();
        fs::create_dir_all(STATE).map_err(failed)?;
        let text = format!("{}\n{}\n", std::process::id(), numbers.join("\n"));
        fs::write(&note, text).map_err(failed)?;
        // From here on, whatever goes wrong, dropping it removes what there is.
        let space = Space { session: session.to_owned(), hosts: hosts.to_vec(), note };
        hosts.iter().try_for_each(|host| space.add(*host, mtu))?;
        Ok(space)
    }

    fn add(&self, host: HostId, mtu: u32) -> Result<(), LiveError> {
        let (inside, out) = (namespace(&self.session, host), outside(&self.session, host));
        let mac: Vec<String> =
            outer::mac(host).0.iter().map(|byte| format!("{byte:02x}")).collect();
        let (mac, address) = (mac.join(":"), format!("{}/8", address(host)));
        let mtu = mtu.to_string();
        let ip = |arguments: &[&str]| call("ip", arguments).map(drop);
        ip(&["netns", "add", &inside])?;
        ip(&[
            "link", "add", "name", &out, "mtu", &mtu, "type", "veth", "peer", "name", INSIDE,
            "netns", &inside, "mtu", &mtu, "address", &mac,
        ])?;
        // Neither end speaks by itself.
        ip(&["link", "set", "dev", &out, "addrgenmode", "none"])?;
        ip(&["-n", &inside, "link", "set", "dev", INSIDE, "addrgenmode", "none"])?;
        // Frames are to be those of a wire: no longer than the MTU, with their checksums.
        let plain =
            ["tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off", "sg", "off"];
        let arguments = [&["netns", "exec", &inside, "ethtool", "-K", INSIDE], &plain[..]].concat();
        ip(&arguments)?;
        ip(&["-n", &inside, "addr", "add", &address, "dev", INSIDE])?;
        ip(&["-n", &inside, "link", "set", "dev", "lo", "up"])?;
        ip(&["link", "set", "dev", &out, "up"])
    }

    /// Brings the hosts' interfaces up: now there is somebody at the other end.
    ///
    /// # Errors
    /// When one is gone.
    pub fn up(&self) -> Result<(), LiveError> {
        let up = |host: &HostId| {
            let inside = namespace(&self.session, *host);
            call("ip", &["-n", &inside, "link", "set", "dev", INSIDE, "up"]).map(drop)
        };
        self.hosts.iter().try_for_each(up)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        remove(&self.session, &self.hosts);
        let _ = fs::remove_file(&self.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of interfaces fit into Linux's 15 characters, and sessions do not share them.
    #[test]
    fn names_fit() {
        let long = outside("a-session-with-a-rather-long-nam", HostId(99_999));
        assert!(long.len() <= 15, "{long}");
        assert_ne!(outside("a", HostId(1)), outside("b", HostId(1)));
        assert_eq!(namespace("lab", HostId(3)), "ultraloom-lab-h3");
        assert!(is_name("lab-1") && !is_name("Lab") && !is_name("") && !is_name("a/b"));
    }
}
