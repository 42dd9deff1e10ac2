//! Tables of inputs and effects.

use super::*;
use crate::capacity::{Counts, Units};
use crate::conversation;
use crate::offer::{ByHand, Outcome, Refusal, Reserve};
use crate::presence::{PresenceSource, StatusSet};
use crate::time::Span;
use uuid::Uuid;

const LOAD: Load = Load { kind: ChannelKind::Messaging, units: Units(1) };

fn online() -> StatusSet {
    [BaseStatus::Online].into_iter().collect()
}

fn agent(change: impl FnOnce(&mut Settings)) -> Agent {
    let mut settings = Settings::with_defaults(vec!["support".into()]);
    change(&mut settings);
    Agent::new("kim".into(), Arc::new(settings))
}

fn step(agent: &mut Agent, input: Input, at: i64) -> Vec<Effect> {
    let mut fx = Effects::new();
    agent.handle(input, Timestamp(at), &mut fx).expect("not refused");
    fx.then
}

fn reserve(n: u64) -> Input {
    Input::Reserve(Reserve {
        offer: offer(n),
        conversation: ConversationId(Uuid::from_u128(u128::from(n))),
        load: LOAD,
        allowed: online(),
        timeout: Span::seconds(30),
        purpose: Purpose::Work,
        member_of: None,
    })
}

/// They take it up by hand.
fn hold(agent: &mut Agent, conversation: ConversationId, load: Load, at: i64) {
    let pick = Input::Pick { conversation, load, beyond: true, by_hand: ByHand::Take };
    let effects = step(agent, pick, at);
    let offer = effects.iter().find_map(|effect| match effect {
        Effect::Conversation(_, conversation::Input::Accept { offer, .. }) => Some(offer.clone()),
        _ => None,
    });
    step(agent, Input::Confirmed { offer: offer.expect("asked for") }, at);
}

fn offer(number: u64) -> OfferId {
    OfferId { queue: "support".into(), number }
}

fn refusal(effects: &[Effect]) -> Option<Refusal> {
    effects.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::NotReserved { reason, .. }) => Some(*reason),
        _ => None,
    })
}

fn outcome(effects: &[Effect]) -> Option<Outcome> {
    effects.iter().find_map(|effect| match effect {
        Effect::Queue(_, queue::Input::OfferEnded { outcome, .. }) => Some(*outcome),
        _ => None,
    })
}

// PRES-01 PRES-02 PRES-03
#[test]
fn presence_follows_load_unless_it_is_chosen() {
    let mut agent = agent(|s| s.limits.counts = Counts([0, 0, 1, 0]));
    assert_eq!(agent.presence().status, BaseStatus::Offline);
    step(&mut agent, Input::Connected, 0);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Online, PresenceSource::Computed));
    let conversation = ConversationId(Uuid::from_u128(9));
    hold(&mut agent, conversation, LOAD, 1);
    assert_eq!(agent.presence().status, BaseStatus::Busy, "full");
    let lunch = Some((BaseStatus::Away, "Lunch".to_owned()));
    step(&mut agent, Input::SetPresence(lunch), 2);
    step(&mut agent, Input::Release { conversation, followed: false }, 3);
    let presence = agent.presence();
    assert_eq!((presence.status, presence.label.as_ref()), (BaseStatus::Away, "Lunch"));
    step(&mut agent, Input::SignOut, 4);
    step(&mut agent, Input::Connected, 5);
    assert_eq!(agent.presence().status, BaseStatus::Online, "the override ended with sign-out");
}

// PRES-04
#[test]
fn presence_outlives_a_short_break_and_offers_dont_outlive_a_long_one() {
    let mut agent = agent(|_| {});
    step(&mut agent, Input::Connected, 0);
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Online, "In".into()))), 0);
    step(&mut agent, Input::Disconnected { heard_at: Timestamp(1000) }, 1000);
    step(&mut agent, Input::Wake, 150_999);
    assert_eq!(agent.presence().label, "In");
    step(&mut agent, Input::Connected, 150_999);
    step(&mut agent, Input::Wake, 151_000);
    assert_eq!(agent.presence().label, "In", "back in time");

    step(&mut agent, Input::Disconnected { heard_at: Timestamp(200_000) }, 200_000);
    step(
        &mut agent,
        Input::Reserve(Reserve {
            timeout: Span::seconds(500),
            ..match reserve(1) {
                Input::Reserve(reserve) => reserve,
                _ => unreachable!(),
            }
        }),
        300_000,
    );
    let effects = step(&mut agent, Input::Wake, 350_000);
    assert_eq!(outcome(&effects), Some(Outcome::Gone));
    assert_eq!(agent.presence().status, BaseStatus::Offline);
}

