//! Transport security (TSS, `uet-wire.md` §4) and the entropy header of native IP (§1).
//!
//! Formats only: nothing here is encrypted, and the model has no secure PDCs.

use crate::wire::layout::layout;

/// Bytes of the integrity check value behind the payload.
pub const ICV: usize = 16;

layout! {
    /// Security header without source identifier.
    Tss / TssPacket, "TSS", 12 {
        /// 1, where a PDS type would be.
        kind / set_kind: u8 = 0, 5;
        /// A source identifier follows the domain: see [`TssSource`].
        sp / set_sp: bool = 5, 1;
        /// Association number.
        an / set_an: bool = 7, 1;
        /// Secure domain.
        sdi / set_sdi: u32 = 8, 24;
        /// Epoch of the key.
        epoch / set_epoch: u16 = 32, 16;
        /// Counter.
        tsc / set_tsc: u64 = 48, 48;
    }
}

layout! {
    /// Security header with source identifier.
    TssSource / TssSourcePacket, "TSS", 16 {
        /// 1, where a PDS type would be.
        kind / set_kind: u8 = 0, 5;
        /// Set.
        sp / set_sp: bool = 5, 1;
        /// Association number.
        an / set_an: bool = 7, 1;
        /// Secure domain.
        sdi / set_sdi: u32 = 8, 24;
        /// Secure source.
        ssi / set_ssi: u32 = 32, 32;
        /// Epoch of the key.
        epoch / set_epoch: u16 = 64, 16;
        /// Counter.
        tsc / set_tsc: u64 = 80, 48;
    }
}

layout! {
    /// What stands between IP and PDS where there is no UDP.
    Entropy / EntropyPacket, "entropy", 4 {
        /// The entropy value, where UDP has its source port.
        entropy / set_entropy: u16 = 0, 16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Domain, source, epoch and counter, by hand.
    #[test]
    fn a_source_makes_the_header_longer() {
        let short = [0x08, 0, 0, 5, 0, 2, 0, 0, 0, 0, 1, 0];
        let repr = Tss::parse(&short).unwrap();
        assert_eq!((repr.kind, repr.sp, repr.an), (1, false, false));
        assert_eq!((repr.sdi, repr.epoch, repr.tsc), (5, 2, 256));
        assert_eq!(repr.to_bytes(), short);
        let long = [0x0d, 0, 0, 5, 0, 0, 0, 9, 0, 2, 0, 0, 0, 0, 1, 0];
        let repr = TssSource::parse(&long).unwrap();
        assert_eq!((repr.sp, repr.an, repr.ssi, repr.epoch, repr.tsc), (true, true, 9, 2, 256));
        assert_eq!(repr.to_bytes(), long);
        assert_eq!(Entropy { entropy: 0xbeef }.to_bytes(), [0xbe, 0xef, 0, 0]);
    }
}
