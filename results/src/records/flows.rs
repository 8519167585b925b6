//! A row for every message.

use std::cmp::Reverse;

use fabric::probe::MessageRecord;
use fabric::units::{Span, Time};

use crate::records::table::{Column, Table};
use crate::records::{Run, keys, moment};

/// Slowest messages that are kept of a run that has too many.
const SLOWEST: usize = 1_000;

/// A message with its run, and its ideal.
type Row<'a> = (&'a Run, &'a MessageRecord, Span);

pub(super) fn table(runs: &[Run], most: usize) -> Table {
    let rows: Vec<Row<'_>> = runs.iter().flat_map(|run| chosen(run, most)).collect();
    let rows = || rows.iter();
    let mut columns = keys(rows().map(|(run, ..)| *run));
    columns.extend([
        Column::text(
            "job",
            "job of the workload; empty if it has none",
            rows().map(|(run, message, _)| run.job(message)),
        ),
        Column::numbers(
            "message",
            "",
            "number of the message, unique in its workload",
            rows().map(|(_, m, _)| u64::from(m.id.0)),
        ),
        Column::numbers("src", "host", "sending host", rows().map(|(_, m, _)| m.src.0.into())),
        Column::numbers("dst", "host", "receiving host", rows().map(|(_, m, _)| m.dst.0.into())),
        Column::numbers("bytes", "B", "payload", rows().map(|(_, m, _)| m.bytes)),
        Column::numbers(
            "posted_ps",
            "ps",
            "when the program posted it, from the start of the workload",
            rows().map(|(_, m, _)| m.posted.0),
        ),
        Column::optional(
            "received_ps",
            "ps",
            "when its last byte arrived; missing if it did not",
            rows().map(|(_, m, _)| moment(m.received)),
        ),
        Column::optional(
            "acked_ps",
            "ps",
            "when its sender had the last acknowledgement; missing if it did not",
            rows().map(|(_, m, _)| moment(m.acked)),
        ),
        Column::optional(
            "failed_ps",
            "ps",
            "when its transport gave up on it; missing if it did not",
            rows().map(|(_, m, _)| moment(m.failed)),
        ),
        Column::optional(
            "fct_ps",
            "ps",
            "completion time: acked_ps - posted_ps",
            rows().map(|(_, m, _)| moment(m.acked).map(|acked| acked - m.posted.0)),
        ),
        Column::numbers(
            "ideal_ps",
            "ps",
            "completion time in an empty fabric, without headers; fct_ps over it is the slowdown",
            rows().map(|(.., ideal)| ideal.0),
        ),
    ]);
    Table::new("flows", "a row for every message", columns)
}

/// The messages of a run: all, or the slowest and every so many-th other.
fn chosen(run: &Run, most: usize) -> Vec<Row<'_>> {
    let all = run.record.messages.iter().zip(&run.context.ideals);
    let all: Vec<Row<'_>> = all.map(|(message, ideal)| (run, message, *ideal)).collect();
    if all.len() <= most {
        return all;
    }
    let mut slowest: Vec<usize> = (0..all.len()).collect();
    let time = |place: &usize| {
        let message = all[*place].1;
        // What has not finished is slowest of all.
        let end = if message.acked == Time::NEVER { u64::MAX } else { message.acked.0 };
        Reverse(end - message.posted.0)
    };
    slowest.sort_by_cached_key(time);
    slowest.truncate(SLOWEST.min(most / 2));
    let each = all.len().div_ceil((most - slowest.len()).max(1));
    slowest.extend((0..all.len()).step_by(each));
    slowest.sort_unstable();
    slowest.dedup();
    slowest.into_iter().map(|place| all[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::table::Format;
    use crate::records::tests::run;
    use arrow_array::{Array, UInt64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// What is written is read back, with units in the file and missing times as missing.
    #[test]
    fn flows_are_read_back() {
        let runs = [run(&[Some(5), None]), run(&[Some(5), None])];
        let file = bytes::Bytes::from(table(&runs, 100).encode(Format::Parquet));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = reader.schema().clone();
        assert_eq!(schema.metadata()["schema_version"], "2");
        assert_eq!(schema.field_with_name("bytes").unwrap().metadata()["unit"], "B");
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 4);
        let fct = batch.column_by_name("fct_ps").unwrap();
        let fct = fct.as_any().downcast_ref::<UInt64Array>().unwrap();
        assert_eq!(fct.value(0), 5_000_000);
        assert!(fct.is_null(1) && fct.is_null(3));
        let job = batch.column_by_name("job").unwrap();
        let job = job.as_any().downcast_ref::<arrow_array::StringArray>().unwrap();
        assert_eq!((job.value(0), job.value(3)), ("a", "b"));
    }

    /// Of too many messages the slowest are kept, what did not finish first, and some of all others.
    #[test]
    fn too_many_flows_are_thinned() {
        let times: Vec<Option<u64>> = (0..1_000).map(|n| (n != 77).then_some(n + 1)).collect();
        let run = run(&times);
        let kept = chosen(&run, 100);
        assert!(kept.len() <= 100 && kept.len() > 90, "{}", kept.len());
        let is_kept = |id| kept.iter().any(|(_, message, _)| message.id.0 == id);
        assert!(is_kept(77) && (960..1_000).all(is_kept));
        assert!(kept.iter().filter(|(_, message, _)| message.id.0 < 900).count() > 40);
    }

    /// The other forms say the same.
    #[test]
    fn other_forms_say_the_same() {
        let table = || table(&[run(&[Some(5), None])], 100);
        let csv = String::from_utf8(table().encode(Format::Csv)).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].starts_with("variant,workload,job,message,src,dst,bytes,posted_ps"));
        assert!(lines[1].contains(",5000000,") && lines.len() == 3, "{csv}");
        let json = String::from_utf8(table().encode(Format::Json)).unwrap();
        let second: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
        assert_eq!((&second["message"], second.get("fct_ps")), (&1.into(), None));
    }
}
