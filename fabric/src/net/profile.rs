//! Port configuration in the form the hot path reads: thresholds scaled to the port, chances as slopes.

use crate::config::{ClassConfig, Ecn, FabricConfig, Overflow, Schedule};
use crate::packet::CLASSES;
use crate::units::Rate;

/// One class of a port profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassProfile {
    /// Most bytes queued.
    pub(crate) limit: u64,
    /// Marking threshold; `u64::MAX` without ECN.
    pub(crate) kmin: u64,
    /// All is marked above.
    pub(crate) kmax: u64,
    /// Chance of a mark per byte above `kmin`, in 2⁻⁴⁸.
    pub(crate) slope: u64,
    /// Beyond the limit.
    pub(crate) overflow: Overflow,
    /// Bytes a round among weighted classes.
    pub(crate) quantum: u32,
}

/// What ports of one kind share.
#[derive(Clone, Debug)]
pub(crate) struct PortProfile {
    pub(crate) classes: [ClassProfile; CLASSES],
    /// Mask of strict classes.
    pub(crate) strict: u8,
    /// Mask of classes under flow control.
    pub(crate) lossless: u8,
    /// Preamble and gap, in bytes a frame.
    pub(crate) overhead: u16,
    /// Whether the port leads to a host.
    pub(crate) host_facing: bool,
    /// Length of a PFC frame.
    pub(crate) pfc_bytes: u16,
}

const UNUSED: ClassProfile = ClassProfile {
    limit: 0,
    kmin: u64::MAX,
    kmax: u64::MAX,
    slope: 0,
    overflow: Overflow::TailDrop,
    quantum: 1,
};

impl PortProfile {
    /// The profile of a port at `rate`.
    pub(crate) fn new(config: &FabricConfig, rate: Rate, host_facing: bool) -> PortProfile {
        let classes = match &config.host_facing {
            Some(classes) if host_facing => classes,
            _ => &config.classes,
        };
        let mut profile = PortProfile {
            classes: [UNUSED; CLASSES],
            strict: 0,
            lossless: 0,
            overhead: config.frame_overhead,
            host_facing,
            pfc_bytes: config.pfc_bytes,
        };
        let (rate, reference) = (rate.bits_per_second(), config.reference_rate.bits_per_second());
        for (number, class) in classes.iter().enumerate() {
            profile.classes[number] = class_profile(class, rate, reference);
            let bit = 1 << number;
            match class.schedule {
                Schedule::Strict => profile.strict |= bit,
                Schedule::Weighted(quantum) => profile.classes[number].quantum = quantum,
            }
            if class.lossless {
                profile.lossless |= bit;
            }
        }
        profile
    }
}

fn class_profile(class: &ClassConfig, rate: u64, reference: u64) -> ClassProfile {
    let scaled = |bytes: u64| match bytes {
        u64::MAX => u64::MAX,
        _ => (u128::from(bytes) * u128::from(rate) / u128::from(reference)) as u64,
    };
    let mut profile =
        ClassProfile { limit: scaled(class.limit), overflow: class.overflow, ..UNUSED };
    if let Some(Ecn { kmin, kmax, pmax }) = class.ecn {
        profile.kmin = scaled(kmin);
        profile.kmax = scaled(kmax);
        let width = u128::from((profile.kmax - profile.kmin).max(1));
        let slope = (u128::from(pmax.numerator) << 48) / (u128::from(pmax.denominator) * width);
        profile.slope = slope as u64;
    }
    profile
}
