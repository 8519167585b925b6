//! Agents: each thinks, calls several tools at once, waits for all of their answers, and thinks again.
//!
//! Calls are small and go out together; answers come back together, an incast at the agent's NIC.

use fabric::units::Span;

use super::{Arrivals, Draws};
use crate::poisson::Sizes;
use crate::traces::writer::Writer;
use crate::traces::{Action, Node, Trace};

/// Agents and their tools, as asked for. Ranks are first the agents, then the tools.
#[derive(Clone, PartialEq, Debug)]
pub struct Agents {
    /// Hosts on which agents run.
    pub agents: u32,
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
    /// Bytes of an answer.
    pub answers: Sizes,
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
    /// What all ranks do.
    ///
    /// # Errors
    /// When there are fewer tools than calls of a round.
    pub fn trace(&self) -> Result<Trace, String> {
        if self.fan_out > self.tools {
            return Err(format!(
                "`fan_out` is {}; there are {} tools, each of which is called once a round",
                self.fan_out, self.tools
            ));
        }
        let mut tools: Vec<Vec<Node>> = vec![Vec::new(); self.tools as usize];
        let agent = |agent| self.agent(agent, &mut tools);
        let mut ranks: Vec<Vec<Node>> = (0..self.agents).map(agent).collect();
        ranks.extend(tools);
        Ok(Trace { ranks, is_service: true })
    }

    fn agent(&self, agent: u32, tools: &mut [Vec<Node>]) -> Vec<Node> {
        let mut draws = Draws::new(self.seed, u64::from(agent));
        let mut writer = Writer::default();
        let arrivals = match self.arrivals {
            Arrivals::Open { rate } => draws.arrivals(rate, self.tasks),
            Arrivals::Closed { .. } => vec![fabric::units::Time::ZERO; self.tasks as usize],
        };
        let mut ends: Vec<u32> = Vec::new();
        let mut order: Vec<u32> = (0..self.tools).collect();
        for (task, arrival) in arrivals.into_iter().enumerate() {
            let before = match self.arrivals {
                Arrivals::Closed { outstanding } => {
                    task.checked_sub(outstanding as usize).map(|before| ends[before])
                }
                Arrivals::Open { .. } => None,
            };
            let start = writer.push(Action::At(arrival), before.into_iter().collect());
            writer.last = Some(start);
            for round in 0..self.rounds {
                let tag = (task as u64) << 32 | u64::from(round);
                self.round(agent, tag, &mut order, &mut draws, &mut writer, tools);
            }
            writer.aside(Action::Mark { since: start, name: "task".into() });
            ends.extend(writer.last);
        }
        writer.nodes
    }

    /// A round: calls, answers, a thought.
    fn round(
        &self,
        agent: u32,
        tag: u64,
        order: &mut [u32],
        draws: &mut Draws,
        writer: &mut Writer,
        tools: &mut [Vec<Node>],
    ) {
        let start = writer.then(Action::Join);
        let mut answers = Vec::new();
        for place in 0..self.fan_out {
            let other = place + draws.below(self.tools - place);
            order.swap(place as usize, other as usize);
            let tool = order[place as usize];
            let to = self.agents + tool;
            writer.push(Action::Send { to, bytes: self.call, tag }, vec![start]);
            answers.push(writer.push(Action::Receive { from: to, tag }, vec![start]));
            let nodes = &mut tools[tool as usize];
            let first = nodes.len() as u32;
            let time = Span(draws.exponential(self.service_time.0 as f64) as u64);
            let bytes = self.answers.at(draws.share()).max(1);
            let stream = (first / 3 % u32::from(self.cores)) as u8;
            nodes.push(Node::new(Action::Receive { from: agent, tag }, Vec::new()));
            nodes.push(Node::new(Action::Compute { time, stream }, vec![first]));
            nodes.push(Node::new(Action::Send { to: agent, bytes, tag }, vec![first + 1]));
        }
        writer.last = Some(writer.push(Action::Join, answers));
        writer.aside(Action::Mark { since: start, name: "round".into() });
        writer.then(Action::Wait(self.think_time));
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
            agents: 4,
            tools: 6,
            tasks: 5,
            arrivals: Arrivals::Closed { outstanding: 1 },
            rounds: 3,
            fan_out: 4,
            call: 512,
            answers: Sizes::fixed(8_000),
            service_time: Span::from_micros(20),
            cores: 2,
            think_time: Span::from_micros(5),
            seed: 3,
        };
        let places: Vec<HostId> = (0..10).map(HostId).collect();
        let recipe = |kind, ranks, bytes, _: Option<&Arc<[u64]>>| {
            Ok(crate::algorithms::Recipe::new(kind, ranks, bytes))
        };
        let trace = agents.trace().unwrap();
        let mut workload = trace.tasks(10, &places, Costs::default(), recipe).unwrap();
        let sent = play(&mut workload);
        let calls: Vec<_> = sent.iter().filter(|sent| sent.src.0 < 4).collect();
        assert_eq!(calls.len(), 4 * 5 * 3 * 4);
        assert!(calls.iter().all(|sent| sent.bytes == 512 && sent.dst.0 >= 4));
        assert_eq!(sent.iter().filter(|sent| sent.bytes == 8_000).count(), calls.len());
        let error = Agents { fan_out: 7, ..agents }.trace().unwrap_err();
        assert!(error.starts_with("`fan_out` is 7; there are 6 tools"), "{error}");
    }
}
