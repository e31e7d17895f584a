//! Lists as JSON lines or CSV (`?format=jsonl|csv`): as long as they are, a page in memory at a time.

use std::future::Future;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;

use super::super::error::ApiError;
use super::super::extract::Params;
use super::super::store::StoreError;
use crate::runtime::text::{display, no_formula, safe_json};

/// Rows of one page.
pub(super) const PAGE: u32 = 1000;

/// How a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object with a page of the list in it.
    Json,
    /// The whole list, one JSON object a line.
    Jsonl,
    /// The whole list as a table (RFC 4180).
    Csv,
}

impl Format {
    /// What `?format=` says.
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        match params.text("format") {
            None | Some("json") => Ok(Self::Json),
            Some("jsonl") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(ApiError::bad_request("format must be json, jsonl or csv")),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// What can be a row of a table.
pub(super) trait Row: Serialize {
    /// Names of the columns.
    const COLUMNS: &'static [&'static str];

    /// A text for each column.
    fn cells(&self) -> Vec<String>;
}

/// How many rows there may still be, and where they go on.
#[derive(Debug, Clone)]
struct Rest<C> {
    rows: u64,
    cursor: C,
}

/// Streams a list of at most so many rows: `page` gets a cursor and the size of a page, and gives
/// its rows and the next cursor. An answer that cannot be finished is cut off, so that nobody takes
/// it for whole.
pub(super) fn stream<T, C, F, P>(format: Format, rows: u64, first: C, page: F) -> Response
where
    T: Row + Send,
    C: Send + 'static,
    F: Fn(C, u32) -> P + Clone + Send + 'static,
    P: Future<Output = Result<(Vec<T>, Option<C>), StoreError>> + Send,
{
    let head = match format {
        Format::Csv => csv(T::COLUMNS.iter().map(|c| (*c).to_owned())),
        Format::Json | Format::Jsonl => Vec::new(),
    };
    let rest = Some(Rest {
        rows,
        cursor: first,
    });
    let pages = stream::try_unfold(rest, move |rest| {
        let page = page.clone();
        async move {
            let Some(Rest { rows, cursor }) = rest.filter(|r| r.rows > 0) else {
                return Ok(None);
            };
            let size = u32::try_from(rows).unwrap_or(PAGE).min(PAGE);
            let (items, next) = page(cursor, size).await?;
            let mut text = Vec::new();
            for item in &items {
                match format {
                    Format::Csv => text.extend(csv(item.cells().into_iter().map(harmless))),
                    Format::Json | Format::Jsonl => {
                        let line = serde_json::to_string(item)
                            .map_err(|e| StoreError::Internal(e.to_string()))?;
                        text.extend(safe_json(line).into_bytes());
                        text.push(b'\n');
                    }
                }
            }
            let rows = rows.saturating_sub(items.len() as u64);
            let rest = next.map(|cursor| Rest { rows, cursor });
            Ok::<_, StoreError>(Some((Bytes::from(text), rest)))
        }
    });
    let all = stream::once(async move { Ok(Bytes::from(head)) });
    let body = Body::from_stream(futures_util::StreamExt::chain(all, pages));
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// One line of CSV.
fn csv(cells: impl IntoIterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// JSON in a cell; nothing where there is none.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// Texts come from strangers, and a table goes to spreadsheets and terminals. Its lines stay lines.
fn harmless(cell: String) -> String {
    let lines: Vec<_> = cell
        .split('\n')
        .map(|line| display(line, usize::MAX))
        .collect();
    no_formula(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        let cells = [
            "=1+1",
            "a,b",
            "say \"x\"",
            "-2",
            " @x",
            "a;+x",
            "b\n\u{9b}=x",
            "",
        ];
        let line = csv(cells.map(|c| harmless(c.to_owned())));
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "'=1+1,\"a,b\",\"say \"\"x\"\"\",'-2,' @x,a;'+x,\"b\n\\x9b=x\",\n"
        );
    }
}
