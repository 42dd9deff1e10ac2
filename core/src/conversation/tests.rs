//! Tables of inputs and effects.

use std::sync::Arc;

use super::*;
use crate::agent;
use crate::capacity::ChannelKind;
use crate::message::Consent;
use crate::queue;
use crate::time::Span;
use crate::workstream::WrapUpHold;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000);

fn policy(change: impl FnOnce(&mut Workstream)) -> Arc<Workstream> {
    let mut policy =
        Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
    change(&mut policy);
    Arc::new(policy)
}

fn opened(policy: Arc<Workstream>) -> Conversation {
    let opening = Opening {
        channel: "sms".into(),
        customer: "+14255550100".into(),
        own: "+14255550199".into(),
        opted_out: false,
        country: None,
        last_agent: None,
    };
    let id = ConversationId(Uuid::from_u128(1));
    Conversation::open(id, opening, policy, NOW, &mut Effects::new())
}

fn message(text: &str) -> Input {
    Input::Customer(CustomerMessage {
        provider_id: "m".into(),
        text: text.into(),
        media: vec![],
        consent: None,
    })
}

fn offer() -> crate::ids::OfferId {
    crate::ids::OfferId { queue: "support".into(), number: 1 }
}

fn finish(agent: &str) -> Input {
    Input::FinishWrapUp { agent: agent.into(), disposition: None, summary: None }
}

fn reply(agent: &str, text: &str) -> Input {
    Input::Reply(Reply { agent: agent.into(), text: text.into(), media: vec![] })
}

/// Kinds of events, and effects other than screens.
fn step(
    conversation: &mut Conversation,
    input: Input,
    at: i64,
) -> (Vec<&'static str>, Vec<Effect>) {
    let mut fx = Effects::new();
    conversation.handle(input, Timestamp(NOW.0 + at), &mut fx).expect("not refused");
    let mut then = fx.then;
    then.retain(|effect| !matches!(effect, Effect::Screen(..) | Effect::WakeAt(_)));
    (fx.events.iter().map(Event::kind).collect(), then)
}

fn refused(conversation: &mut Conversation, input: Input) -> Refused {
    let mut fx = Effects::new();
    let refused = conversation.handle(input, NOW, &mut fx).expect_err("refused");
    assert!(fx.is_empty());
    refused
}

fn active(policy: Arc<Workstream>) -> Conversation {
    let mut conversation = opened(policy);
    step(&mut conversation, message("hello"), 0);
    step(
        &mut conversation,
        Input::Accept { agent: "kim".into(), offer: offer(), consult: false },
        1,
    );
    assert_eq!(conversation.state(), State::Active);
    conversation
}

// CONV-01
#[test]
fn a_life_from_open_to_closed_and_open_again() {
    let mut conversation = opened(policy(|_| {}));
    let (events, then) = step(&mut conversation, message("hello"), 0);
    assert_eq!(events, ["message_received", "queued"]);
    assert!(
        matches!(&then[..], [Effect::Queue(_, queue::Input::Enqueue(item))] if item.since == NOW)
    );

    let accept = Input::Accept { agent: "kim".into(), offer: offer(), consult: false };
    let (events, then) = step(&mut conversation, accept.clone(), 1);
    assert_eq!(events, ["assigned"]);
    assert!(matches!(
        &then[..],
        [
            Effect::Agent(_, agent::Input::Confirmed { .. }),
            Effect::Queue(_, queue::Input::Taken { .. })
        ]
    ));
    // A second acceptance is turned away: one primary at most.
    let late = Input::Accept { agent: "lee".into(), offer: offer(), consult: false };
    let (events, then) = step(&mut conversation, late, 2);
    assert!(events.is_empty());
    assert!(
        matches!(&then[..], [Effect::Agent(lee, agent::Input::Rejected { .. })] if lee.as_str() == "lee")
    );

    assert_eq!(step(&mut conversation, reply("kim", "hi"), 3).0, ["reply_queued"]);
    let end = Input::End { agent: Some("kim".into()) };
    assert_eq!(step(&mut conversation, end.clone(), 4).0, ["wrap_up_started"]);
    assert_eq!(conversation.state(), State::WrapUp);
    assert!(step(&mut conversation, end, 5).0.is_empty(), "asking twice is harmless");
    let (events, then) = step(&mut conversation, finish("kim"), 6);
    assert_eq!(events, ["closed"]);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Release { .. })]));

    let within = policy(|_| {}).reopen_within.0;
    assert!(conversation.takes_message(Timestamp(NOW.0 + 6 + within)));
    assert!(!conversation.takes_message(Timestamp(NOW.0 + 7 + within)));
    let (events, _) = step(&mut conversation, message("one more"), 1000);
    assert_eq!(events, ["message_received", "reopened", "queued"]);
    assert_eq!(conversation.standing().queued_at, Timestamp(NOW.0 + 1000), "a new wait begins");
}

