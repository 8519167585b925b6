//! `ultraloom live`: real hosts on a scenario's fabric, by the clock; and its journals run again.
//!
//! - this file: from the scenario to a session; `capture`: the file of captured frames; `tell`: what is printed
//! - `control`: who looks at it and changes it over HTTP; `tui`: the same on a terminal

mod capture;
mod control;
mod tell;
mod tui;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ::live::answer::Answering;
use ::live::capture::Recorder;
use ::live::control::helm::Helm;
use ::live::control::line;
use ::live::control::server::Server;
use ::live::error::LiveError;
use ::live::gate::{Gate, Live, Simulated};
use ::live::journal::{Head, Reader, Writer};
use ::live::leave::Hops;
use ::live::motor::Motor;
use ::live::offload::{self, Lengths};
use ::live::session::{self, Session, Settings};
use ::live::space::{self, Space};
use ::live::wire::{self, Line};
use ::live::yard::SharedYard;
use fabric::assemble::Extent;
use fabric::changes::Changes;
use fabric::graph::Graph;
use fabric::ids::HostId;
use fabric::run::Run;
use fabric::units::Time;
use transports::AnyEndpoint;
use workloads::flows;
use workloads::matrix::Matrix;
use workloads::{AnyProgram, Workload as Programs};

use crate::UNFINISHED;
use crate::args::{Live as Arguments, Output};
use crate::captures;
use crate::error::{Source, UserError, unknown};
use crate::execute::{self, Build, Cut, STOP};
use crate::output::Folder;
use crate::prepare::Prepared;
use crate::prepare::faults::Faults;
use crate::scenario::model::{
    AttachedHost, Attachment, LiveOptions, Scenario, Variant, Workload, WorkloadKind,
};
use crate::scenario::{self};

fn told(error: &LiveError) -> UserError {
    UserError::new(error.to_string())
}

/// Runs a scenario with real hosts, or a journal again.
///
/// # Errors
/// What the user has to mend: the scenario, interfaces, permissions.
pub fn live(arguments: &Arguments) -> Result<ExitCode, UserError> {
    if let Some(journal) = &arguments.replay {
        return replay(journal, arguments);
    }
    let scenario = scenario::load(arguments.scenario.as_deref(), &arguments.sets, arguments.seed)?;
    let fabric = Fabric::new(&scenario, arguments.variant.as_deref())?;
    let is_watched = arguments.control.is_some() || arguments.tui;
    if fabric.options.hosts.is_empty() && !is_watched {
        let text = "the scenario attaches no host";
        let help = "write for example [[host]] number = [0, 1] and attach = \"veth\"; or look at it as it is, with --control or --tui";
        return Err(UserError::new(text).help(help));
    }
    if arguments.tui {
        tui::check()?;
    }
    let session = session_name(arguments, &scenario)?;
    execute::stop_on_signals();
    for gone in space::remove_leftovers() {
        eprintln!("removed what session `{gone}` had left behind");
    }
    let recorder = fabric.recorder(arguments.out.as_deref())?;
    // Interfaces outlive the session, whatever happens in it.
    let (space, lines) = fabric.attach(&session)?;
    let yard = SharedYard::new(fabric.options.nic_queue);
    let motor = fabric.motor(&yard)?;
    let hosts = fabric.prepared.graph.hosts;
    let mut live = Session::new(motor, yard, hosts, lines, fabric.settings());
    if let Some(recorder) = recorder {
        live.record(recorder);
    }
    if let Some(path) = &arguments.journal {
        live.keep_journal(Writer::create(path, &fabric.head()).map_err(|error| told(&error))?);
    }
    let watchers = Watchers::start(arguments, &fabric, &mut live, &session)?;
    // Nobody sends before the emulation is there.
    space.iter().try_for_each(Space::up).map_err(|error| told(&error))?;
    let output = if arguments.tui { Output::Quiet } else { arguments.output };
    let mut view = tell::View::new(&fabric.options, output);
    let ended = live.go(&STOP, |status| view.show(status)).map_err(|error| told(&error));
    if let Ok(ended) = &ended {
        // What came at the very end was not shown yet.
        view.show(&ended.status);
    }
    drop((view, watchers));
    let ended = ended?;
    let late = ended.status.lag.p999_us > fabric.options.tolerance.as_micros();
    tell::end(&ended, &fabric.options, arguments.output);
    Ok(if late { ExitCode::from(UNFINISHED) } else { ExitCode::SUCCESS })
}

