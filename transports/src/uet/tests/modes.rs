//! Delivery modes and operations (`uet-transport.md` §3, 7; `uet-wire.md` §3).

use super::*;
use crate::uet::config::Operation;

fn data_packets<F>(bench: &Bench<Uet<Nscc>, F>, src: u32) -> Vec<Packet> {
    let mine = |(_, p): &&(Time, Packet)| p.kind == Kind::Data && p.src == HostId(src);
    bench.sent.iter().filter(mine).map(|(_, packet)| *packet).collect()
}

/// On an ordered context a lost packet takes all behind it with it: the sender goes back, once, and
/// everything is accepted in order.
#[test]
fn an_ordered_context_goes_back() {
    let config = UetConfig { delivery: Delivery::Rod, ..htsim() };
    let mut bench = bench(2, &config, first_times([5], 1, Fate::Lose));
    bench.post(0, message(0, 1, 2_000_000));
    assert!(bench.run(FOREVER));
    let psns: Vec<u32> = data_packets(&bench, 0).iter().map(|packet| packet.psn).collect();
    let back = psns.windows(2).position(|pair| pair[1] < pair[0]).unwrap();
    assert_eq!(psns[back + 1], 5);
    assert!(psns[back + 1..].windows(2).all(|pair| pair[1] == pair[0] + 1), "no second time");
    let target = bench.counters(1);
    assert_eq!((target.out_of_order, target.duplicates, target.nacks), (0, 0, 1));
    assert_eq!(bench.counters(0).timeouts, 0);
    let paths: Vec<u16> = data_packets(&bench, 0).iter().map(|packet| packet.entropy).collect();
    assert!(paths.iter().all(|entropy| *entropy == paths[0]), "one path");
}

/// RUDI answers every packet by itself; a lost answer brings the packet a second time.
#[test]
fn rudi_answers_every_packet() {
    let config = UetConfig { delivery: Delivery::Rudi, ..htsim() };
    let mut lost = false;
    let mut bench = bench(2, &config, |_, packet| {
        let lose = packet.kind == Kind::Ack && packet.psn == 3 && !lost;
        lost |= lose;
        if lose { Fate::Lose } else { Fate::Arrive }
    });
    bench.post(0, message(0, 1, 40_000));
    assert!(bench.run(FOREVER));
    let (sender, target) = (bench.counters(0), bench.counters(1));
    assert_eq!((sender.new, sender.retransmitted), (10, 1));
    assert_eq!((target.acks, target.duplicates, target.delivered_bytes), (11, 1, 40_000));
    assert_eq!(completions(&bench, true).len(), 1);
}

/// Datagrams are sent once, answered never, and complete when the NIC has them.
#[test]
fn datagrams_are_never_sent_again() {
    let config = UetConfig { delivery: Delivery::Uud, ..specification() };
    let mut count = 0;
    let mut bench = bench(2, &config, |_, _| {
        count += 1;
        if count == 2 { Fate::Lose } else { Fate::Arrive }
    });
    (0..3).for_each(|id| bench.post(0, message(id, 1, 1_000)));
    assert!(bench.run(FOREVER));
    assert_eq!(bench.sent.len(), 3);
    assert!(bench.sent.iter().all(|(_, packet)| packet.bytes == 1_070), "small headers");
    let ids = |received| completions(&bench, received).iter().map(|c| c.0).collect::<Vec<u32>>();
    assert_eq!((ids(true), ids(false)), (vec![0, 2], vec![0, 1, 2]));
}

/// A read asks with one packet and the data comes back on the asker's own context; it is complete with the
/// last byte, a one-way trip after the request and the data's time.
#[test]
fn a_read_brings_data_back() {
    let config = UetConfig { operation: Operation::Read, ..specification() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(4, 1, 100_000));
    assert!(bench.run(FOREVER));
    let request = data_packets(&bench, 0);
    assert_eq!(request.len(), 1);
    assert_eq!(Data::unpack(&request[0]).op, Op::Read);
    let response = data_packets(&bench, 1);
    assert_eq!(response.len(), 25);
    assert!(response.iter().all(|packet| Data::unpack(packet).op == Op::ReadResponse));
    assert!(response.iter().all(|packet| Data::unpack(packet).dpdcid != UNKNOWN), "no SYN");
    let frames: u64 = response.iter().map(|packet| u64::from(packet.bytes)).sum();
    let there = RATE.time_for(u64::from(request[0].bytes)) + DELAY;
    // The response to the request goes before the data.
    let back = RATE.time_for(78) + RATE.time_for(frames) + DELAY;
    let done = Time::ZERO + there + back;
    assert_eq!(completions(&bench, true), [(4, done)]);
    assert_eq!(completions(&bench, false), [(4, done)], "the poster has the data");
    assert_eq!(bench.counters(0).delivered_bytes, 100_000);
}

/// A long tagged send goes by rendezvous: its first part at once, the rest when the receive is posted
/// and the target has asked for it.
#[test]
fn a_rendezvous_waits_for_its_receive() {
    let delay = Span::from_micros(40);
    let config = UetConfig {
        operation: Operation::TaggedSend,
        rendezvous: Some(20_000),
        receive_delay: delay,
        ..specification()
    };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(1, 1, 100_000));
    assert!(bench.run(FOREVER));
    let first_arrival = RATE.time_for(4_202 + 24) + DELAY;
    let asked = |(_, p): &&(Time, Packet)| p.src == HostId(1) && p.kind == Kind::Data;
    let (at, ask) = bench.sent.iter().find(asked).unwrap();
    assert_eq!(*at, Time::ZERO + first_arrival + delay);
    assert_eq!(Data::unpack(ask).message_bytes, 80_000);
    let sent = data_packets(&bench, 0);
    let of = |op| sent.iter().filter(move |p| Data::unpack(p).op == op);
    assert_eq!((of(Op::RendezvousSend).count(), of(Op::ReadResponse).count()), (5, 20));
    assert_eq!(completions(&bench, true).len(), 1);
    assert!(completions(&bench, false)[0].1 > completions(&bench, true)[0].1);
}

/// A short tagged send is complete at the target when its receive is posted, not before.
#[test]
fn a_tagged_send_waits_for_its_receive() {
    let delay = Span::from_micros(40);
    let operation = Operation::TaggedSend;
    let config = UetConfig { operation, receive_delay: delay, ..specification() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(1, 1, 100));
    assert!(bench.run(FOREVER));
    let arrival = Time::ZERO + RATE.time_for(100 + 94) + DELAY;
    assert_eq!(completions(&bench, true), [(1, arrival + delay)]);
    assert_eq!(completions(&bench, false), [(1, arrival + RATE.time_for(78) + DELAY)]);
}
