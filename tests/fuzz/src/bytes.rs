//! Any bytes: a frame to describe, and a datagram to take.

use fabric::ids::HostId;
use transports::wire::decode::describe;
use transports::wire::receive::{self, Datagram};

/// Describing them ends in text or in an error; taking them in a packet or in an error, and a packet's payload is part of them.
pub fn run(data: &[u8]) {
    let _ = describe(data);
    let Some((head, bytes)) = data.split_first_chunk::<4>() else { return };
    // UDP says as many bytes, or more: a switch has trimmed it.
    let more = usize::from(u16::from_be_bytes([head[2], head[3]])) >> (head[1] >> 4);
    let datagram = Datagram {
        src: HostId(0),
        dst: HostId(1),
        entropy: u16::from(head[1] & 0xf),
        tos: head[0],
        length: bytes.len() + more,
        bytes,
    };
    if let Ok((_, payload)) = receive::uet(&datagram) {
        assert!(payload.len() <= bytes.len());
    }
    if let Ok(taken) = receive::roce(&datagram) {
        assert!(taken.payload.len() <= bytes.len());
    }
}