// CAP-02
#[test]
fn wrap_up_holds_capacity_never_always_or_for_a_time() {
    let releases = |then: &[Effect]| {
        then.iter().any(|e| matches!(e, Effect::Agent(_, agent::Input::Release { .. })))
    };
    let end = || Input::End { agent: Some("kim".into()) };

    let mut never = active(policy(|p| p.wrap_up = WrapUpHold::Never));
    assert!(releases(&step(&mut never, end(), 10).1));
    assert!(!never.occupies());

    let mut always = active(policy(|p| p.wrap_up = WrapUpHold::Always));
    assert!(!releases(&step(&mut always, end(), 10).1));
    let limit = policy(|_| {}).wrap_up_limit.0;
    assert!(step(&mut always, Input::Wake, 10 + limit - 1).0.is_empty());
    assert_eq!(step(&mut always, Input::Wake, 10 + limit).0, ["closed"], "nobody finished it");

    let mut timed = active(policy(|p| p.wrap_up = WrapUpHold::For(Span::seconds(60))));
    assert!(!releases(&step(&mut timed, end(), 10).1));
    assert!(step(&mut timed, Input::Wake, 10 + 59_999).0.is_empty());
    assert!(releases(&step(&mut timed, Input::Wake, 10 + 60_000).1));
    assert_eq!(timed.state(), State::WrapUp, "the agent may still write notes");
}

// ROUTE-09
#[test]
fn silence_frees_capacity_and_a_returning_customer_asks_for_it_again() {
    let mut conversation = active(policy(|_| {}));
    let minutes = |n: i64| n * 60_000;
    // The customer waits for an answer: that isn't silence.
    assert!(step(&mut conversation, Input::Wake, minutes(60)).0.is_empty());
    step(&mut conversation, reply("kim", "hi"), minutes(60));
    assert!(step(&mut conversation, Input::Wake, minutes(70) - 1).0.is_empty());
    assert_eq!(step(&mut conversation, Input::Wake, minutes(70)).0, ["went_idle"]);
    assert!(!conversation.occupies());

    let (events, then) = step(&mut conversation, message("back"), minutes(71));
    assert_eq!(events, ["message_received", "return_asked"]);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Reoccupy { .. })]));
    let (events, then) = step(&mut conversation, message("hello?"), minutes(72));
    assert_eq!((events, then.len()), (vec!["message_received"], 0), "asked once");

    let mut other = conversation.clone();
    assert_eq!(
        step(&mut conversation, Input::Resumed { agent: "kim".into(), question: 1 }, minutes(73)).0,
        ["resumed"]
    );
    assert!(conversation.occupies());
    let (events, _) =
        step(&mut other, Input::ResumeRefused { agent: "kim".into(), question: 1 }, minutes(73));
    assert_eq!(events, ["unassigned", "queued"]);
    assert_eq!((other.state(), other.primary()), (State::Open, None));
}

// CH-11 CH-12 CONV-03
#[test]
fn what_may_not_be_sent_is_refused_with_a_reason() {
    let mut conversation = active(policy(|p| p.max_text = 5));
    let error = refused(&mut conversation, reply("lee", "hi"));
    assert!(
        error.to_string().contains("lee isn't the primary agent")
            && error.to_string().contains("kim is")
    );
    let error = refused(&mut conversation, reply("kim", "éééééé"));
    assert_eq!(error, Refused::TooLong { count: 6, limit: 5 });
    assert!(error.to_string().contains("shorten it by 1"));
    assert_eq!(refused(&mut conversation, reply("kim", "  ")), Refused::Empty);
    step(&mut conversation, Input::OptedOut { opted_out: true }, 5);
    assert!(matches!(refused(&mut conversation, reply("kim", "hi")), Refused::OptedOut { .. }));
}

// CH-12
#[test]
fn a_keyword_on_its_own_is_kept_but_bothers_nobody() {
    let mut conversation = opened(policy(|_| {}));
    let stop = Input::Customer(CustomerMessage {
        provider_id: "m".into(),
        text: "STOP".into(),
        media: vec![],
        consent: Some(Consent::OptOut),
    });
    let (events, then) = step(&mut conversation, stop, 0);
    assert_eq!(events, ["message_received", "consent_changed", "closed"]);
    assert!(then.is_empty());
    assert!(conversation.opted_out());
}

