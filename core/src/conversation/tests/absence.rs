//! Where the primary is, and what follows from it.

use super::*;

// ROUTE-18
#[test]
fn what_becomes_of_work_whose_agent_is_offline() {
    let gone = |since| absent("kim", Attendance::Offline, since);
    let back = || Input::AgentBack { agent: "kim".into() };
    let after = OnOffline::ReturnAfter(Span::seconds(60));
    let mut delayed = active(settings(|p| p.on_offline = after));
    assert_eq!(step(&mut delayed, gone(1_000), 1_000).0, ["agent_went_away"]);
    assert!(delayed.until(60_998).0.is_empty());
    assert_eq!(step(&mut delayed, back(), 60_999).0, ["agent_came_back"]);
    assert!(delayed.until(61_000).0.is_empty(), "back in time");
    step(&mut delayed, gone(100_000), 100_000);
    let (events, then) = delayed.until(160_000);
    assert_eq!(events, ["unassigned", "queued"]);
    let queued = then.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::Enqueue(item)) => Some((item.since, item.prefer.clone())),
        _ => None,
    });
    let (since, prefer) = queued.expect("it waits again");
    assert_eq!(since, NOW, "its age is kept");
    let prefer = prefer.expect("the one before is preferred");
    assert_eq!((prefer.agent.as_str(), prefer.until), ("kim", Timestamp(NOW.0 + 220_000)));

    let mut at_once = active(settings(|p| p.on_offline = OnOffline::Return));
    let events = step(&mut at_once, gone(1_000), 1_000).0;
    assert_eq!(events, ["agent_went_away", "unassigned", "queued"]);
    let mut kept = active(settings(|_| {}));
    step(&mut kept, gone(1_000), 1_000);
    assert_eq!((kept.state(), kept.wake_at()), (State::Active, None));
    let retired = Input::AgentRetired { agent: "kim".into() };
    assert_eq!(step(&mut kept, retired, 2_000).0, ["unassigned", "queued"]);
}

// ROUTE-18
#[test]
fn what_waits_for_the_customer_goes_back_as_well() {
    let leave = || Input::Leave { agent: "kim".into() };
    let follows = |then: &[Effect]| {
        then.iter()
            .any(|e| matches!(e, Effect::Agent(_, agent::Input::Release { followed: true, .. })))
    };
    let mut kept = active(settings(|_| {}));
    assert!(!follows(&step(&mut kept, leave(), 2).1), "it stays theirs whatever they do");
    let after = OnOffline::ReturnAfter(Span::seconds(60));
    let mut delayed = active(settings(|p| p.on_offline = after));
    assert!(follows(&step(&mut delayed, leave(), 2).1));
    let gone = absent("kim", Attendance::Offline, 3);
    assert_eq!(step(&mut delayed, gone.clone(), 3).0, ["agent_went_away"]);
    assert_eq!(delayed.until(60_003).0, ["unassigned", "queued"]);
    let mut at_once = active(settings(|p| p.on_offline = OnOffline::Return));
    step(&mut at_once, leave(), 2);
    assert_eq!(step(&mut at_once, gone, 3).0, ["agent_went_away", "unassigned", "queued"]);
}

// ROUTE-19
#[test]
fn a_customer_who_wrote_to_somebody_absent_is_routed_anew_whenever_that_shows() {
    let rerouted = ["unassigned", "queued"];
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, reply("kim", "hi"), 2);
    let mut later = conversation.clone();
    // Known when they write.
    step(&mut conversation, absent("kim", Attendance::Away, 3), 3);
    let (events, then) = step(&mut conversation, message("hello?"), 4);
    assert_eq!(events, ["message_received", "unassigned", "queued"]);
    let kept_for = then.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::Enqueue(item)) => item.prefer.clone(),
        _ => None,
    });
    assert_eq!(kept_for.expect("preferred").until, Timestamp(NOW.0 + 60_004));
    // Known only afterwards: the connection was lost before they wrote.
    step(&mut later, message("hello?"), 4);
    let mut answered = later.clone();
    let mut earlier = later.clone();
    let events = step(&mut later, absent("kim", Attendance::Offline, 3), 150_003).0;
    assert_eq!(events[1..], rerouted);
    assert_eq!(later.standing().queued_at, Timestamp(NOW.0 + 4), "they wait since they wrote");
    // Not so whom an agent who was there has read, or answered.
    let gone = absent("kim", Attendance::Offline, 5);
    assert_eq!(step(&mut earlier, gone.clone(), 6).0, ["agent_went_away"]);
    step(&mut answered, reply("kim", "yes?"), 5);
    assert_eq!(step(&mut answered, gone, 6).0, ["agent_went_away"]);
}

// ROUTE-19
#[test]
fn who_took_it_up_while_away_is_believed_to_have_read_it_however_often_they_say_so() {
    let mut conversation = active(settings(|_| {}));
    step(&mut conversation, message("hello?"), 4);
    step(&mut conversation, absent("kim", Attendance::Away, 5), 5);
    // Each restart says it again, and since when they are away.
    let again = step(&mut conversation, absent("kim", Attendance::Away, 3), 6).0;
    assert!(again.is_empty(), "{again:?}");
    let gone = step(&mut conversation, absent("kim", Attendance::Offline, 3), 7).0;
    assert_eq!(gone, ["agent_went_away", "unassigned", "queued"], "nobody was there");
}

// ROUTE-19 ROUTE-06
#[test]
fn whoever_is_away_is_there_for_email_and_busy_is_there_for_everything() {
    let away = || absent("kim", Attendance::Away, 3);
    let both = [BaseStatus::Online, BaseStatus::Away];
    let mut email = active(settings(|p| p.allowed = both.into_iter().collect()));
    step(&mut email, away(), 3);
    assert_eq!(step(&mut email, message("hello?"), 4).0, ["message_received"]);
    for status in [BaseStatus::Busy, BaseStatus::DoNotDisturb, BaseStatus::TransfersOnly] {
        assert_eq!(Attendance::of(status, PresenceSource::Manual), Attendance::Here);
    }
    // Nor does it count who was set away by the administrator's default or for missed offers.
    for source in [PresenceSource::Default, PresenceSource::MissedOffers] {
        assert_eq!(Attendance::of(BaseStatus::Away, source), Attendance::Here);
    }
    assert_eq!(Attendance::of(BaseStatus::Away, PresenceSource::Idle), Attendance::Away);
}
