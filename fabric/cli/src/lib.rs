//! The `ultraloom` command: scenario in, comparison out.
//!
//! # Map of the code
//! - [`args`]: the command line; [`run`](mod@run): what `ultraloom run` does
//! - [`scenario`]: TOML to checked data; [`error`]: errors that show their place;
//!   [`csv_file`]: tables with places
//! - [`prepare`]: a variant to graph, behaviour, programs, faults; [`execute`]: all runs of a scenario,
//!   `play`: one of them; [`sweep`](mod@sweep): many scenarios side by side; [`checkpoint`]: their state, to go on after a stop
//! - [`topology`](mod@topology): fabrics described and exported; [`validate`](mod@validate): the fidelity table; [`bench`](mod@bench): the engine's speed
//! - [`live`](mod@live): real hosts on the fabric; [`endpoint`](mod@endpoint): transports over real sockets
//! - [`convert`](mod@convert): workloads in other forms; [`forecast`]: memory, before a run
//! - [`catalogue`], [`list`](mod@list): what there is to choose from; [`new`](mod@new): a scenario to begin with; [`scenario_schema`], [`shell`]:
//!   for editors and shells
//! - [`schema`](mod@schema): what records mean; [`compare`](mod@compare): two runs; [`check`](mod@check): scenarios and their baselines
//! - `stored`: the folder of a run, read back; [`plot`](mod@plot): figures; [`report`](mod@report): one page; [`timeline`](mod@timeline): for Perfetto;
//!   [`explain`](mod@explain): where the time of messages went
//! - [`progress`], [`output`]: what a user sees and keeps; [`captures`]: captured frames as pcapng

pub mod args;
pub mod bench;
pub mod captures;
pub mod catalogue;
pub mod check;
pub mod checkpoint;
pub mod compare;
pub mod convert;
pub mod csv_file;
pub mod endpoint;
pub mod error;
pub mod execute;
pub mod explain;
pub mod forecast;
pub mod list;
pub mod live;
pub mod new;
pub mod output;
mod play;
pub mod plot;
pub mod prepare;
pub mod progress;
pub mod report;
pub mod run;
mod say;
pub mod scenario;
pub mod scenario_schema;
pub mod schema;
pub mod shell;
mod stored;
pub mod sweep;
pub mod timeline;
pub mod topology;
pub mod validate;

use std::process::ExitCode;

use fabric::engine::ranks::Ranks;

use args::{Cli, Command, Run};
use error::UserError;

/// Some flows did not finish, figures do not agree, or a claim is missed.
const UNFINISHED: u8 = 1;
/// Something the user has to mend.
const WRONG: u8 = 2;
/// Ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Does what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    let code = match cli.command {
        Some(Command::Run(arguments)) => return run::run_among(&arguments),
        None => return run::run_among(&Run::default()),
        _ if dist::started() > 1 => Err(UserError::new("only `run` works on several processes")),
        Some(Command::Sweep(arguments)) => sweep::sweep(&arguments),
        Some(Command::Compare(arguments)) => compare::compare(&arguments),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Live(arguments)) => live::live(&arguments),
        Some(Command::Endpoint(arguments)) => endpoint::endpoint(&arguments),
        Some(Command::Topology(arguments)) => topology::topology(&arguments),
        Some(Command::Validate(arguments)) => validate::validate(&arguments),
        Some(Command::Convert(arguments)) => convert::convert(&arguments),
        Some(Command::Bench(arguments)) => bench::bench(&arguments),
        Some(Command::Plot(arguments)) => plot::plot(&arguments),
        Some(Command::Report(arguments)) => report::report(&arguments),
        Some(Command::Explain(arguments)) => explain::explain(&arguments),
        Some(Command::Timeline(arguments)) => timeline::timeline(&arguments),
        Some(Command::List(arguments)) => list::list(&arguments),
        Some(Command::New(arguments)) => new::new(&arguments),
        Some(Command::Completions(arguments)) => shell::completions(&arguments),
        Some(Command::Man(arguments)) => shell::man(&arguments),
        Some(Command::Schema(arguments)) => schema::schema(&arguments),
    };
    code.unwrap_or_else(|error| refuse(&error))
}

/// Says what the user has to mend; of several processes one does.
fn refuse(error: &UserError) -> ExitCode {
    if dist::number() == 0 {
        eprintln!("{}", error.render());
    }
    ExitCode::from(WRONG)
}

/// What went well on all ranks; else their own error, or that of another rank.
pub(crate) fn together<R: Ranks, T>(ranks: &R, own: Result<T, UserError>) -> Result<T, UserError> {
    let failed = ranks.first_failure(own.as_ref().err().map(|error| error.message.as_str()));
    match (own, failed) {
        (Ok(_), Some((rank, message))) => Err(UserError::new(format!("rank {rank}: {message}"))),
        (own, _) => own,
    }
}
