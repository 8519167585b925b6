//! Random configurations, messages and lines.

use proptest::prelude::*;

use super::*;
use crate::uet::config::{LossInference, Operation, PdcScope};

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Arrive),
        2 => (1u64..40).prop_map(|micros| Fate::Late(Span::from_micros(micros))),
        1 => Just(Fate::Mark),
        1 => any::<bool>().prop_map(|last_hop| Fate::Trim { last_hop }),
        1 => Just(Fate::Lose),
    ]
}

fn spraying() -> impl Strategy<Value = Spraying> {
    proptest::sample::select(vec![
        Spraying::Oblivious,
        Spraying::Bitmap,
        Spraying::Reps,
        Spraying::RepsFirst,
        Spraying::Mixed,
        Spraying::RoundRobin,
        Spraying::Flowlet,
        Spraying::Ecmp,
    ])
}

/// Delivery modes, each with an operation that it allows.
fn service() -> impl Strategy<Value = (Delivery, Operation, Option<u64>)> {
    proptest::sample::select(vec![
        (Delivery::Rud, Operation::Send, None),
        (Delivery::Rud, Operation::Read, None),
        (Delivery::Rud, Operation::TaggedSend, Some(20_000)),
        (Delivery::Rud, Operation::FetchingAtomic, None),
        (Delivery::Rod, Operation::FetchingAtomic, None),
        (Delivery::Rod, Operation::Write, None),
        (Delivery::Rod, Operation::Read, None),
        (Delivery::Rod, Operation::TaggedSend, Some(20_000)),
        (Delivery::Rudi, Operation::Write, None),
    ])
}

fn configuration() -> impl Strategy<Value = UetConfig> {
    let inference = proptest::sample::select(vec![
        LossInference::None,
        LossInference::Sleek,
        LossInference::Receiver,
    ]);
    let contexts = (any::<bool>(), 1u32..3, proptest::option::of(1u32..4), any::<bool>());
    (spraying(), service(), inference, contexts, any::<[bool; 3]>(), 1u32..200).prop_map(
        |(spraying, service, inference, contexts, [reference, credit, start], mp_range)| {
            let config = if reference { htsim() } else { specification() };
            let (delivery, operation, rendezvous) = service;
            let (message, pdcs, target_pdcs, idle) = contexts;
            UetConfig {
                spraying,
                delivery,
                operation,
                rendezvous,
                receive_delay: Span::from_micros(u64::from(pdcs) * 3),
                inference,
                reorder_limit: 8,
                rccc: credit.then(|| config.default_rccc()),
                random_start_psn: start,
                mp_range,
                interleave: if delivery == Delivery::Rod { u32::MAX } else { 1 + mp_range % 8 },
                pdcs,
                pdc_scope: if message { PdcScope::Message } else { PdcScope::Destination },
                // Contexts that are never closed never make room for others.
                target_pdcs: target_pdcs.filter(|_| idle && !message),
                pdc_idle: idle.then_some(Span::from_micros(50)),
                nack_retry: Span::from_micros(30),
                max_timeouts: None,
                gtd_responses: target_pdcs,
                clear_time: Span::from_micros(20),
                ..config
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Whatever the line does to packets and answers, every message between three hosts completes exactly
    /// once at both ends, every byte is delivered once, and no context is left with anything in flight.
    #[test]
    fn every_message_completes_once(
        config in configuration(),
        fates in proptest::collection::vec(fate(), 1..300),
        sizes in proptest::collection::vec(1u64..300_000, 1..12),
    ) {
        let mut next = 0;
        let mut bench = bench(3, &config, |now, packet| {
            next += 1;
            // After some thousand packets, or a second, the line heals, so that a run ends.
            let fate = if next < 5_000 && now < Time::ZERO + Span::from_millis(1_000) { fates[next % fates.len()] } else { Fate::Arrive };
            match fate {
                Fate::Trim { .. } if packet.kind != Kind::Data => Fate::Lose,
                Fate::Mark if !packet.has(flags::ECN_CAPABLE) => Fate::Arrive,
                fate => fate,
            }
        });
        // What an acknowledgement brings back is short; so are some reads.
        let short = |bytes: u64| match config.operation {
            Operation::FetchingAtomic => 1 + bytes % 16,
            Operation::Read if bytes.is_multiple_of(2) => 1 + bytes % 32,
            _ => bytes,
        };
        let sizes: Vec<u64> = sizes.into_iter().map(short).collect();
        for (id, bytes) in sizes.iter().enumerate() {
            let (src, hop) = (id as u32 % 3, 1 + id as u32 / 3 % 2);
            bench.post(src, message(id as u32, (src + hop) % 3, *bytes));
        }
        prop_assert!(bench.run(FOREVER), "something is left to happen");
        for received in [true, false] {
            let mut ids: Vec<u32> = completions(&bench, received).iter().map(|done| done.0).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, (0..sizes.len() as u32).collect::<Vec<u32>>());
        }
        let delivered: u64 = (0..3).map(|host| bench.counters(host).delivered_bytes).sum();
        prop_assert_eq!(delivered, sizes.iter().sum::<u64>());
        for state in (0..3).flat_map(|host| bench.endpoint(host).senders()) {
            prop_assert_eq!((state.in_flight, state.backlog), (0, 0), "{:?}", state);
        }
    }
}