/// Who looks at a session. They go before the session's end is told.
struct Watchers {
    _server: Option<Server>,
    _terminal: Option<tui::Terminal>,
}

impl Watchers {
    fn start(
        arguments: &Arguments,
        fabric: &Fabric<'_>,
        live: &mut Session<'_, AnyEndpoint, AnyProgram>,
        session: &str,
    ) -> Result<Watchers, UserError> {
        if !arguments.tui {
            tell::begin(&fabric.options, session, arguments.output);
        }
        if arguments.control.is_none() && !arguments.tui {
            return Ok(Watchers { _server: None, _terminal: None });
        }
        let (line, remote) = line();
        let facts = control::facts(fabric);
        live.obey(Helm::new(line, facts.clone()));
        let graph = &fabric.prepared.graph;
        let serve = |address| control::serve(address, arguments, (remote.clone(), &facts), graph);
        let (server, place) = arguments.control.map(serve).transpose()?.unzip();
        let show = || tui::Terminal::start(remote.clone(), Arc::clone(&facts.topology), place);
        let terminal = arguments.tui.then(show).transpose()?;
        Ok(Watchers { _server: server, _terminal: terminal })
    }
}

/// Runs a journal again and compares the digests.
fn replay(path: &Path, arguments: &Arguments) -> Result<ExitCode, UserError> {
    let journal = Reader::open(path).map_err(|error| told(&error))?;
    let name = format!("the scenario in {}", path.display());
    let source = Source { name, text: journal.head.scenario.clone(), folder: None };
    let scenario = scenario::from_source(&Arc::new(source), &[], None)?;
    let fabric = Fabric::new(&scenario, Some(&journal.head.variant))?;
    let yard = SharedYard::new(fabric.options.nic_queue);
    let recorder = fabric.recorder(arguments.out.as_deref())?;
    let motor = fabric.motor(&yard)?;
    let hosts = fabric.prepared.graph.hosts;
    let journal = (path.to_path_buf(), journal);
    let (then, record) =
        session::replay(motor, &yard, hosts, journal, recorder).map_err(|error| told(&error))?;
    let now = format!("{:032x}", record.digest);
    tell::replayed(&then, &now, &record, arguments.output);
    Ok(if then == now { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) })
}

/// The name of the session: asked for, or the scenario's as far as it can be one.
fn session_name(arguments: &Arguments, scenario: &Scenario) -> Result<String, UserError> {
    if let Some(name) = &arguments.session {
        return if space::is_name(name) {
            Ok(name.clone())
        } else {
            let text = format!("`{name}` cannot name a session");
            Err(UserError::new(text).help("lower-case letters, digits and dashes, at most 32"))
        };
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name = scenario.name.to_lowercase();
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(32).collect();
    Ok(name)
}

/// A scenario's fabric with what is attached.
struct Fabric<'a> {
    scenario: &'a Scenario,
    variant: &'a Variant,
    options: LiveOptions,
    /// Without its faults.
    prepared: Prepared,
    faults: Faults,
}