// PRES-05
#[test]
fn the_administrators_default_is_set_at_sign_in_only() {
    let mut agent = agent(|s| s.default_presence = Some(BaseStatus::Away));
    step(&mut agent, Input::Connected, 0);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Away, PresenceSource::Default));
    step(&mut agent, Input::SetPresence(None), 1);
    assert_eq!(agent.presence().status, BaseStatus::Online);
    step(&mut agent, Input::Connected, 2);
    assert_eq!(agent.presence().status, BaseStatus::Online, "a second tab changes nothing");
}

// ROUTE-04 ROUTE-06 CAP-01
#[test]
fn it_alone_says_yes_or_no_to_its_capacity() {
    let mut agent = agent(|s| s.limits.counts = Counts([1, 3, 2, 10]));
    assert_eq!(
        refusal(&step(&mut agent, reserve(1), 0)),
        Some(Refusal::Presence(BaseStatus::Offline))
    );
    step(&mut agent, Input::Connected, 0);
    assert_eq!(refusal(&step(&mut agent, reserve(1), 0)), None);
    assert!(step(&mut agent, reserve(1), 0).is_empty(), "the same request once more was answered");
    let Input::Reserve(again) = reserve(1) else { unreachable!() };
    let other = Reserve { offer: offer(9), ..again };
    assert_eq!(refusal(&step(&mut agent, Input::Reserve(other), 0)), Some(Refusal::AlreadyThere));
    assert_eq!(refusal(&step(&mut agent, reserve(2), 0)), None);
    assert_eq!(refusal(&step(&mut agent, reserve(3), 0)), Some(Refusal::Capacity));
}

// ROUTE-07
#[test]
fn an_offer_ends_at_its_deadline_unless_it_is_being_accepted() {
    let mut agent = agent(|_| {});
    step(&mut agent, Input::Connected, 0);
    step(&mut agent, reserve(1), 0);
    step(&mut agent, reserve(2), 0);
    let accept = step(&mut agent, Input::Accept { offer: offer(1) }, 29_999);
    assert!(matches!(&accept[..], [Effect::Conversation(_, conversation::Input::Accept { .. })]));
    let effects = step(&mut agent, Input::Wake, 30_000);
    assert_eq!(outcome(&effects), Some(Outcome::Expired));
    assert_eq!(
        agent.ledger().used().of(ChannelKind::Messaging),
        1,
        "the other place is given back"
    );
    let late =
        agent.handle(Input::Accept { offer: offer(2) }, Timestamp(30_001), &mut Effects::new());
    assert_eq!(late, Err(Refused::OfferGone { offer: offer(2) }));
    let effects = step(&mut agent, Input::Rejected { offer: offer(1) }, 30_002);
    assert_eq!(outcome(&effects), Some(Outcome::Withdrawn));
    assert_eq!(agent.ledger().used_units(), Units(0));
}

// PRES-02
#[test]
fn full_means_full_for_the_work_that_can_come() {
    let conversation = ConversationId(Uuid::from_u128(9));
    let mut by_count = agent(|s| {
        s.limits.counts = Counts([1, 3, 1, 10]);
        s.reach = [LOAD].into_iter().collect();
    });
    step(&mut by_count, Input::Connected, 0);
    hold(&mut by_count, conversation, LOAD, 1);
    assert_eq!(by_count.presence().status, BaseStatus::Busy, "no call or email can come");
    // Two of three units are used, and whatever comes weighs two.
    let heavy = Load { kind: ChannelKind::Messaging, units: Units(2) };
    let mut by_weight = agent(|s| {
        s.limits.units = Units(3);
        s.reach = [heavy].into_iter().collect();
    });
    step(&mut by_weight, Input::Connected, 0);
    hold(&mut by_weight, conversation, heavy, 1);
    assert_eq!(by_weight.presence().status, BaseStatus::Busy);
    let lighter = Settings { reach: [LOAD].into_iter().collect(), ..(*by_weight.settings).clone() };
    step(&mut by_weight, Input::Configure(Arc::new(lighter)), 2);
    assert_eq!(by_weight.presence().status, BaseStatus::Online, "something light would fit");
}

