//! Why routing did what it did (ROUTE-15), what waits (ROUTE-14, ROUTE-16), and what rules may know.

use std::collections::{BTreeMap, VecDeque};

use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use cordboard_core::Conversation;
use cordboard_core::classification::{Attributes, Classification, Flags};
use cordboard_core::conversation::{Input, State, Summary};
use cordboard_core::decision::Decision;
use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::presence::Presence;
use cordboard_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::{Change, Deliver, Directory, LookAtLine, Seen, To, WhyNot, place_in_line};
use crate::config::{Config, LabelConfig, Permission};
use crate::http::api::{Answer, Done, done, seen, stored};
use crate::http::caller::Caller;
use crate::http::error::{ApiError, ErrorBody, success};
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::http::{commands, content};
use crate::reload::ReloadError;

/// What this file serves.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/conversations/{id}/why").route(web::get().to(why)))
        .service(resource("/conversations/{id}/attributes").route(web::put().to(set_attributes)))
        .service(resource("/agents/{id}/why-not").route(web::get().to(why_not)))
        .service(resource("/waiting").route(web::get().to(waiting)))
        .service(resource("/desk").route(web::get().to(desk)))
        .service(resource("/config/reload").route(web::post().to(reload)));
}

/// Records of decisions in one answer, the newest.
const MOST_DECISIONS: u32 = 500;
/// What happened, in sentences; the newest so many.
const MOST_STEPS: usize = 500;

/// Where an item stands now.
#[derive(Serialize, ToSchema)]
pub struct Place {
    /// In which queue.
    queue: String,
    /// From 1; none: it is being offered.
    position: Option<usize>,
    /// Items in the line.
    waiting: usize,
    /// How long it will probably wait from now on, in milliseconds: the mean time between two items
    /// that leave this line to an agent, times the position. None before anybody has waited.
    estimated_wait_ms: Option<i64>,
}

/// Somebody who was passed over.
#[derive(Serialize, ToSchema)]
pub struct PassedOverView {
    /// Who.
    agent: String,
    /// Why, in a sentence.
    sentence: String,
}

/// One step of a conversation's way to an agent.
#[derive(Serialize, ToSchema)]
pub struct Step {
    /// When.
    at: Timestamp,
    /// What happened, in a sentence.
    sentence: String,
    /// Who was looked at and passed over; at most 16.
    passed_over: Vec<PassedOverView>,
}

/// Why a conversation is where it is.
#[derive(Serialize, ToSchema)]
pub struct Why {
    /// Which.
    conversation: Uuid,
    /// Its state.
    state: State,
    /// Its primary agent.
    agent: Option<String>,
    /// How it ended, as the agent's wrap-up says (CONV-08).
    disposition: Option<String>,
    /// What it was about.
    summary: Option<String>,
    /// What it was classified as, and by which rules.
    classification: Classification,
    /// Where it stands in line; none: it isn't waiting.
    place: Option<Place>,
    /// What happened, oldest first.
    steps: Vec<Step>,
}

/// Why a conversation is where it is: rules, queues, agents considered.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/why",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 200, body = Why), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn why(web: Data<Web>, caller: Caller, path: Path<Uuid>) -> Answer<Why> {
    let id = ConversationId(*path);
    web.directory.recorder.flushed().await;
    let directory = web.directory.clone();
    let who = caller.agent.clone();
    let read = web.reads.run(&who, Reach::Part, move |reader| {
        let machine = seen(reader, &directory, &caller, id)?;
        // The newest: a conversation of years has no end of them.
        let mut steps = VecDeque::new();
        reader.each_event(id, |at, event| {
            let Some(sentence) = event.sentence() else { return };
            if steps.len() == MOST_STEPS {
                steps.pop_front();
            }
            steps.push_back(Step { at, sentence, passed_over: Vec::new() });
        })?;
        let decisions = reader.decisions(id, MOST_DECISIONS)?;
        Ok::<_, ApiError>((machine, Vec::from(steps), decisions))
    });
    let (machine, mut steps, decisions) = read.await?;
    let config = web.directory.config();
    steps.extend(decisions.into_iter().map(|decision| step_of(&config, decision)));
    steps.sort_by_key(|step| step.at);
    let end = machine.summary();
    Ok(Json(Why {
        conversation: id.0,
        state: machine.state(),
        agent: machine.primary().map(|agent| name_of(&config, agent)),
        disposition: end.disposition,
        summary: end.summary,
        classification: machine.classification().clone(),
        place: place(&web.directory, machine.queue(), id).await,
        steps,
    }))
}