// CONV-04
#[test]
fn a_note_is_kept_from_the_channel() {
    let mut conversation = active(policy(|_| {}));
    let mut fx = Effects::new();
    let note = Input::Note { agent: "kim".into(), text: "psst".into(), as_supervisor: false };
    conversation.handle(note, NOW, &mut fx).unwrap();
    let [Event::NoteAdded { message }] = &fx.events[..] else { panic!("{:?}", fx.events) };
    assert!(message.internal && message.delivery.is_none());
    let others = Input::Note { agent: "lee".into(), text: "psst".into(), as_supervisor: false };
    assert!(matches!(refused(&mut conversation, others), Refused::NotPrimary { .. }));
}

#[test]
fn late_and_repeated_reports_change_nothing() {
    let mut conversation = active(policy(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 1);
    let report = |delivery| Input::Delivery { message: MessageNo(2), delivery };
    assert_eq!(step(&mut conversation, report(Delivery::Unconfirmed), 2).0, ["delivery_changed"]);
    assert_eq!(step(&mut conversation, report(Delivery::Delivered), 3).0, ["delivery_changed"]);
    for late in [Delivery::Sent, Delivery::Delivered, Delivery::Queued] {
        assert!(step(&mut conversation, report(late), 4).0.is_empty());
    }
    let unknown = Input::Delivery { message: MessageNo(9), delivery: Delivery::Sent };
    assert!(step(&mut conversation, unknown, 5).0.is_empty());
}

#[test]
fn a_snapshot_brings_back_the_same_machine() {
    let mut conversation = active(policy(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 1);
    let bytes = rmp_serde::to_vec_named(&conversation).unwrap();
    assert!(bytes.len() < 700, "{} bytes for every idle conversation", bytes.len());
    let back: Conversation = rmp_serde::from_slice(&bytes).unwrap();
    let back = back.with_policy(policy(|_| {}));
    assert_eq!(back.summary(), conversation.summary());
    assert_eq!(back.wake_at(), conversation.wake_at());
}

// CAP-04
#[test]
fn a_late_resumption_doesnt_take_a_place_that_was_given_back() {
    let mut conversation = active(policy(|_| {}));
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 2);
    assert_eq!(step(&mut conversation, message("back"), 3).0, ["message_received", "return_asked"]);
    // Before the agent's machine answers, the agent takes it up by hand and leaves again.
    step(&mut conversation, Input::Rejoin { agent: "kim".into() }, 4);
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 5);
    let (events, then) =
        step(&mut conversation, Input::Resumed { agent: "kim".into(), question: 1 }, 6);
    assert!(events.is_empty());
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Release { .. })]));
    assert!(!conversation.occupies());
}

// CONV-07
#[test]
fn a_rule_ends_what_is_open_for_too_long() {
    let hours = |n: i64| n * 3_600_000;
    let limit = || policy(|p| p.end_after = Some(Span(hours(5))));
    let mut queued = opened(limit());
    step(&mut queued, message("hello"), 0);
    assert_eq!(queued.wake_at(), Some(Timestamp(NOW.0 + hours(5))));
    assert!(step(&mut queued, Input::Wake, hours(5) - 1).0.is_empty());
    assert_eq!(step(&mut queued, Input::Wake, hours(5)).0, ["closed"]);
    let mut connected = active(limit());
    assert_eq!(step(&mut connected, Input::Wake, hours(5)).0, ["wrap_up_started"]);
}

// CONV-05
#[test]
fn the_session_timer_begins_anew_with_wrap_up_and_on_reopening() {
    let mut conversation = active(policy(|_| {}));
    let from = |conversation: &Conversation| conversation.summary().timer_from.0 - NOW.0;
    assert_eq!(from(&conversation), 1, "since it was accepted");
    step(&mut conversation, Input::End { agent: None }, 500);
    assert_eq!(from(&conversation), 500);
    step(&mut conversation, finish("kim"), 600);
    step(&mut conversation, message("again"), 900);
    assert_eq!(from(&conversation), 900);
}