// PRES-05 PRES-04
#[test]
fn a_break_changes_nothing_and_after_the_grace_it_is_a_sign_in() {
    let mut agent = agent(|s| s.default_presence = Some(BaseStatus::Away));
    step(&mut agent, Input::Connected, 0);
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Online, "Desk".into()))), 1);
    step(&mut agent, Input::Disconnected { heard_at: Timestamp(2) }, 2);
    step(&mut agent, Input::Connected, 150_001);
    assert_eq!(agent.presence().label, "Desk", "a broken line or a page loaded again");
    step(&mut agent, Input::Disconnected { heard_at: Timestamp(200_000) }, 200_000);
    step(&mut agent, Input::Wake, 350_000);
    step(&mut agent, Input::Connected, 350_001);
    assert_eq!(agent.presence().status, BaseStatus::Away, "the default again");
}

// PRES-03 PRES-06
#[test]
fn inactivity_clears_what_was_chosen_by_hand() {
    let rule = IdleRule { after: Span::seconds(300), status: BaseStatus::Away };
    let mut agent = agent(|s| s.idle = Some(rule));
    step(&mut agent, Input::Connected, 0);
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Busy, "Busy".into()))), 1_000);
    step(&mut agent, Input::Wake, 301_000);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Away, PresenceSource::Idle));
    step(&mut agent, Input::Activity, 302_000);
    assert_eq!(agent.presence().source, PresenceSource::Computed, "not busy again");
}

// PRES-04
#[test]
fn a_restart_finds_presence_as_it_was_unless_it_took_too_long() {
    let mut before = agent(|_| {});
    step(&mut before, Input::Connected, 0);
    step(&mut before, Input::SetPresence(Some((BaseStatus::Away, "Lunch".into()))), 1);
    hold(&mut before, ConversationId(Uuid::from_u128(9)), LOAD, 2);
    let kept = Some(before.kept_presence());
    let recalled = |standing: Option<KeptPresence>, at: i64| {
        let mut after = agent(|_| {});
        let alive_until = Timestamp(1_000);
        step(&mut after, Input::Recall { standing, alive_until }, at);
        after
    };
    let mut soon = recalled(kept.clone(), 150_999);
    assert_eq!(soon.presence().label, "Lunch");
    assert_eq!((soon.last_assigned, soon.idle_since), (Timestamp(2), Timestamp(0)));
    assert_eq!(soon.wake_at(), Some(Timestamp(151_000)), "the grace goes on");
    step(&mut soon, Input::Wake, 151_000);
    assert_eq!(soon.presence().status, BaseStatus::Offline);
    assert_eq!(recalled(kept, 151_000).presence().status, BaseStatus::Offline);
    step(&mut before, Input::SignOut, 2);
    assert_eq!(
        recalled(Some(before.kept_presence()), 1_001).presence().status,
        BaseStatus::Offline
    );
}

// ROUTE-18 ROUTE-19
#[test]
fn every_conversation_learns_where_its_agent_is_however_it_became_theirs() {
    let absent = |effects: &[Effect]| -> Vec<(u128, Attendance, i64)> {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Conversation(
                id,
                conversation::Input::AgentAbsent { attendance, since, .. },
            ) => Some((id.0.as_u128(), *attendance, since.0)),
            _ => None,
        });
        told.collect()
    };
    let id = |n| ConversationId(Uuid::from_u128(n));
    let mut kim = agent(|_| {});
    step(&mut kim, Input::Connected, 0);
    hold(&mut kim, id(1), LOAD, 1);
    step(&mut kim, Input::Release { conversation: id(1), followed: true }, 2);
    hold(&mut kim, id(2), LOAD, 3);
    step(&mut kim, Input::Disconnected { heard_at: Timestamp(1_000) }, 1_000);
    let told = absent(&step(&mut kim, Input::Wake, 151_000));
    let since_then = [(1, Attendance::Offline, 1_000), (2, Attendance::Offline, 1_000)];
    assert_eq!(told, since_then, "since the connection was lost");
    // What becomes theirs afterwards learns it, too.
    let late = Input::Follow { conversation: id(3), follows: true };
    assert_eq!(absent(&step(&mut kim, late, 151_001)), [(3, Attendance::Offline, 1_000)]);

    // After a restart they tell those that believe something else, or went by other settings.
    let restored = |standing| {
        let mut kim = agent(|_| {});
        let beliefs = [Some(Attendance::Here), Some(Attendance::Offline), None];
        for (n, attendance) in (1..).zip(beliefs) {
            let restore = Input::Restore { conversation: id(n), load: Some(LOAD), attendance };
            assert!(absent(&step(&mut kim, restore, 0)).is_empty(), "not before all is known");
        }
        step(&mut kim, Input::Recall { standing, alive_until: Timestamp(0) }, 5)
    };
    let told = [(1, Attendance::Offline, 5), (3, Attendance::Offline, 5)];
    assert_eq!(absent(&restored(None)), told);
    let there = KeptPresence { present: true, ..KeptPresence::default() };
    let effects = restored(Some(there));
    let back: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Conversation(to, conversation::Input::AgentBack { .. }) => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!((back, absent(&effects).len()), (vec![id(2), id(3)], 0));
}