impl<'a> Fabric<'a> {
    fn new(scenario: &'a Scenario, name: Option<&str>) -> Result<Fabric<'a>, UserError> {
        let variant = match name {
            None => scenario.variants.first(),
            Some(name) => scenario.variants.iter().find(|variant| variant.name == name),
        };
        let names: Vec<&str> = scenario.variants.iter().map(|v| v.name.as_str()).collect();
        let variant = variant.ok_or_else(|| unknown("variant", name.unwrap_or(""), &names))?;
        let options = scenario.live.clone();
        if variant.topology.scale_up.is_some() {
            let text = "live fabrics have one network; `topology.scale_up` is a second";
            return Err(UserError::new(text));
        }
        let mut prepared = Prepared::new(variant)?;
        // The motor lets faults happen, those of the scenario like those that are asked for.
        let faults = std::mem::take(&mut prepared.faults);
        let hosts = prepared.graph.hosts;
        if let Some(host) = options.hosts.iter().find(|host| host.host.0 >= hosts) {
            let text =
                format!("there is no host {}; the fabric has 0 to {}", host.host.0, hosts - 1);
            return Err(UserError::at(&host.origin, text));
        }
        let fabric = Fabric { scenario, variant, options, prepared, faults };
        // What is wrong with the background is said before interfaces are made.
        fabric.background()?;
        Ok(fabric)
    }

    fn attached(&self) -> BTreeSet<HostId> {
        self.options.hosts.iter().map(|host| host.host).collect()
    }

    /// Makes or opens the interfaces.
    fn attach(&self, session: &str) -> Result<(Option<Space>, Vec<Line>), UserError> {
        let hosts = &self.options.hosts;
        let made: Vec<HostId> =
            hosts.iter().filter(|host| host.to == Attachment::Veth).map(|host| host.host).collect();
        let space = (!made.is_empty())
            .then(|| Space::make(session, &made, self.options.mtu))
            .transpose()
            .map_err(|error| told(&error))?;
        let open = |host: &AttachedHost| {
            let name = match &host.to {
                Attachment::Veth => space::outside(session, host.host),
                Attachment::Interface(name) => name.clone(),
            };
            if let Attachment::Interface(name) = &host.to {
                tell::offloads(name, &offload::switched_on(name));
            }
            wire::open(host.host, &name)
                .map_err(|error| UserError::at(&host.origin, error.to_string()))
        };
        let lines = hosts.iter().map(open).collect::<Result<Vec<Line>, UserError>>()?;
        Ok((space, lines))
    }

    /// The flows of simulated hosts among each other.
    fn background(&self) -> Result<Programs, UserError> {
        let hosts = self.prepared.graph.hosts;
        let attached = self.attached();
        let workload = match self.variant.workloads.as_slice() {
            [] => return Ok(flows::flows(&Matrix::default(), hosts)),
            [only] => only,
            [_, second, ..] => {
                return Err(refuse(second, "a live run has one workload behind real frames"));
            }
        };
        let is_of_flows = matches!(
            workload.kind,
            WorkloadKind::Matrix(_)
                | WorkloadKind::Permutation { .. }
                | WorkloadKind::Poisson { .. }
                | WorkloadKind::Incast { .. }
                | WorkloadKind::Bursts(_)
        );
        if !is_of_flows {
            return Err(refuse(workload, "live runs have flows behind real frames")
                .help("kinds are matrix, permutation, poisson, incast and incast-bursts"));
        }
        let mut matrix = self.prepared.flows(workload)?;
        let is_simulated = |host: HostId| !attached.contains(&host);
        matrix.retain(|src, dst| is_simulated(src) && is_simulated(dst));
        Ok(flows::flows(&matrix, hosts))
    }

    fn assemble(&self, yard: &SharedYard) -> Result<Run<Live<AnyEndpoint>, AnyProgram>, UserError> {
        let attached = self.attached();
        let build = Build {
            seed: self.scenario.seed,
            cut: Cut { shards: 1, ranks: 1 },
            extent: Extent::default(),
            sampling: None,
            capture: self.prepared.capture.as_ref(),
        };
        let answering = self.options.answer.then(|| Answering {
            seed: self.scenario.seed,
            dilation: self.options.dilation,
            mtu: self.options.mtu,
            routed: self.hops(),
        });
        let endpoint = |host, endpoint| match attached.contains(&host) {
            true => Live::Gate(Gate::new(host, yard.clone())),
            false => {
                Live::Simulated(Simulated::new(host, endpoint, yard.clone(), answering.clone()))
            }
        };
        execute::assembled_as(&self.prepared, self.background()?, &build, &endpoint)
    }

    /// The fabric, ready to go, with the scenario's faults to come.
    fn motor(&self, yard: &SharedYard) -> Result<Motor<'_, AnyEndpoint, AnyProgram>, UserError> {
        let run = self.assemble(yard)?;
        let (graph, config) = (&self.prepared.graph, &self.prepared.behaviour.fabric);
        let mut changes = Changes::new(&run, graph, config, self.scenario.seed);
        self.faults.links.iter().for_each(|fault| changes.add(*fault));
        self.faults.switches.iter().for_each(|fault| changes.add_switch(*fault));
        Ok(Motor::new(run, changes))
    }