fn step_of(config: &Config, decision: Decision) -> Step {
    let sentence = decision.sentence();
    let passed_over = decision.considered.into_iter().map(|(agent, why)| PassedOverView {
        agent: name_of(config, &agent),
        sentence: why.to_string(),
    });
    Step { at: decision.at, sentence, passed_over: passed_over.collect() }
}

/// What people call an agent.
fn name_of(config: &Config, id: &AgentId) -> String {
    config.agent(id).map_or_else(|| id.to_string(), |agent| agent.name.clone())
}

async fn place(directory: &Directory, queue: &QueueId, id: ConversationId) -> Option<Place> {
    let place = place_in_line(directory, queue, id).await?;
    Some(Place {
        queue: queue.to_string(),
        position: place.position,
        waiting: place.waiting,
        estimated_wait_ms: place.estimate.map(|wait| wait.0),
    })
}

/// Which conversation.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct About {
    conversation: Uuid,
}

/// Why an agent doesn't have a conversation.
#[derive(Serialize, ToSchema)]
pub struct WhyNotView {
    /// Who.
    agent: String,
    /// They could have it: nothing keeps it from them.
    could: bool,
    /// In a sentence.
    sentence: String,
}

/// Why an agent doesn't have a conversation (supervisors; agents ask about themselves).
#[utoipa::path(get, path = "/api/v1/agents/{id}/why-not", params(About,
    ("id" = String, Path, description = "the agent")), responses(
    (status = 200, body = WhyNotView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn why_not(
    web: Data<Web>,
    caller: Caller,
    path: Path<String>,
    query: Query<About>,
) -> Answer<WhyNotView> {
    caller.must_read()?;
    let agent = AgentId::from(path.as_str());
    if agent != caller.agent {
        caller.must(Permission::ReadAgents)?;
        caller.noted(&web.directory, "agent.read", agent.as_str(), Some("why not")).await?;
    }
    let config = web.directory.config();
    let settings = config.agent(&agent);
    let settings = settings.ok_or_else(|| ApiError::NotFound(format!("agent `{agent}`")))?;
    let id = ConversationId(query.conversation);
    if !commands::knows_of(&web.directory, &caller, id).await? {
        return Err(ApiError::NotFound("such conversation".to_owned()));
    }
    web.directory.recorder.flushed().await;
    let own = web.directory.clone();
    let read = web.directory.journal.read(move |reader| {
        let decisions = reader.decisions(id, MOST_DECISIONS)?;
        Ok::<_, ApiError>((stored(reader, &own, id)?, decisions))
    });
    let (machine, decisions) = read.await?;
    let name = name_of(&config, &agent);
    let (could, sentence) = if machine.primary() == Some(&agent) {
        (true, format!("{name} has it"))
    } else if settings.settings.light {
        (false, format!("{name} is a light agent and takes no work"))
    } else if machine.state() == State::Open {
        in_queue(&web.directory, &machine, &agent, &name).await
    } else {
        (false, in_record(&decisions, &config, &machine, &agent, &name))
    };
    Ok(Json(WhyNotView { agent: agent.to_string(), could, sentence }))
}

/// While it waits, the queue says it.
async fn in_queue(
    directory: &Directory,
    machine: &Conversation,
    agent: &AgentId,
    name: &str,
) -> (bool, String) {
    let (id, queue) = (machine.id(), machine.queue());
    let Some(actor) = directory.queue(queue) else {
        return (false, format!("the queue {queue} is configured no longer"));
    };
    let answer = actor.send(WhyNot { agent: agent.clone(), conversation: id }).await;
    match answer.ok().flatten() {
        Some(passed_over) => (false, format!("{name}: {passed_over}")),
        None => (true, format!("{name} could have it; it is being offered, or waits for its turn")),
    }
}

/// Once it is somebody's, the records of its decisions say it, the last word first.
fn in_record(
    decisions: &[Decision],
    config: &Config,
    machine: &Conversation,
    agent: &AgentId,
    name: &str,
) -> String {
    let word = decisions.iter().rev().find_map(|decision| {
        let (_, why) = decision.considered.iter().find(|(who, _)| who == agent)?;
        Some(format!("{name}: {why}"))
    });
    if let Some(word) = word {
        return word;
    }
    let is_member =
        config.agent(agent).is_some_and(|a| a.settings.queues.contains(machine.queue()));
    if !is_member {
        return format!("{name} isn't a member of {}", machine.queue());
    }
    let holder = machine.last_agent().map_or("somebody".to_owned(), |a| name_of(config, a));
    let strategy = decisions.last().map_or("the strategy", |decision| decision.strategy.as_str());
    format!("{name} wasn't looked at: {holder} came first by {strategy}")
}

/// Which waiting items.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Line {
    /// Of this queue; of all my queues if none is named.
    queue: Option<String>,
    /// The most per queue; 1 to 1000.
    #[serde(default = "default_line")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: u32,
}

fn default_line() -> u32 {
    50
}

/// A waiting item.
#[derive(Serialize, ToSchema)]
pub struct WaitingItem {
    /// From 1.
    position: usize,
    /// The conversation.
    conversation: Summary,
}

/// What waits in my queues, best first; supervisors may look at any queue.
#[utoipa::path(get, path = "/api/v1/waiting", params(Line), responses(
    (status = 200, body = Vec<WaitingItem>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn waiting(
    web: Data<Web>,
    caller: Caller,
    query: Query<Line>,
) -> Answer<Vec<WaitingItem>> {
    caller.must_read()?;
    if !(1..=1000).contains(&query.limit) {
        let why = format!("limit is {}; 1 to 1000", query.limit);
        return Err(ApiError::Malformed(why));
    }
    let config = web.directory.config();
    let mine = config.agent(&caller.agent).map(|agent| agent.settings.queues.clone());
    let mine = mine.unwrap_or_default();
    let queues = match &query.queue {
        None => mine,
        Some(name) => {
            let queue = QueueId::from(name.as_str());
            if !mine.contains(&queue) {
                caller.must(Permission::ReadConversations)?;
                caller.noted(&web.directory, "queue.read", queue.as_str(), None).await?;
            }
            vec![queue]
        }
    };
    let mut lines = Vec::new();
    for queue in queues {
        let Some(actor) = web.directory.queue(&queue) else {
            return Err(ApiError::NotFound(format!("queue `{queue}`")));
        };
        let line = actor.send(LookAtLine(query.limit as usize)).await.unwrap_or_default();
        lines.extend(line.into_iter().enumerate());
    }
    let directory = web.directory.clone();
    let read = web.reads.run(&caller.agent, Reach::Part, move |reader| {
        // One may have been taken between the two looks.
        let items =
            lines.into_iter().filter_map(|(index, id)| match stored(reader, &directory, id) {
                Err(ApiError::NotFound(_)) => None,
                found => Some(found.map(|machine| WaitingItem {
                    position: index + 1,
                    conversation: machine.summary(),
                })),
            });
        items.collect::<Result<Vec<_>, ApiError>>()
    });
    let items = read.await?;
    Ok(Json(items))
}

/// All that is known of a conversation beyond its messages; what is left out is known no longer.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AttributesBody {
    /// Language of this customer, as `de`; the channel's if it isn't known.
    language: Option<String>,
    /// Of the contact; names of fields are the configuration's.
    contact: BTreeMap<String, String>,
    /// Of the contact's account.
    account: BTreeMap<String, String>,
    /// From the page, the bot, the caller's headers.
    context: BTreeMap<String, String>,
    /// Reserved flags.
    flags: FlagsBody,
}

/// The flags that are set.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlagsBody {
    /// Known beyond doubt.
    verified_customer: bool,
    /// Has abused us before.
    bad_actor: bool,
    /// Has been here before.
    repeat_customer: bool,
}

