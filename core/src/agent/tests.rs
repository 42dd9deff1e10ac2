//! Tables of inputs and effects.

use super::*;
use crate::capacity::{Counts, Units};
use crate::conversation;
use crate::offer::{Outcome, Refusal, Reserve};
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
    })
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
    step(&mut agent, Input::Connected { resumed: false }, 0);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Online, PresenceSource::Computed));
    let conversation = ConversationId(Uuid::from_u128(9));
    step(&mut agent, Input::HoldByHand { conversation, load: LOAD }, 1);
    assert_eq!(agent.presence().status, BaseStatus::Busy, "full");
    let lunch = Some((BaseStatus::Away, "Lunch".to_owned()));
    step(&mut agent, Input::SetPresence(lunch), 2);
    step(&mut agent, Input::Release { conversation }, 3);
    let presence = agent.presence();
    assert_eq!((presence.status, presence.label.as_ref()), (BaseStatus::Away, "Lunch"));
    step(&mut agent, Input::SignOut, 4);
    step(&mut agent, Input::Connected { resumed: false }, 5);
    assert_eq!(agent.presence().status, BaseStatus::Online, "the override ended with sign-out");
}

// PRES-04
#[test]
fn presence_outlives_a_short_break_and_offers_dont_outlive_a_long_one() {
    let mut agent = agent(|_| {});
    step(&mut agent, Input::Connected { resumed: false }, 0);
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Online, "In".into()))), 0);
    step(&mut agent, Input::Disconnected, 1000);
    step(&mut agent, Input::Wake, 150_999);
    assert_eq!(agent.presence().label, "In");
    step(&mut agent, Input::Connected { resumed: false }, 150_999);
    step(&mut agent, Input::Wake, 151_000);
    assert_eq!(agent.presence().label, "In", "back in time");

    step(&mut agent, Input::Disconnected, 200_000);
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
    step(&mut agent, Input::Connected { resumed: false }, 0);
    assert_eq!(agent.presence(), Presence::plain(BaseStatus::Away, PresenceSource::Default));
    step(&mut agent, Input::SetPresence(None), 1);
    assert_eq!(agent.presence().status, BaseStatus::Online);
    step(&mut agent, Input::Connected { resumed: false }, 2);
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
    step(&mut agent, Input::Connected { resumed: false }, 0);
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
    step(&mut agent, Input::Connected { resumed: false }, 0);
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
    let mut agent = agent(|s| {
        s.limits.counts = Counts([1, 3, 1, 10]);
        s.kinds = [ChannelKind::Messaging].into_iter().collect();
    });
    step(&mut agent, Input::Connected { resumed: false }, 0);
    let conversation = ConversationId(Uuid::from_u128(9));
    step(&mut agent, Input::HoldByHand { conversation, load: LOAD }, 1);
    assert_eq!(agent.presence().status, BaseStatus::Busy, "no call or email can come");
}

// PRES-05 PRES-04
#[test]
fn a_refresh_sets_the_default_and_a_short_break_doesnt() {
    let mut agent = agent(|s| s.default_presence = Some(BaseStatus::Away));
    step(&mut agent, Input::Connected { resumed: false }, 0);
    step(&mut agent, Input::SetPresence(Some((BaseStatus::Online, "online".into()))), 1);
    step(&mut agent, Input::Disconnected, 2);
    step(&mut agent, Input::Connected { resumed: true }, 3);
    assert_eq!(agent.presence().status, BaseStatus::Online, "the connection broke");
    step(&mut agent, Input::Disconnected, 4);
    step(&mut agent, Input::Connected { resumed: false }, 5);
    assert_eq!(agent.presence().status, BaseStatus::Away, "the page was loaded again");
}
