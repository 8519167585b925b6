//! Options of TCP.

use fabric::units::{Rate, Span};

use crate::tcp::clock;

/// Least buffer, unless less is allowed.
const LEAST_BUFFER: u64 = 4 << 10;

/// Congestion control, as smoltcp offers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// CUBIC (RFC 9438).
    Cubic,
    /// Reno (RFC 5681).
    Reno,
    /// The receiver's window alone.
    None,
}

/// Options of an endpoint. Sizes in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct TcpConfig {
    /// Ports of the NIC. Each connection sends by one of them, in turn, so that segments stay in order.
    pub ports: u8,
    /// Congestion control.
    pub control: Control,
    /// Payload of a full segment (MSS).
    pub payload: u16,
    /// Most that a connection's sender and receiver buffer, which bounds its window.
    pub buffer: u32,
    /// How many times faster the stack's clock runs than the emulation's.
    pub dilation: u32,
}

impl TcpConfig {
    /// Buffer that a message of so many bytes needs: all of it, rounded up to a power of two so that
    /// connections are used again, as far as it is allowed.
    pub(super) fn buffer_for(&self, bytes: u64) -> u32 {
        bytes.max(LEAST_BUFFER).next_power_of_two().min(u64::from(self.buffer)) as u32
    }

    /// CUBIC with segments as long as the other transports' packets, and buffers of twice the
    /// bandwidth-delay product, at which kernels' autotuning aims, but at least 64 KiB.
    pub fn new(rate: Rate, base_rtt: Span) -> TcpConfig {
        TcpConfig {
            ports: 1,
            control: Control::Cubic,
            payload: 4_096,
            buffer: (2 * rate.bytes_in(base_rtt)).clamp(64 << 10, 1 << 30) as u32,
            dilation: clock::dilation(base_rtt),
        }
    }
}
