//! Reads and writes of clients at servers.
//!
//! A read sends a short request and gets the data; a write sends the data and gets a short answer. A server serves a request
//! on one of its cores, one after the other. Objects can be striped: their parts are on servers that follow each other.

use std::sync::Arc;

use fabric::units::{Span, Time};

use super::{Arrivals, Draws, moving};
use crate::collective::Kind;
use crate::math::power;
use crate::poisson::Sizes;
use crate::traces::writer::Writer;
use crate::traces::{Action, Node, Trace};

/// Most requests of a workload.
const MOST: u64 = 4 << 20;

/// A service, as asked for. Ranks are first the clients, then the servers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Requests {
    /// Servers.
    pub servers: u32,
    /// Requests of each client.
    pub count: u32,
    /// When they come.
    pub arrivals: Arrivals,
    /// Share of them that read.
    pub reads: f64,
    /// Bytes of a request to read, and of an answer to a write.
    pub header: u64,
    /// Most bytes of an object on one server; the rest is on the next ones. `None`: all on one.
    pub stripe: Option<u64>,
    /// The k-th most popular server is asked in proportion to 1/k to this power.
    pub skew: f64,
    /// Cores of a server.
    pub cores: u8,
    /// Time that a core takes for a request.
    pub service_time: Span,
    /// Bytes a second that a core moves besides; `None`: no limit.
    pub service_rate: Option<f64>,
    /// Clients wait for each other at the end: a checkpoint.
    pub barrier: bool,
    /// What reads and writes are called.
    pub names: (&'static str, &'static str),
    /// Decides about all draws.
    pub seed: u64,
}

/// Nodes of a server while they are written.
struct Server {
    nodes: Vec<Node>,
    served: u32,
}

impl Server {
    /// Serves a part of a request: what comes from `client`, and what goes back.
    fn serve(&mut self, requests: &Requests, client: u32, tag: u64, (bytes, answer): (u64, u64)) {
        let mut push = |action: Action, after: Vec<u32>| {
            self.nodes.push(Node::new(action, after));
            self.nodes.len() as u32 - 1
        };
        let come = push(Action::Receive { from: client, tag }, Vec::new());
        let time = requests.service_time + moving(bytes, requests.service_rate);
        let stream = (self.served % u32::from(requests.cores)) as u8;
        let done = push(Action::Compute { time, stream }, vec![come]);
        push(Action::Send { to: client, bytes: answer, tag }, vec![done]);
        self.served += 1;
    }
}

impl Requests {
    /// What all ranks do; `sizes` are those of what is read or written.
    ///
    /// # Errors
    /// When there are too many requests.
    pub fn trace(&self, clients: u32, sizes: &Sizes) -> Result<Trace, String> {
        let all = u64::from(clients) * u64::from(self.count);
        let parts = self.stripe.map_or(1, |stripe| sizes.largest().div_ceil(stripe));
        if all.saturating_mul(parts) > MOST {
            return Err(format!(
                "{} clients with {} requests of up to {parts} parts are more than {MOST}; ask for fewer `requests`",
                clients, self.count
            ));
        }
        let popularity: Vec<f64> =
            (1..=self.servers).map(|place| 1.0 / power(f64::from(place), self.skew)).collect();
        let sum: f64 = popularity.iter().sum();
        let mut upto = 0.0;
        let cumulative: Vec<f64> = popularity
            .iter()
            .map(|share| {
                upto += share / sum;
                upto
            })
            .collect();
        let mut servers: Vec<Server> =
            (0..self.servers).map(|_| Server { nodes: Vec::new(), served: 0 }).collect();
        let everyone: Arc<[u32]> = (0..clients).collect();
        let client = |client| self.client(client, sizes, &cumulative, &mut servers, &everyone);
        let mut ranks: Vec<Vec<Node>> = (0..clients).map(client).collect();
        ranks.extend(servers.into_iter().map(|server| server.nodes));
        Ok(Trace { ranks, is_service: true })
    }

