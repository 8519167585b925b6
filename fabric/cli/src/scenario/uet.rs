//! `[transport]` of UET: every key in one table, with what it may be and what it sets.

use fabric::units::{Rate, Span};
use transports::uet::config::{
    AckCount, Congestion, Delivery, HostBuffer, LossInference, Operation, PdcScope, SackBase,
    Spraying, UetConfig,
};

use crate::error::UserError;
use crate::scenario::tree::Section;

/// Declares [`UetOptions`]: a field a key, how it is read, and how it changes a configuration.
macro_rules! options {
    ($($(#[$doc:meta])* $key:ident: $type:ty = $read:expr, $set:expr;)*) => {
        /// UET, where the scenario differs from the profile.
        #[derive(Clone, Copy, PartialEq, Debug, Default)]
        pub struct UetOptions {
            $($(#[$doc])* pub $key: Option<$type>,)*
        }

        impl UetOptions {
            /// Reads the keys.
            ///
            /// # Errors
            /// When a value is none of those allowed.
            pub(super) fn read(section: &Section<'_>) -> Result<UetOptions, UserError> {
                fn call<'a, 'b, T>(
                    read: impl FnOnce(&'b Section<'a>, &'static str) -> Result<Option<T>, UserError>,
                    section: &'b Section<'a>,
                    key: &'static str,
                ) -> Result<Option<T>, UserError> {
                    read(section, key)
                }
                Ok(UetOptions { $($key: call::<$type>($read, section, stringify!($key))?,)* })
            }

            /// Changes `config` where the scenario says so.
            pub fn apply(&self, config: &mut UetConfig) {
                fn call<T>(set: impl Fn(&mut UetConfig, T), config: &mut UetConfig, value: T) {
                    set(config, value);
                }
                $(if let Some(value) = self.$key {
                    call::<$type>($set, config, value);
                })*
            }
        }

        /// Every key.
        #[cfg(test)]
        pub(super) const KEYS: &[&str] = &[$(stringify!($key)),*];
    };
}

options! {
    /// Window and receiver credit.
    congestion: (Congestion, bool) = |section, key| section.word(key, &[
        ("nscc", (Congestion::Nscc, false)),
        ("rccc", (Congestion::Open, true)),
        ("nscc+rccc", (Congestion::Nscc, true)),
        ("dctcp", (Congestion::Dctcp, false)),
        ("none", (Congestion::Constant, false)),
    ]), |config, (window, credit)| {
        config.congestion = window;
        config.rccc = credit.then(|| config.default_rccc());
    };
    /// Choice of entropy values.
    spraying: Spraying = |section, key| section.word(key, &[
        ("oblivious", Spraying::Oblivious),
        ("bitmap", Spraying::Bitmap),
        ("reps", Spraying::Reps),
        ("reps-first", Spraying::RepsFirst),
        ("mixed", Spraying::Mixed),
        ("round-robin", Spraying::RoundRobin),
        ("flowlet", Spraying::Flowlet),
        ("ecmp", Spraying::Ecmp),
    ]), |config, value| config.spraying = value;
    /// Number of entropy values.
    entropy_values: u16 = |section, key| {
        Ok(power_of_two(section, key, 1, 32_768)?.map(|values| values as u16))
    }, |config, value| config.entropy_values = value;
    /// Pause that ends a flowlet.
    flowlet_gap: Span = Section::span, |config, value| config.flowlet_gap = value;
    /// How long REPS keeps to known values after a timeout.
    reps_freeze: Span = Section::span, |config, value| config.reps_freeze = value;
    /// Whether switches trim.
    trimming: bool = Section::truth, |config, value| config.trimming = value;
    /// Delivery mode.
    delivery: Delivery = |section, key| section.word(key, &[
        ("rud", Delivery::Rud),
        ("rod", Delivery::Rod),
        ("rudi", Delivery::Rudi),
        ("uud", Delivery::Uud),
    ]), |config, value| config.delivery = value;
    /// What messages ask for.
    operation: Operation = |section, key| section.word(key, &[
        ("send", Operation::Send),
        ("tagged-send", Operation::TaggedSend),
        ("write", Operation::Write),
        ("read", Operation::Read),
        ("atomic", Operation::Atomic),
        ("fetching-atomic", Operation::FetchingAtomic),
    ]), |config, value| config.operation = value;
    /// Bytes that a tagged send sends before the target asks for the rest.
    rendezvous: u64 = Section::bytes, |config, value| config.rendezvous = Some(value);
    /// From the first packet of a tagged send until its receive is posted.
    receive_delay: Span = Section::span, |config, value| config.receive_delay = value;
    /// Whether messages of one packet have short headers.
    short_headers: bool = Section::truth, |config, value| config.short_headers = value;
    /// Packets of a message before it is another one's turn.
    interleave: u32 = |section, key| count(section, key, 1, u64::from(u32::MAX)),
        |config, value| config.interleave = value;
    /// Payload of a full packet.
    payload: u16 = |section, key| Ok(section.count(key, 64, 9_000)?.map(|bytes| bytes as u16)),
        |config, value| config.payload = value;
    /// Packets that may be outstanding.
    mp_range: u32 = |section, key| {
        Ok(power_of_two(section, key, 64, 1 << 20)?.map(|range| range as u32))
    }, |config, value| config.mp_range = value;
    /// Window at the start.
    initial_window: u64 = Section::bytes, |config, value| config.initial_window = Some(value);
    /// Bytes that cause an acknowledgement; 0: every packet does.
    ack_trigger: u32 = |section, key| count(section, key, 0, 32 << 10),
        |config, value| config.ack_trigger = value;
    /// What counts towards it.
    ack_count: AckCount = |section, key| section.word(key, &[
        ("payload", AckCount::Payload { least: 1_024 }),
        ("frame", AckCount::Frame),
    ]), |config, value| config.ack_count = value;
    /// Where the SACK window begins.
    sack_base: SackBase = |section, key| {
        section.word(key, &[("walk", SackBase::Walk), ("packet", SackBase::Packet)])
    }, |config, value| config.sack_base = value;
    /// Retransmission timeout.
    rto: Span = Section::span, |config, value| config.rto = value;
    /// Whether it doubles.
    rto_backoff: bool = Section::truth, |config, value| config.rto_backoff = value;
    /// Timeouts of a packet after which its context fails; 0: never.
    max_timeouts: u8 = |section, key| Ok(section.count(key, 0, 15)?.map(|most| most as u8)),
        |config, value| config.max_timeouts = (value > 0).then_some(value);
    /// Wait after a NACK for want of resources.
    nack_retry: Span = Section::span, |config, value| config.nack_retry = value;
    /// Most bytes of a response that ride in its acknowledgement.
    max_ack_data: u16 = |section, key| {
        Ok(section.count(key, 0, 4_096)?.map(|bytes| bytes as u16))
    }, |config, value| config.max_ack_data = value;
    /// Guaranteed responses that a target can keep.
    gtd_responses: u32 = |section, key| count(section, key, 1, 1 << 24),
        |config, value| config.gtd_responses = Some(value);
    /// How long an idle initiator waits before it clears by itself.
    clear_time: Span = Section::span, |config, value| config.clear_time = value;
    /// How losses are inferred.
    loss_inference: LossInference = |section, key| section.word(key, &[
        ("none", LossInference::None),
        ("sleek", LossInference::Sleek),
        ("receiver", LossInference::Receiver),
    ]), |config, value| config.inference = value;
    /// Packets above a hole after which a target infers a loss.
    reorder_limit: u32 = |section, key| count(section, key, 1, 1 << 16),
        |config, value| config.reorder_limit = value;
    /// Silence after which the tail is probed.
    tail_probe: Span = Section::span, |config, value| config.tail_probe = Some(value);
    /// Which messages share a context.
    pdc_scope: PdcScope = |section, key| section.word(key, &[
        ("destination", PdcScope::Destination),
        ("message", PdcScope::Message),
    ]), |config, value| config.pdc_scope = value;
    /// Contexts to one destination.
    pdcs: u32 = |section, key| count(section, key, 1, 1_024), |config, value| config.pdcs = value;
    /// Contexts that a target has.
    target_pdcs: u32 = |section, key| count(section, key, 1, 1 << 16),
        |config, value| config.target_pdcs = Some(value);
    /// Time after which an idle context is closed.
    pdc_idle: Span = Section::span, |config, value| config.pdc_idle = Some(value);
    /// How long a closed context's number rests before another one has it.
    syn_safety: Span = Section::span, |config, value| config.syn_safety = value;
    /// Whether contexts begin at random PSNs.
    random_start_psn: bool = Section::truth, |config, value| config.random_start_psn = value;
    /// Size of a bounded receive buffer.
    receive_buffer: u64 = Section::bytes, |config, bytes| {
        let rate = config.host_buffer.map_or(config.rate, |buffer| buffer.rate);
        config.host_buffer = Some(HostBuffer { bytes, rate });
    };
    /// Rate at which the host empties it.
    receive_rate: Rate = Section::rate, |config, rate| {
        let bytes = config.host_buffer.map_or(RECEIVE_BUFFER, |buffer| buffer.bytes);
        config.host_buffer = Some(HostBuffer { bytes, rate });
    };
    /// Whether the window must have room for a whole MTU.
    window_for_mtu: bool = Section::truth, |config, value| config.window_for_mtu = value;
    /// Whether small windows ask for an acknowledgement with every packet.
    request_below_trigger: bool = Section::truth,
        |config, value| config.request_below_trigger = value;
    /// Control packets for one data packet; 0: control always first.
    control_weight: u32 = |section, key| count(section, key, 0, 1_000),
        |config, value| config.control_weight = (value > 0).then_some(value);
    /// Whether a timeout knows its entropy value.
    timeout_keeps_entropy: bool = Section::truth,
        |config, value| config.timeout_keeps_entropy = value;
    /// Target queueing delay.
    target_delay: Span = Section::span, |config, value| config.nscc.target_delay = Some(value);
    /// Delay that arms QuickAdapt, in target delays; 0: none.
    quick_adapt_targets: f64 = Section::number,
        |config, value| config.nscc.quick_adapt_targets = (value > 0.0).then_some(value);
    /// Whether NSCC goes on without a round-trip sample.
    continue_without_sample: bool = Section::truth,
        |config, value| config.nscc.continue_without_sample = value;
    /// Whether bytes lost by timeout count as ignored.
    count_lost_as_ignored: bool = Section::truth,
        |config, value| config.nscc.count_lost_as_ignored = value;
    /// Whether an inferred loss shrinks the window.
    cut_on_inferred: bool = Section::truth, |config, value| config.nscc.cut_on_inferred = value;
    /// Whether a NACK leaves the bytes in flight first.
    nack_leaves_flight_first: bool = Section::truth,
        |config, value| config.nscc.nack_leaves_flight_first = value;
    /// With receiver credit: whether trims at the last hop cause QuickAdapt.
    last_hop_quick_adapt: bool = Section::truth,
        |config, value| config.nscc.last_hop_quick_adapt = value;
    /// Whether a NACK of a transmission given up counts for the next one.
    stale_nacks: bool = Section::truth, |config, value| config.nscc.stale_nacks = value;
    /// Whether the base round trip stays as configured.
    keep_base_rtt: bool = Section::truth, |config, value| config.nscc.keep_base_rtt = value;
    /// Weight of a new delay sample.
    delay_weight: f64 = |section, key| {
        Ok(section.ratio(key, 1.0)?.map(fabric::units::Ratio::as_f64))
    }, |config, value| config.nscc.delay_weight = value;
}

/// Receive buffer where only its rate is given (`link.md` §7).
const RECEIVE_BUFFER: u64 = 4 << 20;

fn count(
    section: &Section<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u32>, UserError> {
    Ok(section.count(key, least, most)?.map(|count| count as u32))
}

fn power_of_two(
    section: &Section<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, UserError> {
    let value = section.count(key, least, most)?;
    match (value, section.get(key)) {
        (Some(value), Some(item)) if !value.is_power_of_two() => {
            Err(section.wrong(key, item, "a power of two"))
        }
        _ => Ok(value),
    }
}

/// Reads the section and checks what keys allow together.
///
/// # Errors
/// When a value is none of those allowed, or two contradict each other.
pub(super) fn uet(section: &Section<'_>) -> Result<UetOptions, UserError> {
    let mut options = UetOptions::read(section)?;
    let contradiction = |key: &'static str, allowed: &str| {
        let item = section.get(key);
        item.map_or(Ok(()), |item| Err(section.wrong(key, item, allowed)))
    };
    if options.delivery == Some(Delivery::Rudi) {
        if options.operation.is_some_and(|operation| operation != Operation::Write) {
            contradiction("operation", "\"write\" where `delivery` is \"rudi\"")?;
        }
        options.operation = Some(Operation::Write);
    }
    if options.delivery == Some(Delivery::Uud) && options.operation.is_some() {
        contradiction("operation", "left out where `delivery` is \"uud\"")?;
    }
    if options.rendezvous.is_some() && options.operation != Some(Operation::TaggedSend) {
        contradiction("rendezvous", "left out unless `operation` is \"tagged-send\"")?;
    }
    Ok(options)
}