// PRES-04 PRES-05
#[test]
fn a_program_without_a_screen_is_there_for_the_grace_from_its_last_word() {
    let mut agent = agent(|s| s.default_presence = Some(BaseStatus::Away));
    step(&mut agent, Input::SetPresence(None), 0);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Away, PresenceSource::Default));
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Online, "online".into()))), 100_000);
    step(&mut agent, Input::Wake, 249_999);
    assert_eq!(agent.presence().status, BaseStatus::Online);
    step(&mut agent, Input::Wake, 250_000);
    assert_eq!(agent.presence().status, BaseStatus::Offline);
}

// ROUTE-10 ROUTE-19
#[test]
fn somebody_at_lunch_who_takes_one_up_is_away_for_what_comes_from_then_on() {
    let mut kim = agent(|_| {});
    step(&mut kim, Input::Connected, 0);
    step(&mut kim, Input::SetPresence(Some((BaseStatus::Away, "Lunch".into()))), 1);
    let conversation = ConversationId(Uuid::from_u128(1));
    let by_hand = ByHand::Take;
    let pick = step(&mut kim, Input::Pick { conversation, load: LOAD, beyond: false, by_hand }, 9);
    let offer = pick.iter().find_map(|effect| match effect {
        Effect::Conversation(_, conversation::Input::Accept { offer, .. }) => Some(offer.clone()),
        _ => None,
    });
    let told = step(&mut kim, Input::Confirmed { offer: offer.unwrap() }, 10);
    let since = told.iter().find_map(|effect| match effect {
        Effect::Conversation(_, conversation::Input::AgentAbsent { since, .. }) => Some(*since),
        _ => None,
    });
    assert_eq!(since, Some(Timestamp(9)));
}

// PRES-08 ROUTE-10
#[test]
fn nobody_takes_up_by_hand_who_may_not_or_isnt_there_or_is_full() {
    let conversation = ConversationId(Uuid::from_u128(9));
    let pick = |beyond, by_hand| Input::Pick { conversation, load: LOAD, beyond, by_hand };
    let refused = |agent: &mut Agent, input: Input| {
        let mut fx = Effects::new();
        let refused = agent.handle(input, Timestamp(1), &mut fx).expect_err("refused");
        assert!(fx.is_empty());
        refused
    };
    for by_hand in [ByHand::Take, ByHand::TakeOver, ByHand::ComeBack] {
        let mut light = agent(|s| s.light = true);
        step(&mut light, Input::Connected, 0);
        assert_eq!(refused(&mut light, pick(true, by_hand)), Refused::Light);
        let mut gone = agent(|_| {});
        step(&mut gone, Input::SignOut, 0);
        assert_eq!(refused(&mut gone, pick(true, by_hand)), Refused::Offline);
        let mut full = agent(|s| s.limits.counts = Counts([0; 4]));
        step(&mut full, Input::Connected, 0);
        assert!(matches!(refused(&mut full, pick(false, by_hand)), Refused::NoPlace { .. }));
        step(&mut full, pick(true, by_hand), 1);
        assert_eq!(full.ledger().used_units(), Units(1), "with the permission");
    }
}

// ROUTE-10 CAP-04
#[test]
fn a_place_that_is_given_back_while_it_is_counted_on_isnt_given_twice() {
    let mut bob = agent(|s| s.limits.counts = Counts([0, 0, 1, 0]));
    step(&mut bob, Input::Connected, 0);
    let conversation = ConversationId(Uuid::from_u128(9));
    hold(&mut bob, conversation, LOAD, 1);
    // He advises, and takes it over; the thanks for his advice are under way.
    let by_hand = ByHand::TakeOver;
    let pick = Input::Pick { conversation, load: LOAD, beyond: false, by_hand };
    let effects = step(&mut bob, pick, 2);
    let offer = effects.iter().find_map(|effect| match effect {
        Effect::Conversation(_, conversation::Input::Accept { offer, .. }) => Some(offer.clone()),
        _ => None,
    });
    let offer = offer.expect("asked for");
    step(&mut bob, Input::Release { conversation, followed: false }, 3);
    assert_eq!(refusal(&step(&mut bob, reserve(1), 4)), Some(Refusal::Presence(BaseStatus::Busy)));
    step(&mut bob, Input::Confirmed { offer }, 5);
    assert_eq!(bob.ledger().used_units(), Units(1), "it is his");
}
