//! Wrap-up that the customer cuts short.

use super::*;

// CAP-02 ROUTE-19
#[test]
fn a_customer_who_writes_during_wrap_up_goes_on_and_the_wrap_up_stays_as_a_task() {
    let end = || Input::End { agent: Some("kim".into()), supervises: false };
    let codes = |p: &mut Workstream| {
        p.dispositions = vec!["solved".into()];
        p.disposition_required = true;
    };
    let mut present = active(settings(codes));
    step(&mut present, end(), 10);
    let mut gone = present.clone();
    assert_eq!(step(&mut present, message("one more"), 20).0, ["message_received", "reopened"]);
    assert_eq!((present.state(), present.occupies()), (State::Active, true));
    assert_eq!(present.owners_of_wrap_ups()[0], "kim".into());
    step(&mut present, reply("kim", "yes?"), 21);
    assert!(matches!(refused(&mut present, finish("kim")), Refused::NoDisposition { .. }));
    let done = Input::FinishWrapUp {
        agent: "kim".into(),
        disposition: Some("solved".into()),
        summary: Some("the first part".into()),
    };
    assert_eq!(step(&mut present, done.clone(), 22).0, ["disposed", "wrap_up_finished"]);
    assert_eq!(present.state(), State::Active, "the conversation isn't held by it");
    assert_eq!(present.summary().summary.as_deref(), Some("the first part"));
    assert!(present.owners_of_wrap_ups().is_empty());

    // The agent closed the laptop: somebody else has it, and the task is still theirs, for a while.
    step(&mut gone, absent("kim", Attendance::Offline, 15), 15);
    let events = step(&mut gone, message("one more"), 20).0;
    assert_eq!(events, ["message_received", "reopened", "unassigned", "queued"]);
    let mut late = gone.clone();
    assert_eq!(step(&mut gone, done, 30).0, ["disposed", "wrap_up_finished"]);
    assert_eq!(gone.state(), State::Open);
    let limit = settings(|_| {}).wrap_up_limit.0;
    assert!(late.until(10 + limit - 1).0.is_empty());
    assert_eq!(late.until(10 + limit).0, ["wrap_up_lapsed"]);
}

// CAP-02
#[test]
fn a_released_wrap_up_asks_for_a_place_first() {
    let mut conversation = active(settings(|p| p.wrap_up = WrapUpHold::Never));
    let end = Input::End { agent: Some("kim".into()), supervises: false };
    step(&mut conversation, end, 10);
    let (events, then) = step(&mut conversation, message("one more"), 20);
    assert_eq!(events, ["message_received", "reopened", "return_asked"]);
    assert!(matches!(&then[..], [Effect::Agent(_, agent::Input::Reoccupy { .. })]));
    assert_eq!(conversation.owners_of_wrap_ups().len(), 1);
    let resumed = Input::Resumed { agent: "kim".into(), question: 1 };
    assert_eq!(step(&mut conversation, resumed, 21).0, ["resumed"]);
}
