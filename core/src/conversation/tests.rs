//! Tables of inputs and effects. Deadlines come by their alarms: nobody here wakes a conversation
//! that hasn't asked for it.

mod absence;
mod wrap_up;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use super::*;
use crate::agent;
use crate::capacity::ChannelKind;
use crate::effect::Effect;
use crate::message::Consent;
use crate::notice::Notice;
use crate::offer::{Acceptance, ByHand};
use crate::presence::{Attendance, BaseStatus, PresenceSource};
use crate::queue;
use crate::time::Span;
use crate::workstream::{OnOffline, WrapUpHold};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000);

fn settings(change: impl FnOnce(&mut Workstream)) -> Arc<Workstream> {
    let mut settings =
        Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
    change(&mut settings);
    Arc::new(settings)
}

fn is_for_screens(effect: &Effect) -> bool {
    matches!(effect, Effect::Screen(..) | Effect::Screens(..) | Effect::Changed(_))
}

/// A conversation and the alarms that it has asked for.
#[derive(Clone)]
struct Life {
    conversation: Conversation,
    alarms: BTreeSet<Timestamp>,
}

impl Deref for Life {
    type Target = Conversation;

    fn deref(&self) -> &Conversation {
        &self.conversation
    }
}

/// What came of an input: kinds of events, and effects other than screens.
type Outcome = (Vec<&'static str>, Vec<Effect>);

impl Life {
    fn new(conversation: Conversation, fx: Effects) -> Self {
        let mut life = Self { conversation, alarms: BTreeSet::new() };
        life.take_note(fx);
        life
    }

    fn take_note(&mut self, fx: Effects) -> Outcome {
        let mut then = fx.then;
        then.retain(|effect| {
            if let Effect::WakeAt(at) = effect {
                self.alarms.insert(*at);
            }
            !is_for_screens(effect) && !matches!(effect, Effect::WakeAt(_))
        });
        if let Some(deadline) = self.wake_at() {
            let first = self.alarms.first();
            assert!(
                first.is_some_and(|at| *at <= deadline),
                "no alarm is set for {deadline:?}: {first:?}"
            );
        }
        (fx.events.iter().map(Event::kind).collect(), then)
    }

    fn handle(&mut self, input: Input, at: Timestamp) -> Outcome {
        let mut fx = Effects::new();
        self.conversation.handle(input, at, &mut fx).expect("not refused");
        self.take_note(fx)
    }

    /// Time passes until `at` milliseconds after the beginning; alarms ring.
    fn until(&mut self, at: i64) -> Outcome {
        let (mut events, mut then) = (Vec::new(), Vec::new());
        while let Some(alarm) = self.alarms.first().copied().filter(|alarm| alarm.0 <= NOW.0 + at) {
            self.alarms.pop_first();
            let (more_events, more) = self.handle(Input::Wake, alarm);
            events.extend(more_events);
            then.extend(more);
        }
        (events, then)
    }
}

fn opened(settings: Arc<Workstream>) -> Life {
    let opening = Opening {
        channel: "sms".into(),
        customer: "+14255550100".into(),
        own: "+14255550199".into(),
        opted_out: false,
        country: None,
        last_agent: None,
    };
    let id = ConversationId(Uuid::from_u128(1));
    let mut fx = Effects::new();
    let conversation = Conversation::open(id, opening, settings, NOW, &mut fx);
    Life::new(conversation, fx)
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

/// The agent's machine has a place, as nobody offered it.
fn by_hand(agent: &str, how: ByHand) -> Input {
    let offer = crate::ids::OfferId::by_hand(&agent.into(), 7);
    Input::Accept { agent: agent.into(), offer, acceptance: Acceptance::ByHand(how) }
}

fn absent(agent: &str, attendance: Attendance, since: i64) -> Input {
    let since = Timestamp(NOW.0 + since);
    Input::AgentAbsent { agent: agent.into(), attendance, since }
}

fn finish(agent: &str) -> Input {
    Input::FinishWrapUp { agent: agent.into(), disposition: None, summary: None }
}

fn reply(agent: &str, text: &str) -> Input {
    Input::Reply(Reply { agent: agent.into(), text: text.into(), media: vec![] })
}

/// An input at a time; alarms that are due before bring nothing about, or the test waits for them.
fn step(life: &mut Life, input: Input, at: i64) -> Outcome {
    let rung = life.until(at);
    assert_eq!(rung.0, Vec::<&str>::new(), "something happened before {at}");
    life.handle(input, Timestamp(NOW.0 + at))
}

fn refused(life: &mut Life, input: Input) -> Refused {
    let mut fx = Effects::new();
    let refused = life.conversation.handle(input, NOW, &mut fx).expect_err("refused");
    assert!(fx.is_empty());
    refused
}

fn active(settings: Arc<Workstream>) -> Life {
    let mut conversation = opened(settings);
    step(&mut conversation, message("hello"), 0);
    step(
        &mut conversation,
        Input::Accept { agent: "kim".into(), offer: offer(), acceptance: Acceptance::Work },
        1,
    );
    assert_eq!(conversation.state(), State::Active);
    conversation
}

// CONV-01
#[test]
fn a_life_from_open_to_closed_and_open_again() {
    let mut conversation = opened(settings(|_| {}));
    let (events, then) = step(&mut conversation, message("hello"), 0);
    assert_eq!(events, ["message_received", "queued"]);
    assert!(
        matches!(&then[..], [Effect::Queue(_, queue::Input::Enqueue(item))] if item.since == NOW)
    );

    let accept =
        Input::Accept { agent: "kim".into(), offer: offer(), acceptance: Acceptance::Work };
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
    let late = Input::Accept { agent: "lee".into(), offer: offer(), acceptance: Acceptance::Work };
    let (events, then) = step(&mut conversation, late, 2);
    assert!(events.is_empty());
    assert!(
        matches!(&then[..], [Effect::Agent(lee, agent::Input::Rejected { .. })] if lee.as_str() == "lee")
    );

    assert_eq!(step(&mut conversation, reply("kim", "hi"), 3).0, ["reply_queued"]);
    let end = Input::End { agent: Some("kim".into()), supervises: false };
    assert_eq!(step(&mut conversation, end.clone(), 4).0, ["wrap_up_started"]);
    assert_eq!(conversation.state(), State::WrapUp);
    assert!(step(&mut conversation, end, 5).0.is_empty(), "asking twice is harmless");
    let (events, then) = step(&mut conversation, finish("kim"), 6);
    assert_eq!(events, ["closed"]);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Release { .. })]));

    let within = settings(|_| {}).reopen_within.0;
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
    let end = || Input::End { agent: Some("kim".into()), supervises: false };

    let mut never = active(settings(|p| p.wrap_up = WrapUpHold::Never));
    assert!(releases(&step(&mut never, end(), 10).1));
    assert!(!never.occupies());

    let mut always = active(settings(|p| p.wrap_up = WrapUpHold::Always));
    assert!(!releases(&step(&mut always, end(), 10).1));
    let limit = settings(|_| {}).wrap_up_limit.0;
    assert!(always.until(10 + limit - 1).0.is_empty());
    assert_eq!(always.until(10 + limit).0, ["closed"], "nobody finished it");

    let mut timed = active(settings(|p| p.wrap_up = WrapUpHold::For(Span::seconds(60))));
    assert!(!releases(&step(&mut timed, end(), 10).1));
    assert!(timed.until(10 + 59_999).0.is_empty());
    assert!(releases(&timed.until(10 + 60_000).1));
    assert_eq!(timed.state(), State::WrapUp, "the agent may still write notes");
}

