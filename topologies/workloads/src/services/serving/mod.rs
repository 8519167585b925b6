//! Inference with prefill and decoding on different accelerators (as Splitwise and DistServe, 2024, have it).
//!
//! A router gives each request that comes to the prefill instance and the decode instance with the least to do. A prefill
//! instance computes prompts one after the other; the first token goes back to the router, and the keys and values of all
//! tokens to the decode instance: each of its accelerators sends its share, in chunks as layers are done. A decode instance
//! computes a token for each of its requests at a time (continuous batching): between two such iterations, requests whose keys
//! and values are all there come in, and those that have all their tokens go out.
//!
//! `messages`: what they tell each other.
//!
//! Communication within an instance (tensor parallelism) is part of its computing times.

mod messages;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fabric::ids::{HostId, MessageId};
use fabric::program::{Mark, Program, ProgramCx, Report};
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use super::Draws;
use crate::poisson::Sizes;
use crate::{AnyProgram, Workload, seat};
use messages::{Request, Says, Shared};

/// Bytes of a command or a token.
const SMALL: u64 = 64;
/// Bytes of a token of the prompt, as text.
const PROMPT_TOKEN: u64 = 4;

/// Serving, as asked for. Ranks are first the router, then prefill instances, then decode instances.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Serving {
    /// Instances that compute prompts, and accelerators of each.
    pub prefill: (u32, u32),
    /// Instances that compute answers, and accelerators of each.
    pub decode: (u32, u32),
    /// Requests.
    pub requests: u32,
    /// Requests a second.
    pub rate: f64,
    /// Time and bytes of an instance.
    pub costs: Costs,
    /// Decides about all draws.
    pub seed: u64,
}

/// What tokens cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Costs {
    /// Keys and values of a token over all layers, in bytes.
    pub key_value_bytes: u64,
    /// A prefill instance's time for a token of a prompt.
    pub prompt_token: Span,
    /// A decode instance's time for an iteration, and for each request in it besides.
    pub iteration: Span,
    /// See there.
    pub answer_token: Span,
    /// Requests that a decode instance has in an iteration at most.
    pub batch: u32,
    /// Parts in which keys and values are sent while a prompt is computed.
    pub chunks: u32,
    /// Time to the first token that is good enough.
    pub first_limit: Span,
    /// Time a token after that which is good enough.
    pub token_limit: Span,
}

/// Names of what is measured, by their numbers in reports.
const LABELS: [&str; 6] = [
    "time to first token",
    "time per output token",
    "request",
    "request within both limits",
    "wait for prefill",
    "key-value transfer",
];

/// A rank that serves.
#[derive(Serialize, Deserialize)]
pub struct Server {
    shared: Shared,
    role: Role,
    marks: Vec<Mark>,
}

#[derive(Serialize, Deserialize)]
enum Role {
    Router(Router),
    /// The first accelerator of an instance, which decides.
    Prefill(Prefill),
    /// Another one.
    PrefillOther,
    Decode(Decode),
    /// Another one, of this instance.
    DecodeOther(u32),
}

#[derive(Serialize, Deserialize)]
struct Router {
    next: u32,
    left: u64,
    /// Tokens of prompts, and requests, that instances have to do.
    prompts: Vec<u64>,
    answers: Vec<u64>,
    /// Of each request: its instances, and when its first token came.
    given: Vec<(u32, u32, Time)>,
}

#[derive(Default, Serialize, Deserialize)]
struct Prefill {
    instance: u32,
    waiting: VecDeque<(u32, u32, Time)>,
    /// The request that is computed, for which decode instance, and its next chunk.
    now: Option<(u32, u32, u32)>,
    /// When keys and values of requests began to be sent, and shares that are not acknowledged.
    sending: BTreeMap<u32, (Time, u32)>,
}

#[derive(Default, Serialize, Deserialize)]
struct Decode {
    instance: u32,
    /// Shares that have come, by request.
    shares: BTreeMap<u32, u32>,
    waiting: VecDeque<u32>,
    /// Requests of the present iteration with the tokens that they lack; whether one is under way.
    batch: Vec<(u32, u32)>,
    busy: bool,
}

