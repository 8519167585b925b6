//! When a receiver answers, and what it says (`uet-transport.md` §5).

use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;
use fabric::units::{Rate, Span, Time};

use fabric::ids::HostId;

use crate::uet::config::{Delivery, LossInference, SackBase, UetConfig};
use crate::uet::credit::pacer::Source;
use crate::uet::header::{Data, NackCode, Op};
use crate::uet::receiver::{Reaction, Receiver, Reply, Surroundings};

const PAYLOAD: u16 = 4_086;

fn config() -> UetConfig {
    UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 600_000)
}

fn data(payload: u16) -> Data {
    Data {
        spdcid: 0,
        dpdcid: 0,
        message: 1,
        payload,
        delivery: Delivery::Rud,
        op: Op::Send,
        message_bytes: u64::MAX,
        ccc: 0,
        credit_target: 0,
        start_psn: 0,
        offset: 0,
        clear: 0,
    }
}

fn receiver() -> (Receiver, Source) {
    let source = Source::new(HostId(0), 0, 0);
    (Receiver::new(HostId(0), 0, 0, 0, &data(0)), source)
}

/// A packet of a message that never ends.
fn packet(psn: u32, flags: u8) -> Packet {
    Packet { psn, flags, bytes: 4_150, ..Packet::default() }
}

fn arrive_with(
    (receiver, source): &mut (Receiver, Source),
    packet: Packet,
    data: &Data,
    config: &UetConfig,
) -> Reaction {
    let counters = &mut EndpointCounters::default();
    let kept = &mut 0;
    let around = Surroundings { now: Time(0), config, counters, source, buffer: None, kept };
    receiver.on_data(&packet, data, around)
}

fn arrive(receiver: &mut (Receiver, Source), packet: Packet, config: &UetConfig) -> Option<Reply> {
    arrive_with(receiver, packet, &data(PAYLOAD), config).reply
}

/// The PSNs among `psns` that are answered, all unmarked and whole.
fn answered(psns: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let (mut receiver, config) = (receiver(), config());
    let replies = psns.into_iter().filter_map(|p| arrive(&mut receiver, packet(p, 0), &config));
    replies.map(|reply| reply.psn).collect()
}

/// The first packet is answered at once, then every fourth: the least that has 16 KiB.
#[test]
fn acknowledgements_come_every_16_kib() {
    assert_eq!(answered(0..14), [0, 4, 8, 12]);
}

/// Small packets count a kibibyte each by the specification's rule.
#[test]
fn small_packets_count_for_more() {
    let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
    let mut receiver = receiver();
    let replies = (0..40).filter(|psn| {
        let small = Packet { bytes: 170, ..packet(*psn, 0) };
        arrive_with(&mut receiver, small, &data(64), &config).reply.is_some()
    });
    assert_eq!(replies.collect::<Vec<u32>>(), [0, 16, 32]);
}

/// A mark, a request, a duplicate and a trim are each answered at once, with what they are.
#[test]
fn special_packets_are_answered_at_once() {
    let (mut receiver, config) = (receiver(), config());
    arrive(&mut receiver, packet(0, 0), &config);
    let marked = arrive(&mut receiver, packet(1, flags::CE), &config).unwrap();
    assert!(marked.ack.marked && marked.ack.code == NackCode::None && marked.ack.cack == 2);
    let asked = arrive(&mut receiver, packet(2, flags::ACK_REQUEST), &config).unwrap();
    assert_eq!((asked.ack.cack, asked.ack.rcvd_bytes), (3, 3 * 4_150));
    let again = arrive(&mut receiver, packet(1, flags::RETRANSMITTED), &config).unwrap();
    assert!(again.ack.retransmitted && again.ack.rcvd_bytes == 3 * 4_150);
    let trim = flags::TRIMMED | flags::LAST_HOP;
    let trimmed = arrive(&mut receiver, packet(3, trim), &config).unwrap();
    assert_eq!((trimmed.ack.code, trimmed.psn), (NackCode::TrimmedLastHop, 3));
    let late = arrive(&mut receiver, packet(2, trim), &config).unwrap();
    assert_eq!(late.ack.code, NackCode::None, "a trimmed copy of what is there is no loss");
}

