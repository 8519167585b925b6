//! Lossless switches: shared buffers with headroom and a watchdog, or credits.

use fabric::assemble::set_aside;
use fabric::config::{FabricConfig, SharedBuffer, WatchdogConfig};
use fabric::graph::Graph;
use fabric::link::CreditConfig;

use crate::error::UserError;
use crate::prepare::roce;
use crate::scenario::model::{Profile, SwitchOptions, Transport, Variant};

/// Shared buffer, unless headroom needs more.
const BUFFER: u64 = 32 << 20;
/// A PFC frame with preamble and gap: 672 bits.
const PFC_FRAME: u64 = 84;

/// What the scenario says of switches, with data lossless if credits are asked for.
pub(super) fn flow_control(variant: &Variant) -> Result<SwitchOptions, UserError> {
    match &variant.link.cbfc {
        Some(origin) if variant.switch.lossless == Some(false) => Err(UserError::at(
            origin,
            "`link.cbfc` is `true`, but `switch.lossless` is `false`; credits hold back lossless data",
        )),
        Some(_) => Ok(SwitchOptions { lossless: Some(true), ..variant.switch }),
        None => Ok(variant.switch),
    }
}

/// Credits for frames of at most `frame` bytes and, in RoCE, the longer header of a first one.
pub(super) fn credits(variant: &Variant, frame: u64) -> Result<CreditConfig, UserError> {
    let mut config = CreditConfig { bytes: None, frame: (frame + longer_first(variant)) as u16 };
    if let Some((bytes, origin)) = &variant.link.credits {
        let least = config.least_bytes();
        if *bytes < least {
            let message = format!(
                "`link.credits` is `{bytes}`; expected at least {least} B, a full frame and what a \
                 receiver collects before it tells"
            );
            return Err(UserError::at(origin, message));
        }
        config.bytes = Some(*bytes);
    }
    Ok(config)
}

/// By how much the first frame of a message is longer than the others.
fn longer_first(variant: &Variant) -> u64 {
    match &variant.transport {
        Transport::Uet(_) | Transport::Sprayed(_) | Transport::Tcp(_) => 0,
        Transport::Roce(options) => roce::longer_first(options, variant.profile),
    }
}

