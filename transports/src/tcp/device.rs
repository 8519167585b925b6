//! The stack's view of the NIC: one segment in, one segment out.

use fabric::ids::HostId;
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::tcp::header::Segment;

/// One segment in, one segment out; both buffers are used again.
pub(super) struct Nic {
    mtu: usize,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    has_inbound: bool,
    has_outbound: bool,
}

impl Nic {
    /// A device for IP packets of at most `mtu` bytes.
    pub(super) fn new(mtu: usize) -> Nic {
        Nic {
            mtu,
            inbound: Vec::new(),
            outbound: Vec::new(),
            has_inbound: false,
            has_outbound: false,
        }
    }

    /// A segment for the stack to take in.
    pub(super) fn arrives(&mut self, src: HostId, dst: HostId, segment: &Segment) {
        segment.emit(src, dst, &ChecksumCapabilities::ignored(), &mut self.inbound);
        self.has_inbound = true;
    }

    /// What the stack has sent since the last call.
    pub(super) fn sent(&mut self) -> Option<Segment> {
        std::mem::take(&mut self.has_outbound).then(|| Segment::parse(&self.outbound)).flatten()
    }
}

impl Device for Nic {
    type RxToken<'a> = Inbound<'a>;
    type TxToken<'a> = Outbound<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        let Nic { inbound, outbound, has_outbound, .. } = self;
        std::mem::take(&mut self.has_inbound)
            .then_some((Inbound(inbound), Outbound { bytes: outbound, used: has_outbound }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        (!self.has_outbound)
            .then_some(Outbound { bytes: &mut self.outbound, used: &mut self.has_outbound })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // The emulated NIC fills and checks them.
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

/// The segment that arrived.
pub(super) struct Inbound<'a>(&'a [u8]);

impl RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a segment to send.
pub(super) struct Outbound<'a> {
    bytes: &'a mut Vec<u8>,
    used: &'a mut bool,
}

impl TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.bytes.resize(length, 0);
        *self.used = true;
        f(&mut self.bytes[..])
    }
}
