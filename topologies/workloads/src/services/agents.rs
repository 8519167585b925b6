//! Agents: each thinks, calls several tools at once, waits for all of their answers, and thinks again.
//!
//! Calls are small and go out together; answers come back together, an incast at the agent's NIC.

use fabric::units::{Span, Time};

use super::{Arrivals, Draws};
use crate::poisson::Sizes;
use crate::traces::writer::Writer;
use crate::traces::{Action, Node, Trace};

/// Agents and their tools, as asked for. Ranks are first the agents, then the tools.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Agents {
    /// Hosts of tools.
    pub tools: u32,
    /// Tasks of each agent.
    pub tasks: u32,
    /// When they come.
    pub arrivals: Arrivals,
    /// Rounds of a task.
    pub rounds: u32,
    /// Calls of a round, to different tools.
    pub fan_out: u32,
    /// Bytes of a call.
    pub call: u64,
    /// Mean time that a tool takes, exponential, on one of its cores.
    pub service_time: Span,
    /// Cores of a tool's host.
    pub cores: u8,
    /// Time that an agent thinks after each round.
    pub think_time: Span,
    /// Decides about all draws.
    pub seed: u64,
}

impl Agents {
    /// What all ranks do, the first `agents` of which are hosts of agents; `answers` are sizes of answers.
    ///
    /// # Errors
    /// When there are fewer tools than calls of a round.
    pub fn trace(&self, agents: u32, answers: &Sizes) -> Result<Trace, String> {
        if self.fan_out > self.tools {
            return Err(format!(
                "`fan_out` is {}; there are {} tools, each of which is called once a round",
                self.fan_out, self.tools
            ));
        }
        let mut tools: Vec<Vec<Node>> = vec![Vec::new(); self.tools as usize];
        let agent = |agent| {
            let draws = Draws::new(self.seed, u64::from(agent));
            let writer = Writer::default();
            Agent { plan: self, agent, agents, answers, draws, writer }.nodes(&mut tools)
        };
        let mut ranks: Vec<Vec<Node>> = (0..agents).map(agent).collect();
        ranks.extend(tools);
        Ok(Trace { ranks, is_service: true })
    }
}

/// An agent while its nodes are written.
struct Agent<'a> {
    plan: &'a Agents,
    agent: u32,
    /// How many there are.
    agents: u32,
    answers: &'a Sizes,
    draws: Draws,
    writer: Writer,
}

impl Agent<'_> {
    fn nodes(mut self, tools: &mut [Vec<Node>]) -> Vec<Node> {
        let Agents { tasks, arrivals, rounds, .. } = *self.plan;
        let times = match arrivals {
            Arrivals::Open { rate } => self.draws.arrivals(rate, tasks),
            Arrivals::Closed { .. } => vec![Time::ZERO; tasks as usize],
        };
        let mut ends: Vec<u32> = Vec::new();
        let mut order: Vec<u32> = (0..tools.len() as u32).collect();
        for (task, arrival) in times.into_iter().enumerate() {
            let before = match arrivals {
                Arrivals::Closed { outstanding } => {
                    task.checked_sub(outstanding as usize).map(|before| ends[before])
                }
                Arrivals::Open { .. } => None,
            };
            let start = self.writer.push(Action::At(arrival), before.into_iter().collect());
            self.writer.last = Some(start);
            for round in 0..rounds {
                let tag = (task as u64) << 32 | u64::from(round);
                self.round(tag, &mut order, tools);
            }
            self.writer.aside(Action::Mark { since: start, name: "task".into() });
            ends.extend(self.writer.last);
        }
        self.writer.nodes
    }

    /// A round: calls, answers, a thought.
    fn round(&mut self, tag: u64, order: &mut [u32], tools: &mut [Vec<Node>]) {
        let Agents { fan_out, call, service_time, cores, think_time, .. } = *self.plan;
        let start = self.writer.then(Action::Join);
        let mut answers = Vec::new();
        for place in 0..fan_out {
            let other = place + self.draws.below(order.len() as u32 - place);
            order.swap(place as usize, other as usize);
            let tool = order[place as usize];
            let to = self.agents + tool;
            self.writer.push(Action::Send { to, bytes: call, tag }, vec![start]);
            answers.push(self.writer.push(Action::Receive { from: to, tag }, vec![start]));
            let nodes = &mut tools[tool as usize];
            let first = nodes.len() as u32;
            let time = Span(self.draws.exponential(service_time.0 as f64) as u64);
            let bytes = self.answers.at(self.draws.share()).max(1);
            let stream = (first / 3 % u32::from(cores)) as u8;
            nodes.push(Node::new(Action::Receive { from: self.agent, tag }, Vec::new()));
            nodes.push(Node::new(Action::Compute { time, stream }, vec![first]));
            nodes.push(Node::new(Action::Send { to: self.agent, bytes, tag }, vec![first + 1]));
        }
        self.writer.last = Some(self.writer.push(Action::Join, answers));
        self.writer.aside(Action::Mark { since: start, name: "round".into() });
        self.writer.then(Action::Wait(think_time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use crate::tasks::Costs;
    use fabric::ids::HostId;
    use std::sync::Arc;

    /// Every round calls as many different tools as asked, each of which answers once.
    #[test]
    fn every_call_is_answered() {
        let agents = Agents {
            tools: 6,
            tasks: 5,
            arrivals: Arrivals::Closed { outstanding: 1 },
            rounds: 3,
            fan_out: 4,
            call: 512,
            service_time: Span::from_micros(20),
            cores: 2,
            think_time: Span::from_micros(5),
            seed: 3,
        };
        let places: Vec<HostId> = (0..10).map(HostId).collect();
        let recipe = |kind, ranks, bytes, _: Option<&Arc<[u64]>>| {
            Ok(crate::algorithms::Recipe::new(kind, ranks, bytes))
        };
        let answers = Sizes::fixed(8_000);
        let trace = agents.trace(4, &answers).unwrap();
        let mut workload = trace.tasks(10, &places, Costs::default(), recipe).unwrap();
        let sent = play(&mut workload);
        let calls: Vec<_> = sent.iter().filter(|sent| sent.src.0 < 4).collect();
        assert_eq!(calls.len(), 4 * 5 * 3 * 4);
        assert!(calls.iter().all(|sent| sent.bytes == 512 && sent.dst.0 >= 4));
        assert_eq!(sent.iter().filter(|sent| sent.bytes == 8_000).count(), calls.len());
        let error = Agents { fan_out: 7, ..agents }.trace(4, &answers).unwrap_err();
        assert!(error.starts_with("`fan_out` is 7; there are 6 tools"), "{error}");
    }
}
