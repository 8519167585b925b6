//! Whose address is whose.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use fabric::ids::HostId;
use smoltcp::wire::EthernetAddress;
use transports::wire::outer;

use crate::frame::Target;

/// The IPv4 address that Ultraloom gives to an attached host: 10.0.0.1 to host 0.
pub fn address(host: HostId) -> Ipv4Addr {
    Ipv4Addr::from((10 << 24) + (host.0 & 0xff_ffff) + 1)
}

/// Most addresses that are learned of a host, Ethernet and IP together; a new one takes the place of the oldest.
const LEARNED: usize = 128;

/// An address that was learned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Address {
    Mac([u8; 6]),
    Ip(IpAddr),
}

/// Addresses of hosts: those that Ultraloom gives, and what is learned from the frames of interfaces that have their own.
#[derive(Clone, Debug)]
pub struct Directory {
    hosts: u32,
    learned: BTreeMap<Address, HostId>,
    /// Those of each host, oldest first; some may have gone to another host since.
    of_host: BTreeMap<HostId, VecDeque<Address>>,
}

impl Directory {
    /// Of a fabric of so many hosts.
    pub fn new(hosts: u32) -> Directory {
        Directory { hosts, learned: BTreeMap::new(), of_host: BTreeMap::new() }
    }

    /// A host sent a frame from these addresses. What Ultraloom gave to a host stays that host's.
    pub fn learn(&mut self, host: HostId, mac: EthernetAddress, ip: Option<IpAddr>) {
        if mac.is_unicast() && self.given_mac(mac).is_none() {
            self.keep(host, Address::Mac(mac.0));
        }
        if let Some(ip) = ip
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && self.given_ip(ip).is_none()
        {
            self.keep(host, Address::Ip(ip));
        }
    }

    fn keep(&mut self, host: HostId, address: Address) {
        if self.learned.insert(address, host) == Some(host) {
            return;
        }
        let own = self.of_host.entry(host).or_default();
        own.push_back(address);
        if own.len() > LEARNED
            && let Some(oldest) = own.pop_front()
            && self.learned.get(&oldest) == Some(&host)
        {
            self.learned.remove(&oldest);
        }
    }

    /// Whom a frame is for, if that is one host of the fabric.
    pub fn find(&self, target: Target) -> Option<HostId> {
        match target {
            Target::Mac(mac) => self.given_mac(mac).or_else(|| self.known_as(Address::Mac(mac.0))),
            Target::Ip(ip) => self.given_ip(ip).or_else(|| self.known_as(Address::Ip(ip))),
            Target::Everybody => None,
        }
    }

    fn known_as(&self, address: Address) -> Option<HostId> {
        self.learned.get(&address).copied()
    }

    fn known(&self, number: u32) -> Option<HostId> {
        (number < self.hosts).then_some(HostId(number))
    }

    fn given_mac(&self, mac: EthernetAddress) -> Option<HostId> {
        let [first, second, a, b, c, d] = mac.0;
        let host = self.known(u32::from_be_bytes([a, b, c, d]))?;
        (outer::mac(host).0[..2] == [first, second]).then_some(host)
    }

    fn given_ip(&self, ip: IpAddr) -> Option<HostId> {
        let IpAddr::V4(ip) = ip else { return None };
        let number = u32::from(ip).checked_sub(u32::from(address(HostId(0))))?;
        self.known(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that claims ever new addresses keeps the newest, and costs no memory; others keep theirs.
    #[test]
    fn few_addresses_are_learned_of_a_host() {
        let mut directory = Directory::new(16);
        let card = |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            EthernetAddress([0x3c, 0xec, a, b, c, d])
        };
        directory.learn(HostId(1), card(0), None);
        (1..10_000).for_each(|number| directory.learn(HostId(2), card(number), None));
        assert_eq!(directory.find(Target::Mac(card(0))), Some(HostId(1)));
        assert_eq!(directory.find(Target::Mac(card(9_999))), Some(HostId(2)));
        assert_eq!(directory.find(Target::Mac(card(1))), None);
        assert_eq!(directory.learned.len(), 1 + LEARNED);
        // An address that goes to another host stays there when its first host's turn is over.
        directory.learn(HostId(3), card(9_999), None);
        (10_000..20_000).for_each(|number| directory.learn(HostId(2), card(number), None));
        assert_eq!(directory.find(Target::Mac(card(9_999))), Some(HostId(3)));
    }

    /// Given addresses are found without a word, others once their owner has spoken; nobody can take a given one.
    #[test]
    fn addresses_are_given_or_learned() {
        let mut directory = Directory::new(16);
        let own = Target::Mac(outer::mac(HostId(7)));
        assert_eq!(directory.find(own), Some(HostId(7)));
        let given = IpAddr::V4(address(HostId(9)));
        assert_eq!(directory.find(Target::Ip(given)), Some(HostId(9)));
        assert_eq!(directory.find(Target::Mac(outer::mac(HostId(16)))), None);
        let card = EthernetAddress([0x3c, 0xec, 0xef, 1, 2, 3]);
        assert_eq!(directory.find(Target::Mac(card)), None);
        let address = IpAddr::from([192, 168, 1, 5]);
        directory.learn(HostId(3), card, Some(address));
        directory.learn(HostId(3), outer::mac(HostId(7)), Some(given));
        assert_eq!(directory.find(Target::Mac(card)), Some(HostId(3)));
        assert_eq!(directory.find(Target::Ip(address)), Some(HostId(3)));
        assert_eq!(
            (directory.find(own), directory.find(Target::Ip(given))),
            (Some(HostId(7)), Some(HostId(9)))
        );
        assert_eq!(directory.find(Target::Everybody), None);
    }
}
