//! The two checksums over what lies inside IP: UET's CRC32C (`uet-wire.md` §1) and RoCEv2's ICRC (§6).

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, Crc};

/// Where the IPv4 header begins in a frame.
const IP: usize = 14;
/// Where UDP begins, without IP options.
const UDP: usize = IP + 20;

const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const ETHERNET: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// UET's CRC over a frame that ends with its payload: CRC32C from the IPv4 source address on, so that what
/// switches change lies outside; in network order.
pub fn uet_crc(frame: &[u8]) -> [u8; 4] {
    CASTAGNOLI.checksum(&frame[IP + 12..]).to_be_bytes()
}

/// The ICRC of a RoCEv2 frame over IPv4 that ends with its payload and pad; as it lies on the wire, least
/// significant byte first. What may change on the way counts as ones.
pub fn icrc(frame: &[u8]) -> [u8; 4] {
    let mut header = [0u8; 20 + 8 + 12];
    header.copy_from_slice(&frame[IP..UDP + 8 + 12]);
    // TOS, TTL, IP checksum, UDP checksum, the reserved byte of BTH.
    for place in [1, 8, 10, 11, 20 + 6, 20 + 7, 20 + 8 + 4] {
        header[place] = 0xff;
    }
    let mut digest = ETHERNET.digest();
    digest.update(&[0xff; 8]);
    digest.update(&header);
    digest.update(&frame[UDP + 8 + 12..]);
    digest.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksums' own check values, for "123456789".
    #[test]
    fn the_polynomials_are_the_known_ones() {
        assert_eq!(CASTAGNOLI.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(ETHERNET.checksum(b"123456789"), 0xcbf4_3926);
    }

    /// What switches may change does not change the ICRC or the CRC; anything else does.
    #[test]
    fn mutable_fields_do_not_count() {
        let frame: Vec<u8> = (0..100).collect();
        for place in 14..100 {
            let mut other = frame.clone();
            other[place] ^= 1;
            let mutable = [IP + 1, IP + 8, IP + 10, IP + 11, UDP + 6, UDP + 7, UDP + 12];
            assert_eq!(icrc(&other) == icrc(&frame), mutable.contains(&place), "byte {place}");
            assert_eq!(uet_crc(&other) == uet_crc(&frame), place < IP + 12, "byte {place}");
        }
    }
}
