//! For operators' programs: health, readiness, metrics.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::http::server::Web;

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// The host can do its work: the journal commits and every channel is loaded.
pub async fn ready(web: Data<Web>) -> HttpResponse {
    let mut problems = Vec::new();
    if let Some(problem) = web.directory.journal.health().problem() {
        problems.push(format!("the journal can't commit: {problem}"));
    }
    for channel in &web.directory.config().channels {
        if let Some(Err(why)) = web.directory.channel(&channel.id).map(|slot| slot.state.clone()) {
            problems.push(format!("channel {} isn't loaded: {why}", channel.id));
        }
    }
    if problems.is_empty() {
        return HttpResponse::Ok().body("ready\n");
    }
    HttpResponse::ServiceUnavailable().body(problems.join("\n") + "\n")
}

/// Prometheus' text format.
pub async fn metrics(web: Data<Web>) -> HttpResponse {
    let directory = &web.directory;
    let (commits, appends) = directory.journal.health().counts();
    let mut further = vec![
        ("cordboard_journal_commits_total".to_owned(), commits as f64),
        ("cordboard_journal_writes_total".to_owned(), appends as f64),
        ("cordboard_outbox_backlog".to_owned(), web.backlog.len() as f64),
    ];
    for channel in &directory.config().channels {
        let Some(Ok(handle)) = directory.channel(&channel.id).map(|slot| slot.state.clone()) else {
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
