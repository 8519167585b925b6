//! The formats against the endpoints: what they really send, as bytes.

use std::sync::Arc;

use fabric::endpoint::Message;
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, flags};
use fabric::units::{Rate, Span, Time};
use proptest::prelude::*;

use crate::common::pair::{Bench, Fate};
use crate::roce::Roce;
use crate::roce::config::{Congestion, MarkReport, Operation as RoceOperation, Preset, RoceConfig};
use crate::roce::congestion::hpcc::HpccOptions;
use crate::roce::header::Header;
use crate::tcp::Tcp;
use crate::tcp::config::TcpConfig;
use crate::uet::Uet;
use crate::uet::config::{Delivery, LossInference, Operation, UetConfig};
use crate::uet::header::{Ack, Control, Data, NackCode, UNKNOWN};
use crate::uet::nscc::Nscc;
use crate::wire::compose::Protocol;
use crate::wire::decode::describe;
use crate::wire::outer::{ETHERNET, FCS, IPV4, OUTER, UDP};
use crate::wire::receive::{self, Datagram};

const RATE: Rate = Rate::from_gbps(400);
const DELAY: Span = Span::from_micros(6);

/// Every eighth packet is lost and every fifth marked or trimmed, so that all kinds of answers appear.
fn fate(count: &mut u32, packet: &Packet) -> Fate {
    *count += 1;
    match *count {
        n if n % 8 == 3 && n < 400 => Fate::Lose,
        n if n % 10 == 4 && packet.kind == Kind::Data => Fate::Mark,
        n if n % 10 == 9 && packet.kind == Kind::Data => Fate::Trim { last_hop: n % 20 == 9 },
        _ => Fate::Arrive,
    }
}

fn message(id: u32, dst: u32, bytes: u64) -> Message {
    Message { id: MessageId(id), dst: HostId(dst), bytes, slot: id }
}

/// What UET hosts send each other with messages of these sizes.
fn uet_packets(config: &Arc<UetConfig>, sizes: &[u64]) -> Vec<Packet> {
    let mut count = 0;
    let endpoints =
        (0..3).map(|host| Uet::<Nscc>::new(HostId(host), Arc::clone(config), 1)).collect();
    let mut bench = Bench::new(endpoints, RATE, DELAY, |_, packet| fate(&mut count, packet));
    for (id, bytes) in sizes.iter().enumerate() {
        let (id, src) = (id as u32, id as u32 % 3);
        bench.post(src, message(id, (src + 1 + id / 3 % 2) % 3, *bytes));
    }
    bench.run(Time(1 << 50));
    bench.sent.iter().map(|(_, packet)| *packet).collect()
}

fn roce_packets(config: &Arc<RoceConfig>) -> Vec<Packet> {
    let mut count = 0;
    let endpoints = (0..3).map(|host| Roce::new(HostId(host), Arc::clone(config), 1)).collect();
    let mut bench =
        Bench::new(endpoints, RATE, DELAY, |_, packet| match fate(&mut count, packet) {
            Fate::Trim { .. } => Fate::Lose,
            fate => fate,
        });
    for (id, bytes) in [100_000u64, 1, 4_097, 8_192].into_iter().enumerate() {
        bench.post(id as u32 % 3, message(id as u32, (id as u32 + 1) % 3, bytes));
    }
    bench.run(Time(1 << 50));
    bench.sent.iter().map(|(_, packet)| *packet).collect()
}

/// A UET configuration of the specification for each service, with everything else that makes packets.
fn services() -> Vec<UetConfig> {
    let base = UetConfig::new(RATE, DELAY * 2, true);
    let rccc = Some(base.default_rccc());
    let services = [
        (Delivery::Rud, Operation::Send, None),
        (Delivery::Rod, Operation::Write, None),
        (Delivery::Rudi, Operation::Write, None),
        (Delivery::Rud, Operation::Read, None),
        (Delivery::Rod, Operation::TaggedSend, Some(20_000)),
        (Delivery::Rud, Operation::FetchingAtomic, None),
        (Delivery::Rud, Operation::Atomic, None),
        (Delivery::Uud, Operation::Send, None),
    ];
    let config = |(delivery, operation, rendezvous)| UetConfig {
        delivery,
        operation,
        rendezvous,
        rccc,
        inference: LossInference::Sleek,
        pdc_idle: Some(Span::from_micros(50)),
        gtd_responses: Some(1),
        target_pdcs: Some(1),
        nack_retry: Span::from_micros(30),
        clear_time: Span::from_micros(10),
        max_timeouts: None,
        ..base.clone()
    };
    services.into_iter().map(config).collect()
}