/// A request that finds holes is answered a second time when the last of them is closed.
#[test]
fn a_request_is_answered_again_when_holes_close() {
    let (mut receiver, config) = (receiver(), config());
    let mut answer = |psn, flags| arrive(&mut receiver, packet(psn, flags), &config).is_some();
    assert!(answer(0, 0));
    assert!(answer(3, flags::ACK_REQUEST));
    assert!(!answer(2, 0));
    assert!(answer(1, 0));
    assert!(!answer(4, 0), "once");
}

/// The reference's window ends at the packet that caused it; a marked packet begins its own.
#[test]
fn the_reference_reports_what_lies_below_the_packet() {
    let (mut receiver, config) = (receiver(), config());
    arrive(&mut receiver, packet(0, 0), &config);
    let replies: Vec<Reply> =
        (2..102).filter_map(|psn| arrive(&mut receiver, packet(psn, 0), &config)).collect();
    let low = replies[0];
    assert_eq!((low.psn, low.ack.sack_base, low.ack.sack), (5, 2, 0b1111));
    let high = replies.last().unwrap();
    assert_eq!((high.psn, high.ack.sack_base, high.ack.sack), (101, 38, u64::MAX));
    let marked = arrive(&mut receiver, packet(110, flags::CE), &config).unwrap();
    assert_eq!((marked.ack.sack_base, marked.ack.sack), (110, 1));
    assert_eq!((marked.ack.cack, marked.ack.ooo_count), (1, 101));
}

/// The provider's windows walk over all that has arrived, and start over.
#[test]
fn the_walk_reports_every_arrival() {
    let config = UetConfig { sack_base: SackBase::Walk, ..config() };
    let mut receiver = receiver();
    arrive(&mut receiver, packet(0, 0), &config);
    let bases: Vec<u32> = (2..202)
        .filter_map(|psn| arrive(&mut receiver, packet(psn, 0), &config))
        .map(|reply| reply.ack.sack_base)
        .collect();
    assert_eq!(bases[..2], [2, 2], "nothing above 66 had arrived");
    for base in [2, 66, 130] {
        assert!(bases[46..].contains(&base), "{base} in {bases:?}");
    }
}

/// An ordered PDC drops what is out of order and asks once for what is missing, and again when the
/// sender has gone back in vain.
#[test]
fn an_ordered_context_asks_once_a_pass() {
    let config = UetConfig { delivery: Delivery::Rod, ..config() };
    let mut receiver = receiver();
    let ordered = Data { delivery: Delivery::Rod, ..data(PAYLOAD) };
    let mut wanted = Vec::new();
    for psn in [0, 2, 3, 4, 2, 3, 1, 2, 4] {
        let reply = arrive_with(&mut receiver, packet(psn, 0), &ordered, &config).reply;
        wanted.extend(reply.filter(|r| r.ack.code == NackCode::RodOoo).map(|r| (psn, r.psn)));
    }
    assert_eq!(wanted, [(2, 1), (2, 1), (4, 3)]);
}

/// A target that infers losses asks for the first hole when as many packets as allowed are above it.
#[test]
fn a_hole_that_many_have_overtaken_is_asked_for() {
    let config = UetConfig { inference: LossInference::Receiver, reorder_limit: 10, ..config() };
    let mut receiver = receiver();
    let mut asked = Vec::new();
    for psn in (0..3).chain(4..30) {
        let reaction = arrive_with(&mut receiver, packet(psn, 0), &data(PAYLOAD), &config);
        asked.extend(reaction.inferred.map(|reply| (psn, reply.psn, reply.ack.code)));
    }
    assert_eq!(asked, [(13, 3, NackCode::RcvrInferLoss)]);
}

/// What lies beyond the window is refused.
#[test]
fn packets_beyond_the_window_are_refused() {
    let config = UetConfig { mp_range: 128, ..config() };
    let mut receiver = receiver();
    let reply = arrive(&mut receiver, packet(128, 0), &config).unwrap();
    assert_eq!(reply.ack.code, NackCode::PsnOorWindow);
    assert!(arrive(&mut receiver, packet(127, 0), &config).is_some_and(|r| r.ack.mpr == 1));
}
