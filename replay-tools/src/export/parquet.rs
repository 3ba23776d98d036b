//! Parquet: the same columns as CSV, numbers and instants as such. Written by columns, without Arrow.

use std::{path::Path, sync::Arc};

use event_store::Recorded;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::{
    Sink,
    output::{Output, Written},
    table::{TEXTS, texts},
};
use crate::{event::Event, failure::Failure};

/// How many events make a row group: they are in memory until it is written.
const GROUP: usize = 20_000;

/// A Parquet file.
pub(super) struct Parquet {
    writer: SerializedFileWriter<Output>,
    numbers: [Vec<i64>; 3],
    texts: Vec<Vec<Option<String>>>,
}

impl Parquet {
    pub(super) fn create(folder: &Path) -> Result<Self, Failure> {
        let texts: String = TEXTS.iter().map(|name| format!("optional binary {name} (STRING);\n")).collect();
        let schema = format!(
            "message event {{ required int64 position; required int64 sequence;
             required int64 recorded_at (TIMESTAMP(MICROS, true)); {texts} }}"
        );
        let schema = parse_message_type(&schema).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let output = Output::create(folder, "events.parquet")?;
        let writer =
            SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Parquet { writer, numbers: Default::default(), texts: vec![Vec::new(); TEXTS.len()] })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for values in &mut self.numbers {
            if let Some(mut column) = group.next_column()? {
                column.typed::<Int64Type>().write_batch(values, None, None)?;
                column.close()?;
            }
            values.clear();
        }
        for values in &mut self.texts {
            if let Some(mut column) = group.next_column()? {
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let present: Vec<ByteArray> =
                    values.drain(..).flatten().map(|text| ByteArray::from(text.into_bytes())).collect();
                column.typed::<ByteArrayType>().write_batch(&present, Some(&levels), None)?;
                column.close()?;
            }
        }
        group.close()?;
        Ok(())
    }
}

impl Sink for Parquet {
    fn write(&mut self, _: &Recorded, event: &Event) -> Result<(), Failure> {
        let [positions, sequences, instants] = &mut self.numbers;
        positions.push(event.position.cast_signed());
        sequences.push(event.sequence.cast_signed());
        instants.push(event.recorded_at.as_microsecond());
        for (column, text) in self.texts.iter_mut().zip(texts(event)) {
            column.push(text);
        }
        if self.numbers[0].len() == GROUP { self.write_group().map_err(failed) } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<Written, Failure> {
        if !self.numbers[0].is_empty() {
            self.write_group().map_err(failed)?;
        }
        Ok(self.writer.into_inner().map_err(failed)?.finish()?)
    }
}

fn failed(error: ParquetError) -> Failure {
    Failure::Output(std::io::Error::other(error))
}
