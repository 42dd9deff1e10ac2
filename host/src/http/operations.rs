//! For operators' programs: health, readiness, metrics.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};

use crate::actors::Directory;
use crate::http::server::Web;

/// The paths.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/health/live").route(web::get().to(alive)))
        .service(web::resource("/health/ready").route(web::get().to(ready)))
        .service(web::resource("/metrics").route(web::get().to(metrics)));
}

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// The host can do its work: every part is alive, the journal commits and every channel is loaded.
pub async fn ready(web: Data<Web>) -> HttpResponse {
    let mut problems = parts_that_are_silent(&web.directory).await;
    if let Some(problem) = web.directory.journal.health().problem() {
        problems.push(problem);
    }
    if let Some(problem) = web.directory.journal.health().unreadable() {
        problems.push(format!("the journal couldn't be read: {problem}"));
    }
    for channel in &web.directory.config().channels {
        // Why, with paths of this machine, is for the log and for those who are signed in.
        if web.directory.plugins.channel(&channel.id).is_some_and(|slot| slot.state.is_err()) {
            problems.push(format!("channel {} isn't loaded; the log says why", channel.id));
        }
    }
    if problems.is_empty() {
        return HttpResponse::Ok().body("ready\n");
    }
    HttpResponse::ServiceUnavailable().body(problems.join("\n") + "\n")
}

/// Everybody is asked at once, and has a moment to answer.
async fn parts_that_are_silent(directory: &Directory) -> Vec<String> {
    const MOMENT: Duration = Duration::from_secs(2);
    let silent = directory.silent_parts(MOMENT).await;
    silent.into_iter().map(|part| format!("{part} doesn't answer")).collect()
}

/// Prometheus' text format.
pub async fn metrics(web: Data<Web>) -> HttpResponse {
    let directory = &web.directory;
    let (commits, appends) = directory.journal.health().counts();
    let mut further = vec![
        ("cordboard_journal_commits_total".to_owned(), commits as f64),
        ("cordboard_journal_writes_total".to_owned(), appends as f64),
        ("cordboard_journal_waiting".to_owned(), directory.journal.health().waiting() as f64),
        (
            "cordboard_journal_lag_seconds".to_owned(),
            directory.journal.health().lag().as_secs_f64(),
        ),
        ("cordboard_texts_unindexed".to_owned(), directory.journal.unindexed() as f64),
        ("cordboard_journal_panics_total".to_owned(), directory.journal.health().panics() as f64),
        (
            "cordboard_journal_reads_failed_total".to_owned(),
            directory.journal.health().reads_failed() as f64,
        ),
        ("cordboard_outbox_backlog".to_owned(), web.backlog.len() as f64),
        ("cordboard_alarms".to_owned(), directory.alarms.count() as f64),
        ("cordboard_connections".to_owned(), web.door.inside() as f64),
    ];
    for (part, count) in directory.waiting.counts() {
        further.push((format!("cordboard_inputs_waiting{{part=\"{part}\"}}"), count as f64));
    }
    for channel in &directory.config().channels {
        let Some(Ok(handle)) =
            directory.plugins.channel(&channel.id).map(|slot| slot.state.clone())
        else {
            continue;
        };
        let id = &channel.id;
        let gauge = |name: &str| format!("{name}{{channel=\"{id}\"}}");
        further.push((gauge("cordboard_plugin_calls_total"), handle.calls() as f64));
        further.push((gauge("cordboard_plugin_panics_total"), handle.panics() as f64));
        further.push((gauge("cordboard_webhooks_rejected_total"), handle.rejected() as f64));
    }
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(directory.metrics.render(&further))
}