    /// What a journal says of it.
    fn head(&self) -> Head {
        Head {
            scenario: self.scenario.resolved.clone(),
            variant: self.variant.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn settings(&self) -> Settings {
        let LiveOptions { dilation, busy, duration, mtu, .. } = self.options;
        let until = duration.map_or(Time::NEVER, |duration| Time(duration.0));
        let mtu_of = |host: &AttachedHost| match &host.to {
            Attachment::Veth => Some((host.host, mtu)),
            Attachment::Interface(name) => Some((host.host, offload::mtu(name)?)),
        };
        let mtus = self.options.hosts.iter().filter_map(mtu_of).collect();
        Settings { dilation, busy, until, routed: self.hops(), lengths: Lengths::new(&mtus) }
    }

    /// Routers between two hosts, one of which is attached; `None` if switches do not route.
    fn hops(&self) -> Option<Hops> {
        self.options.routed.then(|| {
            let distances = distances(&self.prepared.graph, &self.attached());
            Arc::new(move |src: HostId, dst: HostId| {
                let known = |from: HostId, to: HostId| Some(distances.get(&from)?[to.index()]);
                known(dst, src)
                    .or_else(|| known(src, dst))
                    .map_or(0, |links| links.saturating_sub(1))
            }) as Hops
        })
    }

    /// The file of captured frames, in the folder asked for; `None` if nothing is captured.
    fn recorder(&self, asked: Option<&Path>) -> Result<Option<Recorder>, UserError> {
        let Some(asked_for) = &self.variant.capture else {
            return match asked {
                None => Ok(None),
                Some(_) => {
                    let text = "the scenario captures nothing, and --out is for captures";
                    Err(UserError::new(text).help("write for example [capture] ports = \"host:0\""))
                }
            };
        };
        let folder = Folder::place(asked, &self.scenario.name, false)?;
        let path = folder.join(captures::file_name(&self.variant.name));
        capture::recorder(&path, &self.scenario.name, asked_for.snap, &self.prepared)
    }
}

fn refuse(workload: &Workload, message: &str) -> UserError {
    match &workload.origin {
        Some(origin) => UserError::at(origin, message),
        None => UserError::new(message),
    }
}

/// Links from every node to each of these hosts, by the shortest way.
fn distances(graph: &Graph, hosts: &BTreeSet<HostId>) -> BTreeMap<HostId, Vec<u8>> {
    let mut neighbours = vec![Vec::new(); graph.nodes() as usize];
    for link in &graph.links {
        neighbours[link.a.index()].push(link.b.index());
        neighbours[link.b.index()].push(link.a.index());
    }
    let from = |host: &HostId| {
        let mut found = vec![u8::MAX; neighbours.len()];
        found[host.index()] = 0;
        let mut waiting = VecDeque::from([host.index()]);
        while let Some(node) = waiting.pop_front() {
            for next in &neighbours[node] {
                if found[*next] == u8::MAX {
                    found[*next] = found[node].saturating_add(1);
                    waiting.push_back(*next);
                }
            }
        }
        (*host, found)
    };
    hosts.iter().map(from).collect()
}
