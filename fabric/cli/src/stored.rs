//! The folder of a run, read back.

use std::path::{Path, PathBuf};

use results::records::read::Frame;
use results::summary::RunSummary;

use crate::compare;
use crate::error::{UserError, unknown};

/// A run's folder.
pub(crate) struct Stored {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// Its figures.
    pub(crate) summary: RunSummary,
}

impl Stored {
    /// The run in a folder.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn open(folder: &Path) -> Result<Stored, UserError> {
        refuse_sweep(folder)?;
        if !folder.join("manifest.json").is_file() {
            let message = format!("{} is no folder of a run", folder.display());
            return Err(UserError::new(message)
                .help("`ultraloom run` prints where its folder is, results/runs/… by default"));
        }
        Ok(Stored { folder: folder.to_path_buf(), summary: compare::load(folder)? })
    }

    /// Its workloads, each with its variant, in their order; of one variant or workload alone, if that is said.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn chosen(
        &self,
        variant: Option<&str>,
        workload: Option<&str>,
    ) -> Result<Vec<(&str, &str)>, UserError> {
        let pairs: Vec<(&str, &str)> = self
            .summary
            .variants
            .iter()
            .flat_map(|v| v.workloads.iter().map(|w| (v.name.as_str(), w.name.as_str())))
            .collect();
        for (place, (what, asked)) in
            [("variant", variant), ("workload", workload)].into_iter().enumerate()
        {
            let mut names: Vec<&str> =
                pairs.iter().map(|pair| if place == 0 { pair.0 } else { pair.1 }).collect();
            names.dedup();
            if let Some(asked) = asked
                && !names.contains(&asked)
            {
                return Err(unknown(what, asked, &names));
            }
        }
        let is_wanted = |pair: &(&str, &str)| {
            variant.is_none_or(|asked| asked == pair.0)
                && workload.is_none_or(|asked| asked == pair.1)
        };
        Ok(pairs.into_iter().filter(is_wanted).collect())
    }

    /// One of its tables.
    ///
    /// # Errors
    /// When it is not there as Parquet, or not what it was.
    pub(crate) fn table(&self, name: &str) -> Result<Frame, UserError> {
        let path = self.folder.join(format!("{name}.parquet"));
        let bytes = std::fs::read(&path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            UserError::new(message)
                .help("runs are read as Parquet: leave it in `formats` of [records]")
        })?;
        Frame::parse(bytes)
            .map_err(|error| UserError::new(format!("cannot read {}: {error}", path.display())))
    }
}

/// A sweep's folder is not a run's, but has some.
///
/// # Errors
/// When it is one.
pub(crate) fn refuse_sweep(folder: &Path) -> Result<(), UserError> {
    if !folder.join("sweep.json").is_file() {
        return Ok(());
    }
    let message =
        format!("{} is the folder of a sweep; one of its runs is needed", folder.display());
    Err(UserError::new(message).help("its runs are in the folder `runs` there"))
}

/// What is missing in a table is told as such.
pub(crate) fn in_table<T>(name: &str, found: Result<T, String>) -> Result<T, UserError> {
    found.map_err(|error| UserError::new(format!("the table `{name}`: {error}")))
}