// ROUTE-09
#[test]
fn silence_frees_capacity_and_a_returning_customer_asks_for_it_again() {
    let mut conversation = active(settings(|_| {}));
    let minutes = |n: i64| n * 60_000;
    // The customer waits for an answer: that isn't silence.
    assert!(conversation.until(minutes(60)).0.is_empty());
    step(&mut conversation, reply("kim", "hi"), minutes(60));
    assert!(conversation.until(minutes(70) - 1).0.is_empty());
    assert_eq!(conversation.until(minutes(70)).0, ["went_idle"]);
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
    let (events, _) = step(
        &mut other,
        Input::ResumeRefused { agent: "kim".into(), question: 1, is_absent: false },
        minutes(73),
    );
    assert_eq!(events, ["unassigned", "queued"]);
    assert_eq!((other.state(), other.primary()), (State::Open, None));
}

// CH-11 CH-12 CONV-03
#[test]
fn what_may_not_be_sent_is_refused_with_a_reason() {
    let mut conversation = active(settings(|p| p.max_text = 5));
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
    let mut conversation = opened(settings(|_| {}));
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
    let mut conversation = active(settings(|_| {}));
    let mut fx = Effects::new();
    let note = Input::Note { agent: "kim".into(), text: "psst".into(), as_supervisor: false };
    conversation.conversation.handle(note, NOW, &mut fx).unwrap();
    let [Event::NoteAdded { message }] = &fx.events[..] else { panic!("{:?}", fx.events) };
    assert!(message.internal && message.delivery.is_none());
    let others = Input::Note { agent: "lee".into(), text: "psst".into(), as_supervisor: false };
    assert!(matches!(refused(&mut conversation, others), Refused::NotPrimary { .. }));
}

