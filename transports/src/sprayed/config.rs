//! Options of the sprayed rivals.

use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::sprayed::ndp::NdpOptions;
use crate::sprayed::srd::SrdOptions;
use crate::sprayed::strack::StrackOptions;

/// Which protocol: what governs sending, and how paths are chosen.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Rival {
    /// SRD-like.
    Srd(SrdOptions),
    /// STrack-like.
    Strack(StrackOptions),
    /// NDP.
    Ndp(NdpOptions),
}

/// Options of an endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SprayedConfig {
    /// Which protocol.
    pub rival: Rival,
    /// Payload of a full packet.
    pub payload: u16,
    /// Everything else of a data frame.
    pub header: u16,
    /// Frames of acknowledgements, negative ones and pulls.
    pub ack_bytes: u16,
    /// Rate of the NIC.
    pub rate: Rate,
    /// Unloaded round trip of the longest way.
    pub base_rtt: Span,
    /// Paths that a connection sprays over: number of entropy values, at most 256.
    pub paths: u16,
    /// A packet is lost when one that left so much later is acknowledged before it.
    pub reordering: Span,
    /// Without an acknowledgement for this long, everything outstanding is lost; doubles each time.
    pub timeout: Span,
}

impl SprayedConfig {
    /// Frames like RoCE's, with a sequence number and a time stamp more (ours: none of the three has a
    /// published frame format); timeouts of some round trips, as SRD's is said to be.
    pub fn new(rival: Rival, rate: Rate, base_rtt: Span) -> SprayedConfig {
        SprayedConfig {
            rival,
            payload: 4_096,
            header: 74,
            ack_bytes: 78,
            rate,
            base_rtt,
            paths: match rival {
                Rival::Srd(_) => 64,
                Rival::Strack(_) | Rival::Ndp(_) => 256,
            },
            reordering: base_rtt,
            timeout: base_rtt * 10,
        }
    }
}