    /// The nodes of a client.
    fn client(
        &self,
        client: u32,
        sizes: &Sizes,
        cumulative: &[f64],
        servers: &mut [Server],
        everyone: &Arc<[u32]>,
    ) -> Vec<Node> {
        let mut draws = Draws::new(self.seed, u64::from(client));
        let arrivals: Vec<Time> = match self.arrivals {
            Arrivals::Open { rate } => draws.arrivals(rate, self.count),
            Arrivals::Closed { .. } => vec![Time::ZERO; self.count as usize],
        };
        let mut writer = Writer::default();
        let mut done: Vec<u32> = Vec::new();
        for (number, arrival) in (0u64..).zip(arrivals) {
            let before = match self.arrivals {
                Arrivals::Closed { outstanding } => {
                    number.checked_sub(u64::from(outstanding)).map(|before| done[before as usize])
                }
                Arrivals::Open { .. } => None,
            };
            let start = writer.push(Action::At(arrival), before.into_iter().collect());
            let read = draws.share() < self.reads;
            let bytes = sizes.at(draws.share()).max(1);
            let first = draws.pick(cumulative);
            let stripe = self.stripe.unwrap_or(bytes);
            let mut answers = Vec::new();
            for part in 0..bytes.div_ceil(stripe) {
                let own = stripe.min(bytes - part * stripe);
                let place = ((u64::from(first) + part) % u64::from(self.servers)) as u32;
                let (asked, answer) = if read { (self.header, own) } else { (own, self.header) };
                let tag = number << 24 | part;
                let to = everyone.len() as u32 + place;
                writer.push(Action::Send { to, bytes: asked, tag }, vec![start]);
                answers.push(writer.push(Action::Receive { from: to, tag }, vec![start]));
                servers[place as usize].serve(self, client, tag, (asked.max(answer), answer));
            }
            let end = writer.push(Action::Join, answers);
            let name = if read { self.names.0 } else { self.names.1 };
            writer.push(Action::Mark { since: start, name: name.into() }, vec![end]);
            done.push(end);
        }
        if self.barrier {
            let action = Action::Collective {
                kind: Kind::Barrier,
                bytes: 1,
                members: Arc::clone(everyone),
                root: 0,
                name: "barrier".into(),
                matrix: None,
            };
            if everyone.len() > 1 {
                writer.push(action, done);
            }
        }
        writer.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use crate::tasks::Costs;
    use fabric::ids::HostId;

    const CLIENTS: u32 = 3;

    fn some() -> Requests {
        Requests {
            servers: 2,
            count: 50,
            arrivals: Arrivals::Closed { outstanding: 4 },
            reads: 0.5,
            header: 64,
            stripe: Some(4_096),
            skew: 0.0,
            cores: 2,
            service_time: Span::from_micros(1),
            service_rate: None,
            barrier: true,
            names: ("read", "write"),
            seed: 1,
        }
    }

    fn played(requests: &Requests) -> Vec<(HostId, HostId, u64)> {
        let ranks = CLIENTS + requests.servers;
        let places: Vec<HostId> = (0..ranks).map(HostId).collect();
        let recipe = |kind, ranks, bytes, _: Option<&Arc<[u64]>>| {
            Ok(crate::algorithms::Recipe::new(kind, ranks, bytes))
        };
        let trace = requests.trace(CLIENTS, &Sizes::fixed(10_000)).unwrap();
        let mut workload = trace.tasks(ranks, &places, Costs::default(), recipe).unwrap();
        play(&mut workload).iter().map(|sent| (sent.src, sent.dst, sent.bytes)).collect()
    }

    /// Every read brings its bytes to its client, every write to a server; stripes follow each other, the last is the rest.
    #[test]
    fn bytes_go_where_they_should() {
        let requests = some();
        let sent = played(&requests);
        let of = |server: bool, bytes: u64| {
            sent.iter().filter(|(src, _, b)| (src.0 >= 3) == server && *b == bytes).count()
        };
        // 150 objects of 4096 + 4096 + 1808 B.
        assert_eq!(of(true, 1_808) + of(false, 1_808), 150);
        assert_eq!(of(true, 4_096) + of(false, 4_096), 300);
        let reads = of(true, 1_808);
        assert!((50..100).contains(&reads), "{reads}");
        assert_eq!(of(false, 64), 3 * reads);
        assert_eq!(of(true, 64), 3 * (150 - reads));
    }

    /// A skewed choice of servers follows Zipf's law: of two, one gets two thirds.
    #[test]
    fn popular_servers_are_asked_more() {
        let requests = Requests { skew: 1.0, count: 1_000, stripe: None, ..some() };
        let sent = played(&requests);
        let first = sent.iter().filter(|(_, dst, _)| dst.0 == 3).count();
        assert!((1_900..2_100).contains(&first), "{first} of 3000");
    }

    /// Too many requests are refused before they are written down.
    #[test]
    fn too_many_are_refused() {
        let requests = Requests { count: 10_000_000, ..some() };
        let error = requests.trace(CLIENTS, &Sizes::fixed(1)).unwrap_err();
        assert!(error.contains("ask for fewer `requests`"));
    }
}