#[test]
fn late_and_repeated_reports_change_nothing() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 1);
    let report = |delivery| Input::Delivery { message: MessageNo(2), said_at: None, delivery };
    assert_eq!(step(&mut conversation, report(Delivery::Unconfirmed), 2).0, ["delivery_changed"]);
    assert_eq!(step(&mut conversation, report(Delivery::Delivered), 3).0, ["delivery_changed"]);
    for late in [Delivery::Sent, Delivery::Delivered, Delivery::Queued] {
        assert!(step(&mut conversation, report(late), 4).0.is_empty());
    }
    let unknown =
        Input::Delivery { message: MessageNo(9), said_at: None, delivery: Delivery::Sent };
    assert!(step(&mut conversation, unknown, 5).0.is_empty());
}

// OPS-10
#[test]
fn a_report_on_a_reply_that_has_the_number_of_another_is_nobodys() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "on tuesday"), 7);
    let at = conversation.conversation.last_agent_at;
    let report = |said_at| Input::Delivery {
        message: MessageNo(2),
        said_at: Some(said_at),
        delivery: Delivery::Delivered,
    };
    // Said in a future that a backup doesn't know.
    assert!(step(&mut conversation, report(Timestamp(at.0 - 1)), 8).0.is_empty());
    assert_eq!(step(&mut conversation, report(at), 9).0, ["delivery_changed"]);
}

// OPS-11
#[test]
fn every_reply_that_waits_hears_its_end_and_no_more_may_wait_than_are_known() {
    let mut conversation = active(settings(|_| {}));
    let most = u32::try_from(Conversation::MOST_IN_TRANSIT).unwrap();
    for n in 0..most {
        step(&mut conversation, reply("kim", "hi"), i64::from(n));
    }
    let too_many = Refused::TooManyWaiting { most: Conversation::MOST_IN_TRANSIT };
    assert_eq!(refused(&mut conversation, reply("kim", "hi")), too_many);
    let report = |no, delivery| Input::Delivery { message: MessageNo(no), said_at: None, delivery };
    // Those that are out make room, and those that wait are remembered.
    for no in 2..12 {
        step(&mut conversation, report(no, Delivery::Sent), 1000);
        step(&mut conversation, reply("kim", "hi"), 1000);
    }
    for no in 12..most + 12 {
        let refused = Delivery::Undelivered { code: "400".into(), reason: "no".into() };
        let (events, _) = step(&mut conversation, report(no, refused), 2000);
        assert_eq!(events, ["delivery_changed"], "{no}");
    }
}