// ROUTE-18
#[test]
fn what_becomes_of_work_whose_agent_is_offline() {
    use crate::workstream::OnOffline;
    let gone = || Input::AgentGone { agent: "kim".into(), for_good: false };
    let after = OnOffline::ReturnAfter(Span::seconds(60));
    let mut delayed = active(policy(|p| p.on_offline = after));
    assert_eq!(step(&mut delayed, gone(), 1_000).0, ["agent_went_away"]);
    assert!(step(&mut delayed, Input::Wake, 60_999).0.is_empty());
    assert_eq!(
        step(&mut delayed, Input::AgentBack { agent: "kim".into() }, 60_999).0,
        ["agent_came_back"]
    );
    assert!(step(&mut delayed, Input::Wake, 61_000).0.is_empty(), "back in time");
    step(&mut delayed, gone(), 100_000);
    let (events, then) = step(&mut delayed, Input::Wake, 160_000);
    assert_eq!(events, ["unassigned", "queued"]);
    assert!(
        then.iter().any(|effect| matches!(effect,
        Effect::Queue(_, queue::Input::Enqueue(item)) if item.since == NOW)),
        "its age is kept"
    );

    let mut at_once = active(policy(|p| p.on_offline = OnOffline::Return));
    assert_eq!(step(&mut at_once, gone(), 1_000).0, ["unassigned", "queued"]);
    let mut kept = active(policy(|_| {}));
    step(&mut kept, gone(), 1_000);
    assert_eq!((kept.state(), kept.wake_at()), (State::Active, None));
    let for_good = Input::AgentGone { agent: "kim".into(), for_good: true };
    assert_eq!(
        step(&mut kept, for_good, 2_000).0,
        ["unassigned", "queued"],
        "configured no longer"
    );
}

// ROUTE-09 CAP-04
#[test]
fn only_the_answer_to_the_last_question_counts() {
    let mut conversation = active(policy(|_| {}));
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 2);
    step(&mut conversation, message("back"), 3);
    step(&mut conversation, Input::Rejoin { agent: "kim".into() }, 4);
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 5);
    let (_, then) = step(&mut conversation, message("back again"), 6);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Reoccupy { question: 2, .. })]));
    let refused = |question| Input::ResumeRefused { agent: "kim".into(), question };
    assert!(step(&mut conversation, refused(1), 7).0.is_empty(), "that was the question before");
    assert_eq!(conversation.state(), State::Waiting);
    assert_eq!(step(&mut conversation, refused(2), 8).0, ["unassigned", "queued"]);
}

// CONV-03 CAP-04
#[test]
fn a_restart_gives_those_who_advise_their_places_back() {
    let mut conversation = active(policy(|_| {}));
    step(&mut conversation, Input::Consult { agent: "kim".into(), with: None }, 2);
    let accept = Input::Accept {
        agent: "lee".into(),
        offer: crate::ids::OfferId { queue: "support".into(), number: 2 },
        consult: true,
    };
    assert_eq!(step(&mut conversation, accept, 3).0, ["consult_joined"]);
    let recovered = conversation.standing().recover(&policy(|_| {}));
    let mut restored: Vec<&str> = recovered
        .iter()
        .filter_map(|effect| match effect {
            Effect::Agent(agent, agent::Input::Restore { .. }) => Some(agent.as_str()),
            _ => None,
        })
        .collect();
    restored.sort_unstable();
    assert_eq!(restored, ["kim", "lee"]);
}

// CONV-03
#[test]
fn a_request_that_nobody_answered_ends_and_says_so() {
    let mut conversation = active(policy(|_| {}));
    let to = Target::Agent("lee".into());
    step(&mut conversation, Input::Transfer { agent: "kim".into(), to }, 2);
    let until = conversation.wake_at().expect("the request ends by itself");
    let mut fx = Effects::new();
    conversation.handle(Input::Wake, until, &mut fx).unwrap();
    assert!(matches!(&fx.events[..], [Event::HandOverEnded { .. }]));
    let told = fx.then.iter().find_map(|effect| match effect {
        Effect::Screen(agent, Notice::NotTaken { why, .. }) => Some((agent.as_str(), why.as_str())),
        _ => None,
    });
    assert_eq!(told, Some(("kim", "lee didn't answer in time")));
}

// CONV-03 ROUTE-14
#[test]
fn whoever_looks_for_advice_finds_it_where_work_is_picked_too() {
    let mut conversation = active(policy(|policy| policy.mode = crate::workstream::Mode::Pull));
    let consult = Input::Consult { agent: "kim".into(), with: None };
    let (_, effects) = step(&mut conversation, consult, 2);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::Enqueue(item)) => Some(item.demand.mode),
        _ => None,
    });
    assert_eq!(asked, Some(crate::workstream::Mode::Push));
}
