//! Tables with meanings and units inside: as Parquet, CSV, or lines of JSON.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// Version of the schemas; it grows when a column changes its meaning or goes, or tables are arranged anew, not when a column is
/// added.
pub const SCHEMA_VERSION: &str = "2";

/// A column: its name, unit, meaning and values.
#[derive(Clone, Debug)]
pub struct Column {
    name: Cow<'static, str>,
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
        Column { name: name.into(), unit: "", meaning, values: Arc::new(values), nullable: false }
    }

    /// A column of whole numbers.
    pub(crate) fn numbers(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = u64>,
    ) -> Column {
        let values: UInt64Array = values.map(Some).collect();
        Column { name: name.into(), unit, meaning, values: Arc::new(values), nullable: false }
    }

    /// A column of whole numbers that can be missing.
    pub(crate) fn optional(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = Option<u64>>,
    ) -> Column {
        let values: UInt64Array = values.collect();
        Column { name: name.into(), unit, meaning, values: Arc::new(values), nullable: true }
    }

    /// A column of numbers that can be missing.
    pub(crate) fn reals(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = Option<f64>>,
    ) -> Column {
        let values: Float64Array = values.collect();
        Column { name: name.into(), unit, meaning, values: Arc::new(values), nullable: true }
    }

    /// A column of text whose name is known only now.
    pub(crate) fn named(
        name: String,
        meaning: &'static str,
        values: impl Iterator<Item = String>,
    ) -> Column {
        Column { name: name.into(), ..Column::text("", meaning, values) }
    }

    /// A column of numbers whose name is known only now.
    pub(crate) fn named_reals(
        name: String,
        unit: &'static str,
        meaning: &'static str,
        values: impl Iterator<Item = Option<f64>>,
    ) -> Column {
        Column { name: name.into(), ..Column::reals("", unit, meaning, values) }
    }

    fn field(&self) -> Field {
        let kind: DataType = self.values.data_type().clone();
        let metadata = [("unit", self.unit), ("meaning", self.meaning)];
        Field::new(self.name.as_ref(), kind, self.nullable).with_metadata(metadata)
    }
}

/// What `ultraloom schema` says of a column.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Described {
    /// Its name.
    pub name: Cow<'static, str>,
    /// `text`, `whole number` or `number`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether a value can be missing.
    pub optional: bool,
    /// Unit; empty where there is none.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// A table of records.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name of its file, without ending.
    pub name: &'static str,
    /// What a row is.
    pub title: &'static str,
    columns: Vec<Column>,
}

/// A form in which tables are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a head.
    Csv,
    /// An object a line.
    Json,
}

impl Format {
    /// The ending of its files.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Json => "jsonl",
        }
    }
}

impl Table {
    pub(crate) fn new(name: &'static str, title: &'static str, columns: Vec<Column>) -> Table {
        Table { name, title, columns }
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// What its columns are.
    pub fn describe(&self) -> Vec<Described> {
        let kind = |column: &Column| match column.values.data_type() {
            DataType::Utf8 => "text",
            DataType::UInt64 => "whole number",
            _ => "number",
        };
        let described = |column: &Column| Described {
            name: column.name.clone(),
            kind: kind(column),
            optional: column.nullable,
            unit: column.unit,
            meaning: column.meaning,
        };
        self.columns.iter().map(described).collect()
    }

    /// The table in a form.
    ///
    /// # Panics
    /// If the columns differ in length.
    pub fn encode(self, format: Format) -> Vec<u8> {
        let fields: Vec<Field> = self.columns.iter().map(Column::field).collect();
        let metadata = [
            ("title", format!("Ultraloom {}: {}", self.name, self.title)),
            ("schema_version", SCHEMA_VERSION.to_owned()),
        ];
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let values = self.columns.into_iter().map(|column| column.values).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), values).expect("equal columns");
        match format {
            Format::Parquet => parquet(schema, &batch),
            Format::Csv => csv(&batch),
            Format::Json => json(&batch),
        }
    }
}

fn parquet(schema: Arc<Schema>, batch: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("ultraloom".to_owned())
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a valid schema");
    writer.write(batch).expect("memory takes every write");
    writer.into_inner().expect("memory takes every write")
}

fn csv(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_csv::Writer::new(Vec::new());
    writer.write(batch).expect("memory takes every write");
    writer.into_inner()
}

fn json(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
    writer.write(batch).expect("memory takes every write");
    writer.finish().expect("memory takes every write");
    writer.into_inner()
}
