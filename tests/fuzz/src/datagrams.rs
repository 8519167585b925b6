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
    let options = Options {
        kind,
        rate: Rate::from_gbps(1),
        rtt: WAY * 4,
        mtu: 1_500,
        trimming: first & 2 == 0,
        entropy_values: 16,
        rccc: kind == Kind::Uet && first & 4 == 0,
        seed: 3,
    };
    let addresses = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let host = |rank| Host::new(HostId(rank), &addresses, &options, 1 << 20);
    let mut hosts = [host(0), host(1)];
    let message = |rank: u32| vec![rank as u8 + 1; BYTES];
    for rank in 0..2u32 {
        hosts[rank as usize].post(Time::ZERO, HostId(1 - rank), rank, message(rank));
    }
    let damages = |choice: u8| matches!(Fate::of(choice), Fate::Damage | Fate::Replace);
    let has_to_arrive = kind == Kind::Roce || !Steps(rest).any(|(choice, _)| damages(choice));
    let (mut steps, mut wire, mut now) = (Steps(rest), BTreeMap::new(), Time::ZERO);
    let mut arrived = Vec::new();
    for moment in 0..MOMENTS {
        for rank in 0..2usize {
            hosts[rank].on_time(now);
            while let Some(departure) = hosts[rank].depart(now) {
                let (length, entropy) = (departure.bytes.len(), departure.port - FIRST_PORT);
                let sent = Flying { entropy, tos: departure.tos, length, bytes: departure.bytes };
                // Packets of 16 paths overtake each other.
                let late = Span::from_micros(u64::from(entropy % 16) * 2);
                for flying in on_the_way(sent, steps.next()) {
                    let number = wire.len() as u64 + moment as u64 * 1_000;
                    wire.insert((now + WAY + late, number), (1 - rank, flying));
                }
            }
            while let Some(event) = hosts[rank].event() {
                if let Event::Received { src, id, bytes } = event {
                    arrived.push((src, id, bytes));
                }
            }
        }
        let is_done = arrived.len() >= 2 && hosts.iter().all(Host::is_idle);
        if is_done || (!has_to_arrive && moment == ENOUGH) {
            break;
        }
        assert!(moment + 1 < MOMENTS, "{} of 2 messages have arrived", arrived.len());
        let next = hosts.iter().map(Host::next).min().unwrap_or(Time::NEVER);
        let arrival =
            wire.first_key_value().map_or(Time::NEVER, |(key, _): (&(Time, u64), _)| key.0);
        let next = next.min(arrival);
        if next == Time::NEVER {
            break;
        }
        now = next.max(Time(now.0 + 1));
        while let Some(entry) = wire.first_entry()
            && entry.key().0 <= now
        {
            let (to, flying) = entry.remove();
            let (src, dst) = (HostId(1 - to as u32), HostId(to as u32));
            let Flying { entropy, tos, length, bytes } = &flying;
            let (entropy, tos, length) = (*entropy, *tos, *length);
            hosts[to].on_datagram(now, &Datagram { src, dst, entropy, tos, length, bytes });
        }
    }
    if has_to_arrive {
        arrived.sort();
        let all = [0, 1].map(|rank| (HostId(rank), rank, message(rank)));
        assert!(arrived == all, "{} messages, or other bytes", arrived.len());
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