impl From<AttributesBody> for Attributes {
    fn from(body: AttributesBody) -> Self {
        let AttributesBody { language, contact, account, context, flags } = body;
        let FlagsBody { verified_customer, bad_actor, repeat_customer } = flags;
        let flags = Flags { verified_customer, bad_actor, repeat_customer };
        Self { language, contact, account, context, flags }
    }
}

/// Tell what is known about the customer: attributes, context, reserved flags (permission
/// `attributes.set`: supervisors, bots and CRM connectors). It replaces what was known; a waiting conversation is classified anew.
#[utoipa::path(put, path = "/api/v1/conversations/{id}/attributes", request_body = AttributesBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "known"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn set_attributes(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Json<AttributesBody>,
) -> Done {
    caller.must(Permission::SetAttributes)?;
    let attributes = Attributes::from(body.into_inner());
    content::check_attributes(&attributes, &web.directory.config().fields)?;
    commands::must_be_there(&web.directory, ConversationId(*path)).await?;
    caller.noted(&web.directory, "attributes.set", &path.to_string(), None).await?;
    let input = Input::Attributes(Box::new(attributes));
    success(web.directory.ask(Deliver::new(To::Id(ConversationId(*path)), input)).await)?;
    Ok(done())
}

/// A colleague.
#[derive(Serialize, ToSchema)]
pub struct Colleague {
    /// The name they sign in with.
    id: String,
    /// For people.
    name: String,
    /// Their status.
    presence: Presence,
    /// Takes no work.
    light: bool,
}