impl Serving {
    /// The programs of ranks on `places`, for a fabric of `hosts`; prompts and answers have so many tokens.
    ///
    /// # Errors
    /// When messages cannot be numbered.
    pub fn programs(
        &self,
        hosts: u32,
        places: &[HostId],
        (prompts, answers): (&Sizes, &Sizes),
    ) -> Result<Workload, String> {
        let mut draws = Draws::new(self.seed, 0);
        let times = draws.arrivals(self.rate, self.requests);
        let mut tokens = |sizes: &Sizes| sizes.at(draws.share()).clamp(1, 1 << 24) as u32;
        let request = |at| {
            let (prompt, answer) = (tokens(prompts), tokens(answers));
            Request { at, prompt, answer }
        };
        let requests: Arc<[Request]> = times.into_iter().map(request).collect();
        let (prefill, decode, costs) = (self.prefill, self.decode, self.costs);
        let shared = Shared { requests, prefill, decode, costs, hosts: Arc::from(places) };
        if shared.numbers() * u64::from(self.requests) > u64::from(u32::MAX) {
            return Err("the requests have more messages than can be numbered, 2^32".to_owned());
        }
        let (chunks, ranks) = (u64::from(costs.chunks), u64::from(prefill.1));
        let (shares, own) = (u64::from(shared.shares()), u64::from(decode.1));
        // Shares that the first accelerator of a decode instance gets itself need no word.
        let told = shares - shares.div_ceil(own);
        let each = 3 + chunks * (ranks - 1 + shares + told);
        let program = |rank: u32| {
            let role = self.role(rank);
            AnyProgram::Serving(Box::new(Server {
                shared: shared.clone(),
                role,
                marks: Vec::new(),
            }))
        };
        let labels = LABELS.map(str::to_owned).to_vec();
        let numbers = shared.numbers() * u64::from(self.requests);
        let messages = each * u64::from(self.requests);
        let programs = seat(hosts, places, program);
        Ok(Workload { labels, numbers, ..Workload::new(programs, messages) })
    }

    /// Ranks in all.
    pub fn ranks(&self) -> u32 {
        let (prefill, decode) = (self.prefill, self.decode);
        let both = prefill.0.saturating_mul(prefill.1);
        both.saturating_add(decode.0.saturating_mul(decode.1)).saturating_add(1)
    }

    fn role(&self, rank: u32) -> Role {
        let Some(rank) = rank.checked_sub(1) else {
            return Role::Router(Router {
                next: 0,
                left: u64::from(self.requests),
                prompts: vec![0; self.prefill.0 as usize],
                answers: vec![0; self.decode.0 as usize],
                given: vec![(0, 0, Time::NEVER); self.requests as usize],
            });
        };
        let Some(of_decode) = rank.checked_sub(self.prefill.0 * self.prefill.1) else {
            return match rank % self.prefill.1 {
                0 => {
                    let instance = rank / self.prefill.1;
                    Role::Prefill(Prefill { instance, ..Prefill::default() })
                }
                _ => Role::PrefillOther,
            };
        };
        let instance = of_decode / self.decode.1;
        match of_decode % self.decode.1 {
            0 => Role::Decode(Decode { instance, ..Decode::default() }),
            _ => Role::DecodeOther(instance),
        }
    }
}

impl Router {
    /// Gives a request to the instances with the least to do.
    fn give(&mut self, shared: &Shared, cx: &mut ProgramCx<'_>) {
        let number = self.next;
        self.next += 1;
        let request = shared.requests[number as usize];
        let least = |all: &[u64]| (0..all.len()).min_by_key(|place| all[*place]).unwrap_or(0);
        let prefill = least(&self.prompts);
        let decode = least(&self.answers);
        self.prompts[prefill] += u64::from(request.prompt);
        self.answers[decode] += 1;
        self.given[number as usize] = (prefill as u32, decode as u32, Time::NEVER);
        let message = shared.number(number, Says::Begin { decode: decode as u32 });
        let bytes = SMALL + u64::from(request.prompt) * PROMPT_TOKEN;
        cx.post(message, shared.prefill_host(prefill as u32, 0), bytes);
        if let Some(next) = shared.requests.get(self.next as usize) {
            cx.wake_at(next.at, 0);
        }
    }

    fn heard(&mut self, shared: &Shared, now: Time, (number, says): (u32, Says)) -> Vec<Mark> {
        let request = shared.requests[number as usize];
        let (prefill, decode, first) = &mut self.given[number as usize];
        let mark = |label, start| Mark { label, start, end: now };
        if says == Says::First {
            self.prompts[*prefill as usize] -= u64::from(request.prompt);
            *first = now;
            return vec![mark(0, request.at)];
        }
        self.answers[*decode as usize] -= 1;
        self.left -= 1;
        let more = u64::from(request.answer.max(2) - 1);
        // The last token may overtake the first one's message.
        let token = Span(now.since((*first).min(now)).0 / more);
        let limits = &shared.costs;
        let is_good = (*first).min(now).since(request.at) <= limits.first_limit
            && token <= limits.token_limit;
        let mut marks = vec![mark(1, Time(now.0 - token.0)), mark(2, request.at)];
        // This one is to be counted only.
        marks.extend(is_good.then(|| mark(3, now)));
        marks
    }
}

