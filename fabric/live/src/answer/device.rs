//! The stack's view of its NIC: one IP packet in, as many out as there is room for.

use std::mem::take;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use transports::wire::outer::ETHERNET;

/// What the stack reads and writes. Buffers are used again.
pub(super) struct Nic {
    mtu: usize,
    inbound: Vec<u8>,
    has_inbound: bool,
    /// Frames that the stack has sent, with room for their Ethernet header.
    pub(super) outbound: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    /// Frames that it may send by itself; answers to what arrives go beyond.
    pub(super) room: usize,
}

impl Nic {
    /// A device for IP packets of at most `mtu` bytes.
    pub(super) fn new(mtu: usize) -> Nic {
        let (inbound, outbound, spare) = (Vec::new(), Vec::new(), Vec::new());
        Nic { mtu, inbound, has_inbound: false, outbound, spare, room: 0 }
    }

    /// An IP packet for the stack to take in.
    pub(super) fn arrives(&mut self, packet: &[u8]) {
        self.inbound.clear();
        self.inbound.extend_from_slice(packet);
        self.has_inbound = true;
    }

    /// Takes back the buffer of a frame that was sent.
    pub(super) fn recycle(&mut self, frame: Vec<u8>) {
        self.spare.push(frame);
    }

    /// Whether the stack has to wait before it may send again.
    pub(super) fn is_full(&self) -> bool {
        self.outbound.len() >= self.room
    }
}

impl Device for Nic {
    type RxToken<'a> = Inbound<'a>;
    type TxToken<'a> = Outbound<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        let Nic { inbound, has_inbound, outbound, spare, .. } = self;
        take(has_inbound).then_some((Inbound(inbound), Outbound { outbound, spare }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        let is_full = self.is_full();
        let Nic { outbound, spare, .. } = self;
        (!is_full).then_some(Outbound { outbound, spare })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// The packet that arrived.
pub(super) struct Inbound<'a>(&'a [u8]);

impl RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a packet to send.
pub(super) struct Outbound<'a> {
    outbound: &'a mut Vec<Vec<u8>>,
    spare: &'a mut Vec<Vec<u8>>,
}

impl TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.clear();
        frame.resize(ETHERNET + length, 0);
        let result = f(&mut frame[ETHERNET..]);
        self.outbound.push(frame);
        result
    }
}