/// A queue that work can be handed to.
#[derive(Serialize, ToSchema)]
pub struct DeskQueue {
    /// Its name in the configuration.
    id: String,
    /// For people.
    name: String,
    /// Items that wait there, if it is one of mine.
    waiting: Option<usize>,
}

/// What a desk needs to know beside its own work.
#[derive(Serialize, ToSchema)]
pub struct DeskView {
    /// Labels to choose from (PRES-01).
    labels: Vec<LabelConfig>,
    /// What I may do beside my own work.
    permissions: Vec<Permission>,
    /// Everybody but me.
    colleagues: Vec<Colleague>,
    /// Every queue.
    queues: Vec<DeskQueue>,
    /// What is wrong with the configuration's files, or with plugins that they name, for supervisors; empty: all of it is in force.
    problems: Vec<String>,
}

/// Labels, permissions, colleagues and queues. A screen asks once: the live socket tells what changes.
#[utoipa::path(get, path = "/api/v1/desk", responses(
    (status = 200, body = DeskView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn desk(web: Data<Web>, caller: Caller) -> Answer<DeskView> {
    caller.must_read()?;
    let config = web.directory.config();
    let board = &web.directory.board;
    let others = config.agents.iter().filter(|agent| agent.id != caller.agent);
    let colleagues = others.filter_map(|agent| {
        let Seen { presence, light } = board.colleague(&agent.id)?;
        Some(Colleague { id: agent.id.to_string(), name: agent.name.clone(), presence, light })
    });
    let colleagues = colleagues.collect();
    let mine = config.agent(&caller.agent).map(|agent| agent.settings.queues.clone());
    let mine = mine.unwrap_or_default();
    let queues = config.queues.iter().map(|queue| {
        let is_mine = mine.contains(&queue.id);
        DeskQueue {
            id: queue.id.to_string(),
            name: queue.name.clone(),
            waiting: is_mine.then(|| board.line(&queue.id)),
        }
    });
    let sees_problems = caller.may(Permission::Alerts);
    let problems = web.reloader.problems();
    let problems = problems.iter().map(ToString::to_string).chain(web.directory.plugins.problems());
    Ok(Json(DeskView {
        labels: config.labels.clone(),
        permissions: caller.permissions().collect(),
        colleagues,
        queues: queues.collect(),
        problems: problems.filter(|_| sees_problems).collect(),
    }))
}

/// Read the configuration again now (permission `config.reload`). Files that are wrong change nothing.
#[utoipa::path(post, path = "/api/v1/config/reload", responses(
    (status = 200, body = Change), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn reload(web: Data<Web>, caller: Caller) -> Answer<Change> {
    caller.must(Permission::Reload)?;
    caller.noted(&web.directory, "config.reload", "configuration", None).await?;
    let (reloader, by) = (web.reloader.clone(), caller.agent.to_string());
    let reloaded = web::block(move || reloader.reload(&by)).await;
    let stopping = |_| ApiError::Unavailable("the host is stopping".to_owned());
    match reloaded.map_err(stopping)? {
        Ok(change) => Ok(Json(change)),
        Err(ReloadError::Wrong(errors)) => Err(ApiError::WrongConfig(errors.to_string())),
        Err(error @ ReloadError::Busy) => Err(ApiError::Busy(error.to_string())),
        Err(error @ (ReloadError::Unreadable(_) | ReloadError::HalfWay(_))) => {
            Err(ApiError::Unavailable(error.to_string()))
        }
    }
}