/// Message sizes that a service can have.
fn sizes(config: &UetConfig) -> Vec<u64> {
    match (config.delivery, config.operation) {
        (_, Operation::FetchingAtomic | Operation::Atomic) => vec![8; 9],
        (Delivery::Uud, _) => vec![1, 1_000, 4_096],
        _ => vec![100_000, 16, 4_097, 60_000, 4_096, 1],
    }
}

/// Every packet that endpoints send has as many bytes as the model counts, and its headers read back.
#[test]
fn frames_are_as_long_as_the_model_counts() {
    let mut kinds = std::collections::BTreeSet::new();
    for config in services() {
        let sizes = sizes(&config);
        let config = Arc::new(config);
        let protocol = Protocol::Uet(Arc::clone(&config));
        let packets = uet_packets(&config, &sizes);
        assert!(packets.len() >= sizes.len());
        for packet in packets {
            let frame = protocol.frame(&packet).expect("a frame");
            assert_eq!(frame.len() + FCS, usize::from(packet.bytes), "{packet:?}");
            let text = describe(&frame).unwrap_or_else(|error| panic!("{error}: {packet:?}"));
            kinds.extend(text.split([' ', '(', ')']).filter(|w| w.len() > 2).map(str::to_owned));
        }
    }
    for kind in [
        "SEND",
        "WRITE",
        "READ",
        "RENDEZVOUS_TSEND",
        "FETCHING_ATOMIC",
        "ATOMIC",
        "DATAGRAM_SEND",
        "RSP_DATA",
        "RSP",
        "RUDI",
        "UUD",
        "ACK",
        "NACK",
        "TRIMMED",
        "TRIMMED_LASTHOP",
        "ROD_OOO",
        "NO_PDC_AVAIL",
        "NO_GTD_DEL_AVAIL",
        "CREDIT",
        "CREDIT_REQ",
        "PROBE",
        "CLOSE_CMD",
        "CLOSE_REQ",
        "CLEAR_CMD",
        "CLEAR_REQ",
        "later",
        "first",
        "medium",
        "small",
    ] {
        assert!(kinds.contains(kind), "no {kind} was sent");
    }
    let mut text = String::new();
    // The paper's receiver sends CNPs; the other one echoes marks in acknowledgements.
    let [mellanox, paper] =
        [Preset::Mellanox, Preset::Paper].map(|preset| RoceConfig::new(RATE, preset, None));
    // HPCC's packets and acknowledgements are longer by the telemetry of five hops.
    let hpcc = RoceConfig {
        operation: RoceOperation::Send,
        congestion: Congestion::Hpcc(HpccOptions::at(RATE, DELAY * 2)),
        header: mellanox.header + 42,
        ack_bytes: mellanox.ack_bytes + 42,
        ..mellanox.clone()
    };
    // Reads have requests, responses, and NAKs of requests.
    let interval = Span::from_micros(4);
    let read = RoceConfig {
        operation: RoceOperation::Read,
        mark_report: MarkReport::Cnp { interval },
        ..mellanox.clone()
    };
    for config in [mellanox, paper, hpcc, read].map(Arc::new) {
        let protocol = Protocol::Roce(Arc::clone(&config));
        for packet in roce_packets(&config) {
            let frame = protocol.frame(&packet).expect("a frame");
            assert_eq!(frame.len() + FCS, usize::from(packet.bytes), "{packet:?}");
            text += &describe(&frame).unwrap();
        }
    }
    for kind in ["first", "middle", "last", "only"] {
        for operation in ["WRITE", "SEND", "READ response"] {
            assert!(
                text.contains(&format!("{operation} {kind}")),
                "no {operation} {kind} was sent"
            );
        }
    }
    assert!(text.contains("READ request) | RETH"), "no READ request was sent");
    assert!(text.contains("(ACK)") && text.contains("(CNP)"));
    assert!(text.contains("AETH syndrome=96"), "no NAK was sent");
}

