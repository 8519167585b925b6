//! Two endpoints with messages for each other, of the transport that the first byte says, and in steps what becomes of their datagrams.
//! After the steps all arrive.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use fabric::ids::HostId;
use fabric::units::{Rate, Span, Time};
use live::endpoint::config::{FIRST_PORT, Kind, Options};
use live::endpoint::host::{Event, Host};
use transports::wire::receive::Datagram;

use crate::steps::Steps;

/// One way.
const WAY: Span = Span::from_micros(100);
/// Bytes of each message.
const BYTES: usize = 20_000;
/// What a switch leaves of a datagram that it trims: PDS (`uet-wire.md` §5.2); and how it says so.
const TRIMMED: usize = 16;
const TRIMMED_TOS: u8 = 18 << 2;
/// More moments than a run has that ends.
const MOMENTS: usize = 100_000;
/// As many without an end are enough of a run that may have none.
const ENOUGH: usize = 2_000;

/// A datagram on its way, with how long UDP says it is.
struct Flying {
    entropy: u16,
    tos: u8,
    length: usize,
    bytes: Vec<u8>,
}

/// No endpoint fails. In the end each message has arrived, once and to the byte: over RoCE, whose packets have a checksum, whatever was
/// done to them; over UET, which leaves that to others, if none was damaged.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let kind = if first & 1 == 0 { Kind::Uet } else { Kind::Roce };
    let mut lab = Lab::new(&Options {
        kind,
        rate: Rate::from_gbps(1),
        rtt: WAY * 4,
        mtu: 1_500,
        trimming: first & 2 == 0,
        entropy_values: 16,
        rccc: kind == Kind::Uet && first & 4 == 0,
        seed: 3,
    });
    let damages = |choice: u8| matches!(Fate::of(choice), Fate::Damage | Fate::Replace);
    let has_to_arrive = kind == Kind::Roce || !Steps(rest).any(|(choice, _)| damages(choice));
    let mut steps = Steps(rest);
    for moment in 0..MOMENTS {
        lab.send(&mut steps);
        if lab.is_done() || (!has_to_arrive && moment == ENOUGH) || !lab.wait() {
            break;
        }
        lab.receive();
    }
    if has_to_arrive {
        lab.arrived.sort();
        let all = [0, 1].map(|rank| (HostId(rank), rank, message(rank)));
        assert!(lab.arrived == all, "{} messages, or other bytes", lab.arrived.len());
    }
}

fn message(rank: u32) -> Vec<u8> {
    vec![rank as u8 + 1; BYTES]
}

/// Two endpoints, and the wire between them.
struct Lab {
    hosts: [Host; 2],
    /// What is on its way, by when it arrives and its number; and to whom.
    wire: BTreeMap<(Time, u64), (usize, Flying)>,
    sent: u64,
    now: Time,
    arrived: Vec<(HostId, u32, Vec<u8>)>,
}

impl Lab {
    /// Each has a message for the other.
    fn new(options: &Options) -> Lab {
        let addresses = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let host = |rank| {
            let mut host = Host::new(HostId(rank), &addresses, options, 1 << 20);
            host.post(Time::ZERO, HostId(1 - rank), rank, message(rank));
            host
        };
        let hosts = [host(0), host(1)];
        Lab { hosts, wire: BTreeMap::new(), sent: 0, now: Time::ZERO, arrived: Vec::new() }
    }

    /// Both send what they have, and tell what has arrived.
    fn send(&mut self, steps: &mut Steps<'_>) {
        for (rank, host) in self.hosts.iter_mut().enumerate() {
            host.on_time(self.now);
            while let Some(departure) = host.depart(self.now) {
                let (length, entropy) = (departure.bytes.len(), departure.port - FIRST_PORT);
                let sent = Flying { entropy, tos: departure.tos, length, bytes: departure.bytes };
                // Packets of 16 paths overtake each other.
                let at = self.now + WAY + Span::from_micros(u64::from(entropy % 16) * 2);
                for flying in on_the_way(sent, steps.next()) {
                    self.sent += 1;
                    self.wire.insert((at, self.sent), (1 - rank, flying));
                }
            }
            while let Some(event) = host.event() {
                if let Event::Received { src, id, bytes } = event {
                    self.arrived.push((src, id, bytes));
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.arrived.len() >= 2 && self.hosts.iter().all(Host::is_idle)
    }

    /// Goes on to the next moment; false if nothing is left to happen.
    fn wait(&mut self) -> bool {
        let arrival = self.wire.first_key_value().map(|(key, _)| key.0);
        let next = self.hosts.iter().map(Host::next).chain(arrival).min();
        let next = next.filter(|next| *next < Time::NEVER);
        self.now = next.unwrap_or(self.now).max(Time(self.now.0 + 1));
        next.is_some()
    }

    /// Takes in what has come.
    fn receive(&mut self) {
        while let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, Flying { entropy, tos, length, bytes }) = entry.remove();
            let (src, dst, bytes) = (HostId(1 - to as u32), HostId(to as u32), &bytes[..]);
            self.hosts[to]
                .on_datagram(self.now, &Datagram { src, dst, entropy, tos, length, bytes });
        }
    }
}

/// What becomes of a datagram.
enum Fate {
    Arrive,
    Lose,
    Trim,
    Damage,
    Replace,
    Twice,
}

impl Fate {
    fn of(choice: u8) -> Fate {
        match choice % 6 {
            0 => Fate::Arrive,
            1 => Fate::Lose,
            2 => Fate::Trim,
            3 => Fate::Damage,
            4 => Fate::Replace,
            _ => Fate::Twice,
        }
    }
}

/// What a step makes of a datagram.
fn on_the_way(mut sent: Flying, step: Option<(u8, &[u8])>) -> Vec<Flying> {
    let Some((choice, bytes)) = step else { return vec![sent] };
    match Fate::of(choice) {
        Fate::Arrive => vec![sent],
        Fate::Lose => Vec::new(),
        // Differentiated services say so then.
        Fate::Trim => {
            sent.bytes.truncate(TRIMMED);
            sent.tos = TRIMMED_TOS;
            vec![sent]
        }
        Fate::Damage => {
            for damage in bytes.chunks_exact(2) {
                let place = usize::from(damage[0]) % sent.length;
                sent.bytes[place] ^= damage[1];
            }
            vec![sent]
        }
        Fate::Replace => vec![Flying { bytes: bytes.to_vec(), length: bytes.len(), ..sent }],
        Fate::Twice => {
            let again = Flying { bytes: sent.bytes.clone(), ..sent };
            vec![sent, again]
        }
    }
}
