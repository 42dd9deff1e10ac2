//! Files that people take out: page by page, and harmless where they are opened.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::ContentDisposition;
use actix_web::web::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Permission;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::{JournalError, Reader};
use crate::letters::is_invisible;

/// How an export is written.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// Comma-separated, with a line of names.
    Csv,
}

/// In which form.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Form {
    /// `ndjson` or `csv`.
    #[param(inline)]
    pub format: Format,
}

/// Page by page: a million rows are never in memory together, and others' reads come in between. `page`
/// reads one, behind a cursor.
///
/// # Errors
/// Busy (429): they take out as much as one may at a time.
pub fn streamed<C, P>(
    taker: Taker<'_>,
    name: &str,
    format: Format,
    page: P,
) -> Result<HttpResponse, ApiError>
where
    C: Clone + Send + 'static,
    P: Fn(&Reader, Option<C>) -> Result<(Vec<u8>, Option<C>), JournalError> + Send + Sync + 'static,
{
    let Taker { web, caller, permission } = taker;
    let (directory, reads) = (web.directory.clone(), web.reads.clone());
    let place = Arc::new(reads.place_of_export(&caller.agent)?);
    let page = Arc::new(page);
    let pages = stream::unfold(Some((None, true)), move |position| {
        let (page, reads, caller) = (page.clone(), reads.clone(), caller.clone());
        let (directory, place) = (directory.clone(), place.clone());
        async move {
            let _place = place;
            let (cursor, is_first): (Option<C>, bool) = position?;
            let who = &caller.agent;
            let read = || {
                let (page, cursor) = (page.clone(), cursor.clone());
                let (caller, directory) = (caller.clone(), directory.clone());
                reads.run(who, Reach::All, move |reader: &Reader| {
                    // They may be somebody else by now, and have been sent away.
                    caller.renewed_by(&directory, reader)?.must(permission)?;
                    page(reader, cursor).map_err(ApiError::from)
                })
            };
            // Whoever has begun to take a file out gets it to its end, if not at once.
            let mut found = read().await;
            while matches!(found, Err(ApiError::Busy(_))) {
                found = read().await;
            }
            match found {
                Ok((mut bytes, next)) => {
                    if !is_first && matches!(format, Format::Csv) {
                        // The names stand once, at the top.
                        let names =
                            bytes.iter().position(|byte| *byte == b'\n').map_or(0, |n| n + 1);
                        bytes.drain(..names);
                    }
                    let is_still_first = is_first && bytes.is_empty();
                    let next = next.map(|next| (Some(next), is_still_first));
                    Some((Ok(Bytes::from(bytes)), next))
                }
                Err(error) => {
                    tracing::error!(%error, "an export was broken off");
                    Some((Err(actix_web::error::ErrorServiceUnavailable("")), None))
                }
            }
        }
    });
    let (content_type, end) = match format {
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(ContentDisposition::attachment(format!("{name}.{end}")))
        .streaming(pages))
}

/// Who takes something out.
pub struct Taker<'a> {
    /// Where.
    pub web: &'a Web,
    /// Who.
    pub caller: Caller,
    /// What they need for it, until the end.
    pub permission: Permission,
}

/// Rows of a page: whoever reads slowly holds one.
pub const PAGE: u32 = 50;

/// One object a line.
pub fn json_lines<T: Serialize>(items: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        serde_json::to_writer(&mut bytes, item).expect("plain data becomes JSON");
        bytes.push(b'\n');
    }
    bytes
}

/// A line of names, and a line for each.
pub fn csv<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for item in items {
        writer.serialize(item).expect("flat data becomes a line");
    }
    let plain = writer.into_inner().expect("writing to memory can't fail");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(plain.as_slice());
    let mut safe = csv::Writer::from_writer(Vec::new());
    for record in reader.records() {
        let record = record.expect("it was written just now");
        let fields = record.iter().map(as_text);
        safe.write_record(fields).expect("writing to memory can't fail");
    }
    safe.into_inner().expect("writing to memory can't fail")
}

/// A spreadsheet takes what begins so for a formula, and what customers write would be run by whoever
/// opens the file. Numbers, also those of telephones, aren't formulas.
fn as_text(field: &str) -> String {
    // Some take it for one behind blanks and what nobody sees, too, or in signs of full width, and some split at
    // semicolons and tabs whatever stands around.
    let starts = |part: &str| {
        part.trim_start_matches(is_invisible).starts_with([
            '=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫',
        ])
    };
    let begins = starts(field)
        || field.starts_with(['\t', '\r'])
        || field.split([';', '\t']).skip(1).any(starts);
    let is_number = field.chars().skip(1).all(|c| c.is_ascii_digit() || " .".contains(c));
    match begins && !(field.starts_with(['+', '-']) && is_number) {
        true => format!("'{field}"),
        false => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONV-09
    #[test]
    fn what_customers_write_is_no_formula() {
        for formula in [
            "=HYPERLINK(\"x\")",
            "+1+1",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            " =1",
            "x;=1+1",
            "＝1+1",
            "\u{200b}=1",
            "\u{2066}=1",
            "a\t=1",
        ] {
            assert_eq!(as_text(formula), format!("'{formula}"));
        }
        for text in ["+14255550100", "-5", "hello", "", "a=1", "a; b"] {
            assert_eq!(as_text(text), text);
        }
        #[derive(Serialize)]
        struct Line {
            text: &'static str,
        }
        let lines = csv([Line { text: "=1,\n2" }, Line { text: "fine" }].into_iter());
        assert_eq!(String::from_utf8(lines).unwrap(), "text\n\"'=1,\n2\"\nfine\n");
    }
}