/// TCP's frames are the stack's own segments, as long as the model counts, with checksums that are right.
#[test]
fn tcp_segments_are_whole_frames() {
    let config = Arc::new(TcpConfig::new(RATE, DELAY * 2));
    let mut count = 0;
    let lossy = move |_: Time, packet: &Packet| match fate(&mut count, packet) {
        Fate::Lose => Fate::Lose,
        _ => Fate::Arrive,
    };
    let endpoint = |host| Tcp::new(HostId(host), Arc::clone(&config), 1);
    let mut bench = Bench::new((0..2).map(endpoint).collect(), RATE, DELAY, lossy);
    bench.post(0, message(1, 1, 200_000));
    assert!(bench.run(Time(1 << 50)));
    let mut text = String::new();
    for (_, packet) in &bench.sent {
        let frame = Protocol::Tcp.frame(packet).expect("a frame");
        assert_eq!(frame.len() + FCS, usize::from(packet.bytes), "{packet:?}");
        text += &(describe(&frame).unwrap() + "\n");
    }
    assert!(text.starts_with("10.0.0.0 > 10.0.0.1 tcp "), "{text}");
    for part in ["> 5001 [S] ", "[SA] ", "[A] ", "[PA] ", "len=4096 "] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(text.lines().all(|line| line.ends_with("checksum right")), "{text}");
}

/// In the reference's profile, headers are whole and payload makes up for them.
#[test]
fn frames_of_the_reference_keep_their_length() {
    let config = Arc::new(UetConfig::htsim(RATE, DELAY * 2, true, 600_000));
    let protocol = Protocol::Uet(Arc::clone(&config));
    for packet in uet_packets(&config, &[100_000, 30_000]) {
        let frame = protocol.frame(&packet).expect("a frame");
        let headers = if packet.kind == Kind::Data { 102 } else { 74 };
        let least = if packet.kind == Kind::Ack { headers } else { 0 };
        assert_eq!(frame.len(), (usize::from(packet.bytes) - FCS).max(least).max(60), "{packet:?}");
        assert!(describe(&frame).is_ok());
    }
}

/// The first packet of a flow, byte for byte up to its payload.
#[test]
fn the_first_packet_is_these_bytes() {
    let base = UetConfig::new(RATE, DELAY * 2, true);
    let config = Arc::new(UetConfig { random_start_psn: false, ..base });
    let packet = uet_packets(&config, &[10_000])[0];
    let packet = Packet { entropy: 0x1234, ..packet };
    let frame = Protocol::Uet(config).frame(&packet).unwrap();
    assert_eq!(frame.len(), 4_198);
    let expected = [
        // Ethernet: host 1, host 0, IPv4
        0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 0, 0x08, 0x00,
        // IPv4: DSCP 8, ECT(1), 4184 bytes, DF, TTL 64, UDP, checksum, 10.0.0.0, 10.0.0.1
        0x45, 0x21, 0x10, 0x58, 0, 0, 0x40, 0, 0x40, 0x11, 0x16, 0x74, 10, 0, 0, 0, 10, 0, 0, 1,
        // UDP: the entropy value, 4793, 4164 bytes, no checksum
        0x12, 0x34, 0x12, 0xb9, 0x10, 0x44, 0, 0,
        // RUD_CC_REQ, standard request, SYN; clear -1, PSN 0, PDC 1, offset 0; context 0, no demand
        0x69, 0x84, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        // SEND, first packet, message 0, job 1
        0x05, 0x01, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
        // offset, initiator, match bits, header data, length 10,000
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x27, 0x10,
    ];
    assert_eq!(frame[..102], expected);
    assert_eq!(frame[102..106], [0, 1, 2, 3]);
}

/// A trimmed packet is cut behind its PDS header: IP has the length that is left, UDP the one that was.
#[test]
fn a_trimmed_packet_is_cut_as_a_switch_would() {
    let config = Arc::new(UetConfig::new(RATE, DELAY * 2, true));
    let packet = uet_packets(&config, &[10_000])[0];
    let protocol = Protocol::Uet(config);
    for (last_hop, dscp) in [(0, 16), (flags::LAST_HOP, 18)] {
        let flags = packet.flags | flags::TRIMMED | last_hop;
        let trimmed = Packet { bytes: 64, flags, class: Class::CONTROL, ..packet };
        let frame = protocol.frame(&trimmed).unwrap();
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[15] >> 2, dscp);
        assert_eq!(u16::from_be_bytes([frame[16], frame[17]]), 20 + 24);
        assert_eq!(u16::from_be_bytes([frame[38], frame[39]]), 8 + 16 + 44 + 4_096);
        let text = describe(&frame).unwrap();
        assert!(text.contains("request") && text.contains("ccc_id"), "{text}");
    }
}

