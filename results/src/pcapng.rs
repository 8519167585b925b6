//! Captured frames as pcapng, which Wireshark and tshark open: nanosecond times from the start of the run,
//! one interface a port, the direction of each frame.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use fabric::capture::Way;
use fabric::units::Time;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

/// Frames are no longer than this, so that nothing is cut.
const SNAP: u32 = 65_535;
/// `if_tsresol`: times count 10⁻⁹ s.
const NANOSECONDS: u8 = 9;

/// A port as an interface of the file.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name: `host:5`.
    pub name: String,
    /// What it is: the port at the other end.
    pub description: String,
    /// Rate of its link, bits per second.
    pub bits_per_second: u64,
}

/// A frame of an interface.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The interface's place in the list that the file was begun with.
    pub interface: u32,
    /// When its last bit passed the port.
    pub at: Time,
    /// Which way.
    pub way: Way,
    /// Bytes of it that are kept, from the Ethernet header, without frame check sequence.
    pub bytes: &'a [u8],
    /// Bytes that there were.
    pub length: u32,
}

/// A file being written.
pub struct Writer<W: Write>(PcapNgWriter<W>);

impl<W: Write> Writer<W> {
    /// Begins a file with its interfaces; `comment` says where it comes from.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(out: W, interfaces: &[Interface], comment: &str) -> io::Result<Writer<W>> {
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::Comment(Cow::Owned(comment.to_owned())),
                SectionHeaderOption::UserApplication(Cow::Borrowed("ultraloom")),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(out, section).map_err(failed)?;
        for interface in interfaces {
            let block = InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: SNAP,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(&interface.name)),
                    InterfaceDescriptionOption::IfDescription(Cow::Borrowed(
                        &interface.description,
                    )),
                    InterfaceDescriptionOption::IfSpeed(interface.bits_per_second),
                    InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
                    InterfaceDescriptionOption::IfFcsLen(0),
                ],
            };
            writer.write_pcapng_block(block).map_err(failed)?;
        }
        Ok(Writer(writer))
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        // epb_flags, bits 0 and 1.
        let way = match frame.way {
            Way::Received => 1,
            Way::Sent => 2,
        };
        let block = EnhancedPacketBlock {
            interface_id: frame.interface,
            timestamp: Duration::from_nanos(frame.at.0 / 1_000),
            original_len: frame.length,
            data: Cow::Borrowed(frame.bytes),
            options: vec![EnhancedPacketOption::Flags(way)],
        };
        self.0.write_pcapng_block(block).map(drop).map_err(failed)
    }

    /// Ends the file.
    pub fn finish(self) -> W {
        self.0.into_inner()
    }
}

fn failed(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::{Block, PcapNgReader};

    /// What is written is read again: names, nanoseconds, directions, bytes kept and bytes there were.
    #[test]
    fn a_file_is_read_again() {
        let interface = |name: &str| Interface {
            name: name.into(),
            description: "to tor:0".into(),
            bits_per_second: 400_000_000_000,
        };
        let interfaces = [interface("host:5"), interface("host:6")];
        let mut writer = Writer::new(Vec::new(), &interfaces, "a test").unwrap();
        let bytes = [7u8; 61];
        let at = Time(53_049_999);
        for (interface, way) in [(1, Way::Sent), (0, Way::Received)] {
            let frame = Frame { interface, at, way, bytes: &bytes, length: 4_198 };
            writer.frame(&frame).unwrap();
        }
        let file = writer.finish();
        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::EnhancedPacket(packet) => {
                    let flags = packet.options.contains(&EnhancedPacketOption::Flags(2));
                    assert_eq!((packet.data.len(), packet.original_len), (61, 4_198));
                    assert_eq!(packet.timestamp.as_nanos(), 53_049);
                    seen.push((packet.interface_id, flags));
                }
                Block::InterfaceDescription(block) => {
                    assert!(block.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [(1, true), (0, false)]);
    }
}