/// The shared buffer of a switch whose full frames take `frame` bytes of the wire.
///
/// Headroom is what may still come once a pause is decided (`roce-dcqcn.md` §4.3): what the peer sends while
/// the pause waits for our frame in the way, is on its way and waits for the peer's frame, and what is on
/// its way then. The cable and the peer's pipeline, which stands for its response time, are in the
/// latencies of the link's two directions; one frame more because packets are counted whole (ours).
/// The ns-3 model takes three one-way bandwidth-delay products instead.
pub(super) fn shared(
    variant: &Variant,
    graph: &Graph,
    fabric: &FabricConfig,
    frame: u64,
) -> SharedBuffer {
    let (headroom_bdps, headroom_bytes) = match (variant.switch.headroom, variant.profile) {
        (Some(bytes), _) => (0, bytes),
        (None, Profile::Ns3Rdma) => (3, 0),
        (None, Profile::Ethernet | Profile::Htsim) => {
            (2, 3 * (frame + longer_first(variant)) + PFC_FRAME)
        }
    };
    let watchdog = variant.switch.pfc_watchdog.map(|detect| WatchdogConfig {
        detect,
        restore: variant.switch.pfc_watchdog_restore.unwrap_or(detect),
    });
    let shared = SharedBuffer {
        bytes: BUFFER,
        top_tier_bytes: None,
        reserve: 4_096,
        headroom_bdps,
        headroom_bytes,
        alpha_shift: 3,
        resume_offset: 3_072,
        watchdog,
    };
    let least = 2 * set_aside(graph, fabric, &shared);
    let top_tier_bytes = variant.topology.spine_buffer;
    let bytes = variant.topology.buffer.unwrap_or(BUFFER.max(least));
    SharedBuffer { bytes, top_tier_bytes, ..shared }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fabric::config::Buffer;

    use super::*;
    use crate::error::Source;
    use crate::prepare::Prepared;
    use crate::prepare::behaviour::Behaviour;
    use crate::prepare::tests::prepared;
    use crate::scenario::from_source;

    const WORKLOAD: &str = "[workload]\nkind = \"permutation\"\nbytes = 10\n";

    /// Credits replace the shared buffer and make data lossless, for UET too; what does not fit them is
    /// named with its key.
    #[test]
    fn credits_replace_the_shared_buffer() {
        for (transport, frame) in [("uet", 4_202), ("roce", 4_158 + 16)] {
            let text =
                format!("[link]\ncbfc = true\n[transport]\nkind = {transport:?}\n{WORKLOAD}");
            let Behaviour { fabric, .. } = prepared(&text).behaviour;
            assert_eq!(fabric.buffer, Buffer::Credits(CreditConfig { bytes: None, frame }));
            assert!(fabric.classes[1].lossless);
        }
        for (text, message) in [
            ("[link]\ncbfc = true\n[switch]\nlossless = false\n", "`switch.lossless` is `false`"),
            ("[link]\ncbfc = true\ncredits = \"1 KiB\"\n", "`link.credits` is `1024`; expected"),
            ("[link]\ncredits = \"1 KiB\"\n", "unknown key `link.credits`"),
            ("[link]\nber = 0.2\n", "`link.ber` is `0.2`; expected a number from 0 to 0.01"),
            ("[link]\nber = 1e-6\nfer = 1e-6\n", "`link.ber`"),
            ("[[fault]]\nkind = \"bit-errors\"\n", "`fault[0].ber` is missing"),
            (
                "[[fault]]\nkind = \"drop-periodic\"\nevery = 3\nat = \"2 us\"\nuntil = \"2 us\"\n",
                "`fault[0].until` is `2 us`; expected later than `at`",
            ),
        ] {
            let source =
                Source { name: "x.toml".into(), text: format!("{text}{WORKLOAD}"), folder: None };
            let scenario = from_source(&Arc::new(source), &[], None);
            let error = scenario.and_then(|s| Prepared::new(&s.variants[0]).map(drop)).unwrap_err();
            assert!(error.message.contains(message), "{text}: {}", error.message);
            assert!(error.render().contains("x.toml:"), "{text}: {}", error.render());
        }
    }

    /// RoCE gets a lossless class over a buffer that its headroom fits into.
    #[test]
    fn roce_is_lossless_by_default() {
        let text = format!("[transport]\nkind = \"roce\"\n{WORKLOAD}");
        let prepared = prepared(&text);
        let Buffer::Shared(shared) = prepared.behaviour.fabric.buffer else { panic!("shared") };
        assert!(prepared.behaviour.fabric.classes[1].lossless);
        assert!(shared.bytes > set_aside(&prepared.graph, &prepared.behaviour.fabric, &shared));
    }

    /// Headroom follows from cable and rate: 30 m at 400 Gb/s are 7.5 KB each way beside PHY and pipelines.
    #[test]
    fn headroom_follows_from_cable_and_rate() {
        let aside = |length: &str| {
            let text = format!(
                "[topology]\nkind = \"single-switch\"\nhosts = 2\nlink_length = {length:?}\n\
                 [transport]\nkind = \"roce\"\n{WORKLOAD}"
            );
            let prepared = prepared(&text);
            let Buffer::Shared(shared) = prepared.behaviour.fabric.buffer else { panic!("shared") };
            set_aside(&prepared.graph, &prepared.behaviour.fabric, &shared) / 2 - shared.reserve
        };
        // Both ways: 150 ns of cable, 65 ns of PHY, 400 ns of switch or 500 ns of host, at 50 B/ns.
        let frame = 4_096 + 62 + 16 + 20;
        assert_eq!(aside("30 m"), 50 * (2 * (150 + 65) + 900) + 3 * frame + 84);
        assert_eq!(aside("2 km") - aside("30 m"), 50 * 2 * 1_970 * 5);
    }
}