/// Pauses are frames of the link; credit updates are none.
#[test]
fn pauses_are_frames_and_credits_are_not() {
    let protocol = Protocol::Uet(Arc::new(UetConfig::new(RATE, DELAY * 2, true)));
    let pause = Packet { kind: Kind::Pfc, flow: 7, body: [2, 0, 0, 0, 0], ..Packet::default() };
    let frame = protocol.frame(&pause).unwrap();
    assert_eq!(frame.len() + FCS, 64);
    let text = describe(&frame).unwrap();
    assert!(text.contains("PFC opcode=257 enable=15 quanta0=0 quanta1=65535"), "{text}");
    assert!(protocol.frame(&Packet { kind: Kind::LinkCredit, ..pause }).is_none());
}

/// A queue pair that is not known yet has its peer's number.
#[test]
fn unknown_numbers_stay_off_the_wire() {
    let config = Arc::new(RoceConfig::new(RATE, Preset::Mellanox, None));
    let first = roce_packets(&config)[0];
    assert_eq!(Header::unpack(&first).receiver_qp, UNKNOWN);
    let text = describe(&Protocol::Roce(config).frame(&first).unwrap()).unwrap();
    assert!(text.contains("dest_qp=16 ") && text.contains("dma_length=100000"), "{text}");
}

proptest! {
    /// Whatever the bytes, describing them ends in text or in an error.
    #[test]
    fn any_bytes_are_described_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = describe(&bytes);
    }

    /// So does a real frame, cut off anywhere, with any byte changed.
    #[test]
    fn damaged_frames_are_described_or_refused(
        service in 0usize..8, pick: u32, cut in 0usize..160, place in 0usize..160, value: u8,
    ) {
        let config = Arc::new(services().swap_remove(service));
        let packets = uet_packets(&config, &sizes(&config)[..3]);
        let packet = packets[pick as usize % packets.len()];
        let mut frame = Protocol::Uet(config).frame(&packet).expect("a frame");
        if let Some(byte) = frame.get_mut(place) {
            *byte = value;
        }
        frame.truncate(cut);
        let _ = describe(&frame);
    }
}

/// A frame as the datagram that a socket would give.
fn datagram<'a>(frame: &'a [u8], packet: &Packet) -> Datagram<'a> {
    let field = |place: usize| usize::from(u16::from_be_bytes([frame[place], frame[place + 1]]));
    let (ip, udp) = (field(ETHERNET + 2), field(ETHERNET + IPV4 + 4));
    Datagram {
        src: packet.src,
        dst: packet.dst,
        entropy: field(ETHERNET + IPV4) as u16,
        tos: frame[ETHERNET + 1],
        length: udp - UDP,
        bytes: &frame[OUTER..ETHERNET + ip],
    }
}

