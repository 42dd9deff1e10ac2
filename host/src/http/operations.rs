//! For operators' programs: health, readiness, metrics.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};

use crate::actors::{Directory, LookAtQueue, QueueView};
use crate::clock;
use crate::http::server::Web;
use crate::plugin::{Instance, loaded_libraries};

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
    if let Some(damaged) = web.directory.journal.health().damaged() {
        problems.push(format!("the journal is damaged ({damaged}); the log says what helps"));
    }
    if web.directory.journal.health().blind().is_some() {
        problems.push("the journal's files can't be looked at; the log says why".to_owned());
    }
    for channel in &web.directory.config().channels {
        // Why, with paths of this machine, is for the log and for those who are signed in.
        if web.directory.plugins.channel(&channel.id).is_some_and(|slot| slot.state.is_err()) {
            problems.push(format!("channel {} isn't loaded; the log says why", channel.id));
        }
    }
    let standing = web.directory.plugins.those(Instance::stands_still).into_iter();
    problems.extend(standing.map(|which| {
        format!("the plugin of {which} keeps its threads to itself; the log says how")
    }));
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

/// What somebody who is woken asks first: who waits, since when, and for how many. A queue that doesn't answer in time
/// is left out; readiness names it.
async fn of_queues(directory: &Directory) -> Vec<(String, f64)> {
    const MOMENT: Duration = Duration::from_secs(1);
    let config = directory.config();
    let queues = config.queues.iter().filter_map(|queue| directory.queue(&queue.id));
    let asked = queues.map(|queue| async move {
        tokio::time::timeout(MOMENT, queue.send(LookAtQueue)).await.ok()?.ok()
    });
    let views = futures_util::future::join_all(asked).await;
    let now = clock::now();
    let of = |view: QueueView| {
        let gauge = |name: &str| format!("cordboard_queue_{name}{{queue=\"{}\"}}", view.id);
        let oldest = view.oldest.map_or(0, |since| now.0.saturating_sub(since.0).max(0));
        [
            (gauge("waiting"), view.items as f64),
            (gauge("oldest_wait_seconds"), oldest as f64 / 1000.0),
            (gauge("signed_in"), view.signed_in as f64),
        ]
    };
    views.into_iter().flatten().flat_map(of).collect()
}

/// Whoever runs it for a year sees what fills the disk. What can't be read now is left out; readiness says why.
async fn of_what_grows(directory: &Directory) -> Vec<(String, f64)> {
    const MOMENT: Duration = Duration::from_secs(1);
    let data = directory.config().host.data.clone();
    let sizes = directory.journal.look(move |reader| reader.sizes(&data));
    let Ok(Ok(sizes)) = tokio::time::timeout(MOMENT, sizes).await else { return Vec::new() };
    let files = sizes
        .files
        .into_iter()
        .map(|(file, bytes)| (format!("cordboard_journal_bytes{{file=\"{file}\"}}"), bytes as f64));
    let rows = sizes
        .rows
        .into_iter()
        .map(|(table, rows)| (format!("cordboard_journal_rows{{table=\"{table}\"}}"), rows as f64));
    files.chain(rows).collect()
}

/// What each does, and what their exchange leaves behind.
fn of_plugins(directory: &Directory) -> Vec<(String, f64)> {
    let plugins = &directory.plugins;
    let (kept, (libraries, bytes)) = (plugins.kept(), loaded_libraries());
    let stuck = plugins.those(Instance::is_stuck).len();
    let mut further = vec![
        ("cordboard_plugin_instances{state=\"on_trial\"}".to_owned(), kept.on_trial as f64),
        ("cordboard_plugin_instances{state=\"draining\"}".to_owned(), kept.draining as f64),
        ("cordboard_plugin_instances{state=\"stuck\"}".to_owned(), stuck as f64),
        ("cordboard_plugin_libraries".to_owned(), libraries as f64),
        ("cordboard_plugin_libraries_bytes".to_owned(), bytes as f64),
    ];
    for slot in plugins.slots() {
        let (label, id) = (slot.kind().as_str(), slot.id());
        let of = slot.counters.all();
        further
            .extend(of.map(|(name, count)| (format!("{name}{{{label}=\"{id}\"}}"), count as f64)));
        further.extend(slot.counters.swaps().map(|(outcome, count)| {
            let name = "cordboard_plugin_swaps_total";
            (format!("{name}{{{label}=\"{id}\",outcome=\"{outcome}\"}}"), count as f64)
        }));
    }
    further
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
    further.extend(of_queues(directory).await);
    further.extend(of_what_grows(directory).await);
    further.extend(of_plugins(directory));
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(directory.metrics.render(&further))
}
