//! Damaged frames out of a raw socket.

use std::time::Duration;

use fuzz::seeds::{Numbers, damaged};
use pnet::datalink::{self, Channel, Config, DataLinkSender};

/// Opens an interface for raw frames.
fn open(interface: &str) -> Box<dyn DataLinkSender> {
    let all = datalink::interfaces();
    let found = all.iter().find(|one| one.name == interface).expect("the interface");
    match datalink::channel(found, Config::default()) {
        Ok(Channel::Ethernet(sender, _)) => sender,
        _ => panic!("no raw socket"),
    }
}

/// Sends so many damaged frames out of an interface, of `hosts[0]` to any of `hosts`; how many were taken.
pub(crate) fn send(interface: &str, count: u64, seed: u64, hosts: &[u32]) -> String {
    let mut sender = open(interface);
    let mut numbers = Numbers(seed * 2 + 1);
    let mut taken = 0;
    for number in 0..count {
        let dst = hosts[numbers.next(hosts.len() as u64) as usize];
        let frame = damaged(&mut numbers, hosts[0], dst);
        taken += u64::from(matches!(sender.send_to(&frame, None), Some(Ok(()))));
        if number % 20 == 19 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    format!("{taken} taken")
}