#[test]
fn a_snapshot_brings_back_the_same_machine() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 1);
    let bytes = rmp_serde::to_vec_named(&conversation.conversation).unwrap();
    assert!(bytes.len() < 700, "{} bytes for every idle conversation", bytes.len());
    let back: Conversation = rmp_serde::from_slice(&bytes).unwrap();
    let back = back.with_settings(settings(|_| {}));
    assert_eq!(back.summary(), conversation.summary());
    assert_eq!(back.wake_at(), conversation.wake_at());
}

// CAP-04
#[test]
fn a_late_resumption_doesnt_take_a_place_that_was_given_back() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 2);
    assert_eq!(step(&mut conversation, message("back"), 3).0, ["message_received", "return_asked"]);
    // Before the agent's machine answers, the agent takes it up by hand and leaves again.
    step(&mut conversation, by_hand("kim", ByHand::ComeBack), 4);
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
    let limit = || settings(|p| p.end_after = Some(Span(hours(5))));
    let mut queued = opened(limit());
    step(&mut queued, message("hello"), 0);
    assert!(queued.until(hours(5) - 1).0.is_empty());
    assert_eq!(queued.until(hours(5)).0, ["closed"], "nobody ever took it");
    step(&mut queued, message("again"), hours(6));
    assert!(queued.until(hours(11) - 1).0.is_empty());
    assert_eq!(queued.until(hours(11)).0, ["closed"], "its time begins anew");
    let mut connected = active(limit());
    assert_eq!(connected.until(hours(5)).0, ["wrap_up_started"]);
    let mut given_back = active(limit());
    let retired = Input::AgentRetired { agent: "kim".into() };
    step(&mut given_back, retired, hours(4));
    assert_eq!(given_back.until(hours(5)).0, ["closed"]);
}

// CONV-05
#[test]
fn the_session_timer_begins_anew_with_wrap_up_and_on_reopening() {
    let mut conversation = active(settings(|_| {}));
    let from = |conversation: &Conversation| conversation.summary().timer_from.0 - NOW.0;
    assert_eq!(from(&conversation), 1, "since it was accepted");
    step(&mut conversation, Input::End { agent: Some("sam".into()), supervises: true }, 500);
    assert_eq!(from(&conversation), 500);
    step(&mut conversation, finish("kim"), 600);
    step(&mut conversation, message("again"), 900);
    assert_eq!(from(&conversation), 900);
}

// CONV-02 ROUTE-10
#[test]
fn whoever_left_comes_back_through_their_own_machine_before_they_reply() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 2);
    assert_eq!(refused(&mut conversation, reply("kim", "hi")), Refused::Left);
    assert!(conversation.may_be_taken_up(&"lee".into(), ByHand::ComeBack).is_err());
    assert!(conversation.may_be_taken_up(&"kim".into(), ByHand::ComeBack).is_ok());
    let (events, then) = step(&mut conversation, by_hand("kim", ByHand::ComeBack), 3);
    assert_eq!(events, ["resumed"]);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Confirmed { .. })]));
    assert_eq!(step(&mut conversation, reply("kim", "hi"), 4).0, ["reply_queued"]);
    // What is no longer to be had gives the place back.
    let (events, then) = step(&mut conversation, by_hand("kim", ByHand::ComeBack), 5);
    assert!(events.is_empty());
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Rejected { .. })]));
    let (events, then) = step(&mut conversation, by_hand("sam", ByHand::TakeOver), 6);
    assert_eq!(events, ["taken_over"]);
    assert!(matches!(
        &then[..],
        [
            Effect::Agent(_, agent::Input::Release { .. }),
            Effect::Agent(_, agent::Input::Confirmed { .. })
        ]
    ));
}

// ROUTE-09 CH-12
#[test]
fn a_keyword_wants_no_answer_and_keeps_no_place() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 2);
    let stop = Input::Customer(CustomerMessage {
        provider_id: "m2".into(),
        text: "STOP".into(),
        media: vec![],
        consent: Some(Consent::OptOut),
    });
    step(&mut conversation, stop, 3);
    assert_eq!(conversation.until(600_002).0, ["went_idle"]);
}