/// What one endpoint sends is what the other's transport would have been given by the model, but for what is not on the wire.
#[test]
fn uet_datagrams_are_the_packets_that_were_sent() {
    let base = UetConfig::new(RATE, DELAY * 2, true);
    let rccc = Some(base.default_rccc());
    let mut seen = std::collections::BTreeMap::new();
    for (delivery, operation) in
        [(Delivery::Rud, Operation::TaggedSend), (Delivery::Rod, Operation::Write)]
    {
        let pdc_idle = Some(Span::from_micros(50));
        let inference = LossInference::Sleek;
        let config = UetConfig { delivery, operation, rccc, inference, pdc_idle, ..base.clone() };
        let (config, sizes) = (Arc::new(config.clone()), sizes(&config));
        let protocol = Protocol::Uet(Arc::clone(&config));
        let packets = uet_packets(&config, &sizes);
        let data = packets.iter().filter(|packet| packet.kind == Kind::Data);
        let trimmed = data.map(|packet| {
            let flags = packet.flags | flags::TRIMMED | flags::LAST_HOP;
            Packet { flags, bytes: 64, ..*packet }
        });
        for sent in trimmed.chain(packets.iter().copied()) {
            let frame = protocol.frame(&sent).expect("a frame");
            let (got, payload) = receive::uet(&datagram(&frame, &sent)).unwrap();
            let outer = |packet: &Packet| {
                (packet.src, packet.dst, packet.entropy, packet.kind, packet.class)
            };
            assert_eq!(outer(&got), outer(&sent));
            // SES goes with the payload, and with it the end of the message.
            let lost = if sent.has(flags::TRIMMED) { flags::END_OF_MESSAGE } else { 0 };
            assert_eq!((got.psn, got.flags), (sent.psn, sent.flags & !lost), "{sent:?}");
            *seen.entry((got.kind as u8, got.has(flags::TRIMMED))).or_insert(0) += 1;
            match sent.kind {
                Kind::Data if sent.has(flags::TRIMMED) => {
                    let (got, sent) = (Data::unpack(&got), Data::unpack(&sent));
                    assert_eq!(
                        (got.spdcid, got.dpdcid, got.clear),
                        (sent.spdcid, sent.dpdcid, sent.clear)
                    );
                }
                Kind::Data => {
                    let data = Data::unpack(&sent);
                    let start_psn = if data.dpdcid == UNKNOWN { data.start_psn } else { sent.psn };
                    assert_eq!(Data::unpack(&got), Data { start_psn, ..data });
                    assert_eq!(payload.len(), usize::from(data.payload));
                }
                Kind::Ack | Kind::Nack => {
                    let ack = Ack::unpack(&sent);
                    let rcvd_bytes = match sent.kind {
                        Kind::Ack => ack.rcvd_bytes.next_multiple_of(256),
                        _ => 0,
                    };
                    let expected = match ack.code {
                        NackCode::None => Ack { rcvd_bytes, ..ack },
                        // A NACK has no room for the context's state.
                        code => Ack {
                            code,
                            dpdcid: ack.dpdcid,
                            marked: ack.marked,
                            retransmitted: ack.retransmitted,
                            ..Ack::to(&got, ack.spdcid)
                        },
                    };
                    assert_eq!(Ack::unpack(&got), expected);
                }
                _ => assert_eq!(Control::unpack(&got), Control::unpack(&sent)),
            }
        }
    }
    assert_eq!(seen.len(), 5, "data, trimmed data, ACK, NACK and CP: {seen:?}");
}

/// The same of RoCE; its receiver gets the payload, and messages by their first packet.
#[test]
fn roce_datagrams_are_the_packets_that_were_sent() {
    let config = Arc::new(RoceConfig::new(RATE, Preset::Paper, None));
    let protocol = Protocol::Roce(Arc::clone(&config));
    for sent in roce_packets(&config) {
        let frame = protocol.frame(&sent).expect("a frame");
        let got = receive::roce(&datagram(&frame, &sent)).unwrap();
        assert_eq!((got.packet.kind, got.first), (sent.kind, Header::unpack(&sent).first));
        if sent.kind != Kind::Cnp {
            assert_eq!(got.packet.psn, sent.psn);
        }
        if sent.kind == Kind::Data {
            let header = Header::unpack(&sent);
            assert_eq!(got.payload.len(), header.detail as usize);
            let message = header.first.then_some((header.number, header.length as u32));
            assert_eq!(got.message, message);
            // The model asks for no acknowledgement by a flag, and RoCE does not say that it sends again.
            let known = !(flags::ACK_REQUEST | flags::RETRANSMITTED);
            assert_eq!(got.packet.flags & known, sent.flags & known);
        }
    }
}

proptest! {
    /// Whatever comes from outside is received or refused.
    #[test]
    fn any_datagram_is_received_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..120), more in 0..5_000usize, kind in 0..15u8, tos: u8,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind << 3 | *first & 7;
        }
        let (src, dst) = (HostId(0), HostId(1));
        let length = bytes.len() + if tos & 4 != 0 { more } else { 0 };
        let datagram = Datagram { src, dst, entropy: 1, tos, length, bytes: &bytes };
        let _ = receive::uet(&datagram);
        let _ = receive::roce(&datagram);
    }
}
