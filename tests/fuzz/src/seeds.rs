//! Frames of every kind, whole and damaged, and what all targets begin with, made of them.

use std::net::Ipv4Addr;

use fabric::ids::HostId;
use live::directory;
use transports::wire::outer;

use crate::steps::step;

/// A small generator of numbers, the same everywhere.
pub struct Numbers(
    /// The last one; not 0.
    pub u64,
);

impl Numbers {
    /// The next one, below `below`.
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Host N's Ethernet address.
fn mac(host: u32) -> [u8; 6] {
    outer::mac(HostId(host)).0
}

fn address(host: u32) -> Ipv4Addr {
    directory::address(HostId(host))
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// An IPv4 packet with a right header.
fn ipv4(src: u32, dst: u32, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut header = vec![0x45, 2];
    header.extend(length.to_be_bytes());
    header.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(address(src).octets());
    header.extend(address(dst).octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    header.extend(payload);
    header
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// A SYN with options.
fn tcp(src: u32, dst: u32, from: u16, to: u16) -> Vec<u8> {
    let mut segment =
        [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0, 0, 0, 7, 0, 0, 0, 0]].concat();
    segment.extend([0x70, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4, 1, 3, 3, 7]);
    segment[12] = 0x80;
    let length = (segment.len() as u16).to_be_bytes();
    let pseudo =
        [&address(src).octets()[..], &address(dst).octets(), &[0, 6], &length, &segment].concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo));
    segment
}

/// An echo request.
fn icmp(bytes: &[u8]) -> Vec<u8> {
    let mut message = [&[8, 0, 0, 0, 1, 2, 0, 1][..], bytes].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// A right frame from `src` to `dst`, of one of all kinds.
pub fn whole(numbers: &mut Numbers, src: u32, dst: u32) -> Vec<u8> {
    let payload = vec![numbers.next(256) as u8; numbers.next(1_000) as usize];
    let port = numbers.next(60_000) as u16 + 1_024;
    let service = [7, 9, 19, 80][numbers.next(4) as usize];
    let kind = numbers.next(9);
    let (ethertype, body): (u16, Vec<u8>) = match kind {
        0 => {
            let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1 + numbers.next(2) as u8];
            arp.extend(
                [&mac(src)[..], &address(src).octets(), &[0; 6], &address(dst).octets()].concat(),
            );
            (0x0806, arp)
        }
        1 => (0x0800, ipv4(src, dst, 1, &icmp(&payload))),
        2 => (0x0800, ipv4(src, dst, 6, &tcp(src, dst, port, service))),
        3 => (0x0800, ipv4(src, dst, 17, &udp(port, service, &payload))),
        4 => (0x0800, ipv4(src, dst, 17, &udp(port, 4_793, &payload))),
        5 => (0x0800, ipv4(src, dst, 17, &udp(port, 4_791, &payload))),
        6 => {
            let mut six = vec![0x60, 0x20, 0, 0];
            six.extend((payload.len() as u16).to_be_bytes());
            six.extend([58, 64]);
            six.extend([[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, src as u8]].concat());
            six.extend([[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, dst as u8]].concat());
            six.extend(&payload);
            (0x86dd, six)
        }
        7 => (
            0x8100,
            [&[0, 5, 8, 0][..], &ipv4(src, dst, 17, &udp(port, service, &payload))].concat(),
        ),
        _ => (0x88cc, payload),
    };
    let to = if kind == 0 { [0xff; 6] } else { mac(dst) };
    let mut frame = [&to[..], &mac(src), &ethertype.to_be_bytes(), &body].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A frame of one of all kinds with some bytes changed, mostly in its headers, or its end cut off; or no frame at all.
pub fn damaged(numbers: &mut Numbers, src: u32, dst: u32) -> Vec<u8> {
    let mut frame = whole(numbers, src, dst);
    for _ in 0..numbers.next(4) {
        let reach = [frame.len(), 80, 44][numbers.next(3) as usize].min(frame.len());
        let place = numbers.next(reach as u64) as usize;
        frame[place] = [0, 0xff, numbers.next(256) as u8][numbers.next(3) as usize];
    }
    match numbers.next(6) {
        0 => frame.truncate(numbers.next(frame.len() as u64) as usize),
        1 => frame.truncate(14 + numbers.next(40) as usize),
        2 if numbers.next(8) == 0 => {
            frame.iter_mut().for_each(|byte| *byte = numbers.next(256) as u8)
        }
        _ => {}
    }
    frame
}

/// What a target begins with: frames of all kinds, and each fate of datagrams.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(29);
    let mut frames = |from, to| (0..40).map(|_| whole(&mut numbers, from, to)).collect::<Vec<_>>();
    match target {
        "frames" => {
            let fates = (0..=u8::MAX).step_by(7);
            frames(0, 1)
                .iter()
                .zip(fates)
                .map(|(frame, fate)| [&[fate], &frame[..]].concat())
                .collect()
        }
        "answers" => {
            let frames = frames(1, 2);
            let wait = |place: usize| (place % 14) as u8;
            let steps = |some: &[Vec<u8>]| {
                let all = some.iter().enumerate();
                all.flat_map(|(place, frame)| step(wait(place), frame)).collect()
            };
            frames.chunks(3).map(steps).collect()
        }
        "datagrams" => (0..24u8)
            .map(|number| {
                let fates = [step(number % 6, &[number, 1 << (number % 8)]), step(0, &[])];
                // Every so many datagrams something is done to one.
                let round: Vec<u8> = fates.iter().cycle().take(20).flatten().copied().collect();
                [&[number % 8], &round[..]].concat()
            })
            .collect(),
        _ => frames(0, 1)
            .into_iter()
            .flat_map(|frame| {
                let datagram = frame.get(42..).unwrap_or_default();
                [[&[0, 0, 0, 0], datagram].concat(), frame]
            })
            .collect(),
    }
}