// ROUTE-17
#[test]
fn what_has_no_queue_left_asks_nobody_again_and_again() {
    let mut conversation = opened(settings(|_| {}));
    step(&mut conversation, message("hello"), 1);
    conversation.conversation.set_settings(Arc::new(Workstream::retired("sms".into())));
    for input in [Input::Reroute, Input::Bounced { queue: "support".into() }] {
        let (events, then) = step(&mut conversation, input, 2);
        assert!(events.is_empty() && then.is_empty(), "{events:?} {then:?}");
    }
    assert_eq!(conversation.queue(), &QueueId::from("support"));
    step(&mut conversation, Input::End { agent: Some("sam".into()), supervises: true }, 4);
    assert_eq!(conversation.state(), State::Closed);
}

// ROUTE-17
#[test]
fn a_shorter_deadline_rings_by_itself() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 2);
    conversation.conversation.set_settings(settings(|p| p.inactivity = Span::seconds(60)));
    assert!(step(&mut conversation, Input::Reroute, 3).0.is_empty());
    assert_eq!(conversation.until(60_002).0, ["went_idle"]);
}

// CONV-07
#[test]
fn somebody_elses_end_finishes_wrap_up_and_ones_own_second_press_doesnt() {
    let mut conversation = active(settings(|_| {}));
    let end = |who: &str, supervises| Input::End { agent: Some(who.into()), supervises };
    let refusal = refused(&mut conversation, end("lee", false));
    assert!(matches!(refusal, Refused::NotPrimary { .. }));
    step(&mut conversation, end("kim", true), 5);
    assert!(step(&mut conversation, end("kim", true), 6).0.is_empty(), "a supervisor's own");
    assert_eq!(step(&mut conversation, end("sam", true), 7).0, ["closed"]);
}

// ROUTE-09 CAP-04
#[test]
fn only_the_answer_to_the_last_question_counts() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 2);
    step(&mut conversation, message("back"), 3);
    step(&mut conversation, by_hand("kim", ByHand::ComeBack), 4);
    step(&mut conversation, Input::Leave { agent: "kim".into() }, 5);
    let (_, then) = step(&mut conversation, message("back again"), 6);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Reoccupy { question: 2, .. })]));
    let refused =
        |question| Input::ResumeRefused { agent: "kim".into(), question, is_absent: false };
    assert!(step(&mut conversation, refused(1), 7).0.is_empty(), "that was the question before");
    assert_eq!(conversation.state(), State::Waiting);
    assert_eq!(step(&mut conversation, refused(2), 8).0, ["unassigned", "queued"]);
}

// CONV-03 CAP-04
#[test]
fn a_restart_gives_those_who_advise_their_places_back() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, Input::Consult { agent: "kim".into(), with: None }, 2);
    let accept = Input::Accept {
        agent: "lee".into(),
        offer: crate::ids::OfferId { queue: "support".into(), number: 2 },
        acceptance: Acceptance::Consult,
    };
    assert_eq!(step(&mut conversation, accept, 3).0, ["consult_joined"]);
    let recovered = conversation.standing();
    let recovered: Vec<Effect> = recovered.recover(&settings(|_| {})).collect();
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
    let mut conversation = active(settings(|_| {}));
    let to = Target::Agent("lee".into());
    step(&mut conversation, Input::Transfer { agent: "kim".into(), to }, 2);
    let until = *conversation.alarms.first().expect("the request ends by itself");
    let mut fx = Effects::new();
    conversation.conversation.handle(Input::Wake, until, &mut fx).unwrap();
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
    let mut conversation =
        active(settings(|settings| settings.mode = crate::workstream::Mode::Pull));
    let consult = Input::Consult { agent: "kim".into(), with: None };
    let (_, effects) = step(&mut conversation, consult, 2);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::Enqueue(item)) => Some(item.demand.mode),
        _ => None,
    });
    assert_eq!(asked, Some(crate::workstream::Mode::Push));
}