impl Prefill {
    /// The next prompt, if none is computed.
    fn go_on(&mut self, shared: &Shared, cx: &mut ProgramCx<'_>, marks: &mut Vec<Mark>) {
        if self.now.is_some() {
            return;
        }
        let Some((request, decode, since)) = self.waiting.pop_front() else { return };
        marks.push(Mark { label: 4, start: since, end: cx.now });
        self.now = Some((request, decode, 0));
        cx.wake_at(cx.now + Prefill::chunk_time(shared, request), 0);
    }

    fn chunk_time(shared: &Shared, request: u32) -> Span {
        let prompt = u64::from(shared.requests[request as usize].prompt);
        Span(prompt * shared.costs.prompt_token.0 / u64::from(shared.costs.chunks))
    }

    /// A chunk is computed.
    fn computed(&mut self, shared: &Shared, cx: &mut ProgramCx<'_>, marks: &mut Vec<Mark>) {
        let Some((request, decode, chunk)) = self.now.take() else { return };
        for place in 1..shared.prefill.1 {
            let command = shared.number(request, Says::Send { decode, chunk, place });
            cx.post(command, shared.prefill_host(self.instance, place), SMALL);
        }
        shared.send_shares(cx, request, Says::Send { decode, chunk, place: 0 });
        let own = shared.shares().div_ceil(shared.prefill.1);
        let (_, left) = self.sending.entry(request).or_insert((cx.now, 0));
        *left += own;
        if chunk + 1 < shared.costs.chunks {
            self.now = Some((request, decode, chunk + 1));
            cx.wake_at(cx.now + Prefill::chunk_time(shared, request), 0);
            return;
        }
        cx.post(shared.number(request, Says::First), shared.hosts[0], SMALL);
        self.go_on(shared, cx, marks);
    }

    /// A share is acknowledged.
    fn sent(&mut self, now: Time, request: u32, marks: &mut Vec<Mark>) {
        let Some((since, left)) = self.sending.get_mut(&request) else { return };
        *left -= 1;
        let is_computed = self.now.is_none_or(|(current, ..)| current != request);
        if *left == 0 && is_computed {
            marks.push(Mark { label: 5, start: *since, end: now });
            self.sending.remove(&request);
        }
    }
}

impl Decode {
    /// A share of a request is there.
    fn has(&mut self, shared: &Shared, cx: &mut ProgramCx<'_>, request: u32) {
        let have = self.shares.entry(request).or_insert(0);
        *have += 1;
        if *have == shared.shares() * shared.costs.chunks {
            self.shares.remove(&request);
            self.waiting.push_back(request);
            if !self.busy {
                self.iterate(shared, cx);
            }
        }
    }

    /// Requests go out and come in; then the next iteration begins.
    fn iterate(&mut self, shared: &Shared, cx: &mut ProgramCx<'_>) {
        self.busy = false;
        let mut done = Vec::new();
        self.batch.retain(|(request, left)| {
            if *left == 0 {
                done.push(*request);
            }
            *left > 0
        });
        for request in done {
            let bytes = SMALL + u64::from(shared.requests[request as usize].answer) * PROMPT_TOKEN;
            cx.post(shared.number(request, Says::Done), shared.hosts[0], bytes);
        }
        while self.batch.len() < shared.costs.batch as usize
            && let Some(request) = self.waiting.pop_front()
        {
            // The first token is known from prefill; one that has no other is done in the next iteration all the same.
            let left = shared.requests[request as usize].answer.max(2) - 1;
            self.batch.push((request, left));
        }
        if self.batch.is_empty() {
            return;
        }
        self.busy = true;
        self.batch.iter_mut().for_each(|(_, left)| *left -= 1);
        let time = shared.costs.iteration + shared.costs.answer_token * self.batch.len() as u64;
        cx.wake_at(cx.now + time, 0);
    }
}

