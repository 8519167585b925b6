//! The file of a live run's `[capture]`: real frames as they were at the ports, and packets of simulated hosts as the wire format
//! has them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use ::live::capture::{Passed, Recorder};
use ::live::directory::address;
use ::live::error::LiveError;
use fabric::ids::HostId;
use fabric::packet::Packet;
use results::pcapng::Writer;
use transports::wire::outer;

use crate::captures::Ports;
use crate::error::UserError;
use crate::prepare::Prepared;

/// Begins the file; `None` if the scenario captures nothing.
///
/// # Errors
/// When the file cannot be made.
pub(super) fn recorder(
    path: &Path,
    name: &str,
    snap: Option<usize>,
    prepared: &Prepared,
) -> Result<Option<Recorder>, UserError> {
    let Some(ports) = Ports::new(name, snap, prepared) else { return Ok(None) };
    let place = path.to_path_buf();
    let failed = move |error: std::io::Error| LiveError::File {
        path: place.clone(),
        why: error.to_string(),
    };
    let told = |error: LiveError| UserError::new(error.to_string());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| told(failed(error)))?;
    }
    let out = File::create(path).map_err(|error| told(failed(error)))?;
    let interfaces: Vec<_> = ports.interfaces().cloned().collect();
    let comment = format!("ultraloom {}: {name}, live", env!("CARGO_PKG_VERSION"));
    let writer = Writer::new(BufWriter::new(out), &interfaces, &comment);
    let mut writer = writer.map_err(|error| told(failed(error)))?;
    let sink = move |passed: &Passed| {
        let captured = &passed.captured;
        let model = if passed.bytes.is_none() { simulated(&ports, passed) } else { None };
        let Some(bytes) = passed.bytes.as_ref().or(model.as_ref()) else { return Ok(()) };
        let frame = ports.frame(0, captured, (bytes, bytes.len() as u32));
        writer.frame(&frame).map_err(&failed)
    };
    Ok(Some(Recorder::new(Box::new(sink))))
}

/// A packet of simulated hosts as bytes. In a live run host N has the address 10.0.0.0 + N + 1, which is the next host's in a capture
/// of a simulation; Ethernet addresses are the same.
fn simulated(ports: &Ports, passed: &Passed) -> Option<Vec<u8>> {
    let packet = passed.captured.packet;
    let next = |host: HostId| HostId(host.0 + 1);
    let shifted = Packet { src: next(packet.src), dst: next(packet.dst), ..packet };
    debug_assert_eq!(outer::ip(shifted.src), address(packet.src));
    let mut bytes = ports.bytes(passed.captured.port, &shifted)?;
    // Pause frames are for whoever is at the other end.
    if bytes.get(..6) == Some(outer::mac(shifted.dst).as_bytes()) {
        bytes[..6].copy_from_slice(outer::mac(packet.dst).as_bytes());
        bytes[6..12].copy_from_slice(outer::mac(packet.src).as_bytes());
    }
    Some(bytes)
}
