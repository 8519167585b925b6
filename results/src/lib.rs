//! Results: from the engine's record to what people and scripts read.
//!
//! Pure: everything is returned as text or bytes; the command writes the files.
//!
//! # Map of the code
//! - [`summary`]: figures of a run, of its variants and workloads, with the JSON names
//! - [`programs`]: how programs spent their time; [`jobs`]: of each of several side by side
//! - [`distribution`]: percentiles and histograms of completion times
//! - [`claims`]: what a scenario says of its results, and whether it holds
//! - [`table`]: variants side by side, for people
//! - [`metrics`]: figures with their names and which way is better; [`compare`]: two runs; [`junit`]: verdicts as tests
//! - [`columns_of_text`]: small tables; [`slowdown`]: transports against traffic, as a table and a figure
//! - [`records`]: everything a run leaves, as tables with meanings and units in the file
//! - [`report`]: one page about runs and sweeps
//! - [`explain`]: where a message's time went
//! - [`pcapng`]: captured frames; [`timeline`]: for Perfetto and Chrome
//! - [`picture`]: a fabric drawn; [`plots`]: figures as SVG and PNG; [`views`]: from records to figures
//! - [`sweep`]: runs of a sweep in one table, with intervals over seeds
//! - [`fidelity`]: our figures beside a reference's
//! - [`unfinished`]: what a run that ended early still owed

pub mod claims;
pub mod columns_of_text;
pub mod compare;
pub mod distribution;
pub mod explain;
pub mod fidelity;
pub mod jobs;
pub mod junit;
pub mod metrics;
pub mod pcapng;
pub mod picture;
pub mod plots;
pub mod programs;
pub mod records;
pub mod report;
pub mod slowdown;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod timeline;
pub mod unfinished;
pub mod views;