impl Program for Server {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        if matches!(self.role, Role::Router(_))
            && let Some(first) = self.shared.requests.first()
        {
            cx.wake_at(first.at, 0);
        }
    }

    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId) {
        if let (Role::Prefill(prefill), (request, Says::Share { .. })) =
            (&mut self.role, self.shared.read(message))
        {
            prefill.sent(cx.now, request, &mut self.marks);
        }
    }

    fn on_received(&mut self, cx: &mut ProgramCx<'_>, _: HostId, message: MessageId) {
        let shared = &self.shared;
        let (request, says) = shared.read(message);
        match (&mut self.role, says) {
            (Role::Router(router), says) => {
                self.marks.extend(router.heard(shared, cx.now, (request, says)));
            }
            (Role::Prefill(prefill), Says::Begin { decode }) => {
                prefill.waiting.push_back((request, decode, cx.now));
                prefill.go_on(shared, cx, &mut self.marks);
            }
            (Role::PrefillOther, says) => shared.send_shares(cx, request, says),
            (Role::Decode(decode), _) => decode.has(shared, cx, request),
            (Role::DecodeOther(instance), Says::Share { chunk, share }) => {
                let number = shared.number(request, Says::Have { chunk, share });
                cx.post(number, shared.decode_host(*instance, 0), SMALL);
            }
            _ => {}
        }
    }

    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, _: u32) {
        match &mut self.role {
            Role::Router(router) => router.give(&self.shared, cx),
            Role::Prefill(prefill) => prefill.computed(&self.shared, cx, &mut self.marks),
            Role::Decode(decode) => decode.iterate(&self.shared, cx),
            Role::PrefillOther | Role::DecodeOther(_) => {}
        }
    }

    fn on_signal(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn unposted(&self) -> u64 {
        match &self.role {
            Role::Router(router) => router.left,
            _ => 0,
        }
    }

    fn report(&self) -> Option<Report> {
        let end = self.marks.last().map_or(Time::ZERO, |mark| mark.end);
        Some(Report { end, marks: self.marks.clone(), ..Report::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;

    fn serving() -> Serving {
        Serving {
            prefill: (2, 4),
            decode: (3, 2),
            requests: 40,
            rate: 1e4,
            costs: Costs {
                key_value_bytes: 1_024,
                prompt_token: Span::from_nanos(100),
                iteration: Span::from_micros(10),
                answer_token: Span::from_micros(1),
                batch: 4,
                chunks: 2,
                first_limit: Span::from_micros(1_000),
                token_limit: Span::from_micros(12),
            },
            seed: 5,
        }
    }

    fn reports(serving: &Serving) -> (Vec<Mark>, Vec<crate::driver::Sent>, u64) {
        let places: Vec<HostId> = (0..serving.ranks()).map(HostId).collect();
        let mut workload = serving
            .programs(serving.ranks(), &places, (&Sizes::fixed(1_000), &Sizes::fixed(11)))
            .unwrap();
        let sent = play(&mut workload);
        let marks = workload.programs.iter().filter_map(Program::report);
        (marks.flat_map(|report| report.marks).collect(), sent, workload.messages)
    }

    /// What a message says is read back from its number.
    #[test]
    fn messages_say_what_they_say() {
        let places: Vec<HostId> = (0..15).map(HostId).collect();
        let workload =
            serving().programs(15, &places, (&Sizes::fixed(1_000), &Sizes::fixed(11))).unwrap();
        let AnyProgram::Serving(server) = &workload.programs[0] else { panic!("a server") };
        let shared = &server.shared;
        for says in [
            Says::Begin { decode: 2 },
            Says::First,
            Says::Done,
            Says::Send { decode: 2, chunk: 1, place: 3 },
            Says::Share { chunk: 1, share: 3 },
            Says::Have { chunk: 0, share: 1 },
        ] {
            assert_eq!(shared.read(shared.number(7, says)), (7, says));
        }
    }

    /// All keys and values arrive once, and every message that was announced is sent.
    #[test]
    fn keys_and_values_arrive_once() {
        let (_, sent, messages) = reports(&serving());
        assert_eq!(sent.len() as u64, messages);
        let bytes: u64 = sent.iter().filter(|sent| sent.dst.0 > 8).map(|sent| sent.bytes).sum();
        let told: u64 = sent.iter().filter(|s| s.src.0 > 8 && s.dst.0 > 8).map(|s| s.bytes).sum();
        assert_eq!(bytes - told, 40 * 1_000 * 1_024);
    }

    /// A request alone takes its prompt's time and an iteration for each further token; chunks leave while a prompt is computed.
    #[test]
    fn a_request_alone_takes_its_computing() {
        let alone = Serving { requests: 1, ..serving() };
        let (marks, ..) = reports(&alone);
        let of = |label: u32| {
            let found = marks.iter().find(|mark| mark.label == label).unwrap();
            found.end.since(found.start)
        };
        assert_eq!(of(0), Span::from_micros(100));
        assert_eq!(of(1), Span::from_micros(11));
        assert_eq!(of(2), Span::from_micros(100 + 10 * 11));
        assert_eq!(of(3), Span::ZERO, "within both limits");
        assert_eq!(of(5), Span::from_micros(50), "the first of two chunks leaves half-way");
    }

    /// Under load every request is answered, and iterations of several take longer than the limit allows.
    #[test]
    fn batches_take_longer() {
        let (marks, ..) = reports(&Serving { rate: 1e6, ..serving() });
        let count = |label: u32| marks.iter().filter(|mark| mark.label == label).count();
        assert_eq!((count(0), count(1), count(2), count(4), count(5)), (40, 40, 40, 40, 40));
        assert!(count(3) < 40, "{}", count(3));
    }
}
