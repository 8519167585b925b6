//! Interfaces that join, cut or leave unfinished what a wire would carry: TCP segmentation, receive offloads and checksums. Their
//! frames are not those of a wire, so their user is told, by what `ethtool` says of them or by frames longer than their MTU.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use fabric::ids::HostId;
use transports::wire::outer::ETHERNET;

/// A VLAN tag, which may come on top of the MTU.
const TAG: usize = 4;

/// Offloads that change frames: their name in `ethtool -k`, and the one that `ethtool -K` takes.
const OFFLOADS: [(&str, &str); 6] = [
    ("tx-checksumming", "tx"),
    ("tcp-segmentation-offload", "tso"),
    ("generic-segmentation-offload", "gso"),
    ("generic-receive-offload", "gro"),
    ("large-receive-offload", "lro"),
    ("tx-udp-segmentation", "tx-udp-segmentation"),
];

/// The offloads of an interface that are on, by the names that `ethtool -K` takes; none where that cannot be told.
pub fn switched_on(interface: &str) -> Vec<&'static str> {
    let output = Command::new("ethtool").args(["-k", interface]).output();
    output.map_or(Vec::new(), |output| named(&String::from_utf8_lossy(&output.stdout)))
}

fn named(features: &str) -> Vec<&'static str> {
    let is_on = |name: &str| {
        features.lines().any(|line| {
            let value = line.trim().strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            value.is_some_and(|value| value.starts_with("on"))
        })
    };
    OFFLOADS.iter().filter(|(name, _)| is_on(name)).map(|(_, short)| *short).collect()
}

/// The command that switches offloads of an interface off.
pub fn switch_off(interface: &str, offloads: &[&str]) -> String {
    let words: Vec<String> = offloads.iter().map(|name| format!("{name} off")).collect();
    format!("ethtool -K {interface} {}", words.join(" "))
}

/// The MTU of an interface, in bytes, if it says one.
pub fn mtu(interface: &str) -> Option<u32> {
    let path = Path::new("/sys/class/net").join(interface).join("mtu");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How long frames of attached hosts may be, and which were longer.
#[derive(Clone, Debug, Default)]
pub struct Lengths {
    longest: BTreeMap<HostId, usize>,
    /// Frames of a host that were longer than its MTU allows.
    pub beyond: BTreeMap<HostId, u64>,
}

impl Lengths {
    /// By the MTU of each host's interface, in bytes.
    pub fn new(mtus: &BTreeMap<HostId, u32>) -> Lengths {
        let longest = |(host, mtu): (&HostId, &u32)| (*host, *mtu as usize + ETHERNET + TAG);
        Lengths { longest: mtus.iter().map(longest).collect(), beyond: BTreeMap::new() }
    }

    /// A host has sent a frame of so many bytes.
    pub(crate) fn note(&mut self, host: HostId, bytes: usize) {
        if self.longest.get(&host).is_some_and(|longest| bytes > *longest) {
            *self.beyond.entry(host).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is on is found, with the command that switches it off; what is off or fixed off is not.
    #[test]
    fn offloads_that_are_on_are_named() {
        let text = "Features for eth1:\nrx-checksumming: on\ntx-checksumming: on\n\ttx-checksum-ipv4: off [fixed]\n\
            tcp-segmentation-offload: off\n\ttx-tcp-segmentation: off\ngeneric-segmentation-offload: on\n\
            generic-receive-offload: off [requested on]\nlarge-receive-offload: off [fixed]\n";
        let on = named(text);
        assert_eq!(on, ["tx", "gso"]);
        assert_eq!(switch_off("eth1", &on), "ethtool -K eth1 tx off gso off");
        assert!(named("").is_empty());
    }

    /// A frame of the MTU, tagged, is none too long; one byte more is.
    #[test]
    fn frames_beyond_the_mtu_are_counted() {
        let mut lengths = Lengths::new(&BTreeMap::from([(HostId(3), 1_500)]));
        lengths.note(HostId(3), 1_518);
        lengths.note(HostId(4), 60_000);
        assert!(lengths.beyond.is_empty());
        lengths.note(HostId(3), 1_519);
        assert_eq!(lengths.beyond, BTreeMap::from([(HostId(3), 1)]));
    }
}
