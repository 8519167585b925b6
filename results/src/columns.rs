//! Parquet files with meanings and units inside.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// Version of the schemas; it grows when a column changes its meaning.
const SCHEMA_VERSION: &str = "1";

/// A column to be: its name, unit, meaning and values.
pub(crate) struct Column {
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    values: ArrayRef,
    nullable: bool,
}

impl Column {
    /// A column of text.
    pub(crate) fn text(
        name: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = String>,
    ) -> Column {
        let values: StringArray = values.map(Some).collect();
        Column { name, unit: "", meaning, values: Arc::new(values), nullable: false }
    }

    /// A column of numbers.
    pub(crate) fn numbers(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = u64>,
    ) -> Column {
        let values: UInt64Array = values.map(Some).collect();
        Column { name, unit, meaning, values: Arc::new(values), nullable: false }
    }

    /// A column of numbers that can be missing.
    pub(crate) fn optional(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = Option<u64>>,
    ) -> Column {
        let values: UInt64Array = values.collect();
        Column { name, unit, meaning, values: Arc::new(values), nullable: true }
    }

    fn field(&self) -> Field {
        let kind: DataType = self.values.data_type().clone();
        let metadata = [("unit", self.unit), ("meaning", self.meaning)];
        Field::new(self.name, kind, self.nullable).with_metadata(metadata)
    }
}

/// The columns as a Parquet file.
///
/// # Panics
/// If the columns differ in length.
pub(crate) fn parquet(title: &str, columns: Vec<Column>) -> Vec<u8> {
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    let metadata = [("title", title), ("schema_version", SCHEMA_VERSION)];
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let values = columns.into_iter().map(|column| column.values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), values).expect("equal columns");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a valid schema");
    writer.write(&batch).expect("memory takes every write");
    writer.into_inner().expect("memory takes every write")
}
