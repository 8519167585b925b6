//! Captured frames as files: one pcapng a variant.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use fabric::capture::{CaptureRecord, Captured};
use fabric::ids::PortId;
use fabric::packet::Packet;
use results::pcapng::{Frame, Interface, Writer};
use transports::wire::compose::Protocol;

use crate::error::UserError;
use crate::prepare::Prepared;

/// Captured ports as interfaces of a file, and how their packets are written.
pub(crate) struct Ports {
    /// In the order of their numbers.
    ports: Vec<(u32, Interface)>,
    /// Those within domains.
    inner: Vec<u32>,
    protocol: Protocol,
    inner_protocol: Option<Protocol>,
    /// Bytes kept of a frame.
    snap: usize,
}

impl Ports {
    /// Those of a scenario's `[capture]`, described with `of`; `None` if it asks for none.
    pub(crate) fn new(of: &str, snap: Option<usize>, prepared: &Prepared) -> Option<Ports> {
        let capture = prepared.capture.as_ref()?;
        let graph = &prepared.graph;
        let ports = capture.ports.iter().map(|port| {
            let (node, peer, link) = fabric::layout::ends_of(graph, *port);
            let interface = Interface {
                name: graph.name(node),
                description: format!("{} towards {}, {of}", graph.name(node), graph.name(peer)),
                bits_per_second: graph.links[link.index()].rate.bits_per_second(),
            };
            (port.0, interface)
        });
        let is_inner = |node| graph.switch(node).is_some_and(|s| s.tier > graph.top_tier());
        let inner = capture.ports.iter().filter(|port| {
            let (node, peer, _) = fabric::layout::ends_of(graph, **port);
            is_inner(node) || is_inner(peer)
        });
        Some(Ports {
            inner: inner.map(|port| port.0).collect(),
            inner_protocol: prepared.behaviour.scale_up.as_ref().map(|inner| inner.protocol()),
            ports: ports.collect(),
            protocol: prepared.behaviour.transport.protocol(),
            snap: snap.unwrap_or(usize::MAX),
        })
    }

    /// Their interfaces, in order.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.ports.iter().map(|(_, interface)| interface)
    }

    /// The bytes of a packet that passed a port; `None` if it was no frame.
    pub(crate) fn bytes(&self, port: PortId, packet: &Packet) -> Option<Vec<u8>> {
        let protocol = match &self.inner_protocol {
            Some(protocol) if self.inner.contains(&port.0) => protocol,
            _ => &self.protocol,
        };
        protocol.frame(packet)
    }

    /// A frame of a file whose interfaces are these, after `before` others.
    pub(crate) fn frame<'a>(
        &self,
        before: usize,
        captured: &Captured,
        (bytes, length): (&'a [u8], u32),
    ) -> Frame<'a> {
        let place = self.ports.binary_search_by_key(&captured.port.0, |(port, _)| *port);
        Frame {
            interface: (before + place.expect("only captured ports have frames")) as u32,
            at: captured.at,
            way: captured.way,
            length,
            bytes: &bytes[..bytes.len().min(self.snap)],
        }
    }
}

/// What a workload's run captured, and what its ports and packets are.
pub struct CaptureSet {
    /// The variant.
    pub variant: String,
    /// The workload.
    pub workload: String,
    /// Its frames.
    pub record: CaptureRecord,
    ports: Ports,
}

impl CaptureSet {
    /// The capture of a run; `None` if the scenario asks for none.
    pub fn new(
        variant: &str,
        workload: &str,
        snap: Option<usize>,
        prepared: &Prepared,
        record: CaptureRecord,
    ) -> Option<CaptureSet> {
        let ports = Ports::new(workload, snap, prepared)?;
        let (variant, workload) = (variant.to_owned(), workload.to_owned());
        Some(CaptureSet { variant, workload, record, ports })
    }
}

impl CaptureSet {
    /// Frames left out because their port had enough.
    pub fn beyond(&self) -> u64 {
        self.record.beyond
    }
}

/// The name of a variant's file.
pub fn file_name(variant: &str) -> String {
    format!("{variant}.pcapng")
}

/// Writes the captures of one variant: the interfaces of each workload follow each other, and so do their
/// frames, each workload's times from its own zero.
///
/// # Errors
/// When the file cannot be written.
pub fn write(sets: &[&CaptureSet], path: &Path) -> Result<(), UserError> {
    let failed =
        |error: std::io::Error| UserError::new(format!("cannot write {}: {error}", path.display()));
    let out = BufWriter::new(File::create(path).map_err(failed)?);
    let interfaces: Vec<Interface> =
        sets.iter().flat_map(|set| set.ports.interfaces()).cloned().collect();
    let workloads: Vec<&str> = sets.iter().map(|set| set.workload.as_str()).collect();
    let beyond: u64 = sets.iter().map(|set| set.beyond()).sum();
    let comment = format!(
        "ultraloom {}: {}; {beyond} frames beyond the limit were left out",
        env!("CARGO_PKG_VERSION"),
        workloads.join(", ")
    );
    let mut writer = Writer::new(out, &interfaces, &comment).map_err(failed)?;
    let mut first = 0;
    for set in sets {
        for captured in &set.record.frames {
            let Some(bytes) = set.ports.bytes(captured.port, &captured.packet) else { continue };
            let frame = set.ports.frame(first, captured, (&bytes, bytes.len() as u32));
            writer.frame(&frame).map_err(failed)?;
        }
        first += set.ports.interfaces().count();
    }
    writer.finish().flush().map_err(failed)
}
