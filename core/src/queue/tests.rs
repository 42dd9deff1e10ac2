//! Tables of inputs and effects.

use super::*;
use crate::capacity::Units;
use crate::offer::Outcome;
use crate::offer::Purpose;
use crate::presence::BaseStatus;
use crate::workstream::Mode;
use uuid::Uuid;

fn id(n: u128) -> ConversationId {
    ConversationId(Uuid::from_u128(n))
}

fn demand(change: impl FnOnce(&mut Demand)) -> Arc<Demand> {
    let mut demand = Demand {
        load: Load { kind: ChannelKind::Messaging, units: Units(1) },
        allowed: [BaseStatus::Online].into_iter().collect(),
        skills: Vec::new(),
        mode: Mode::Push,
        offer_timeout: Span::seconds(30),
        reassign: true,
        language: "en".into(),
        hours: None,
    };
    change(&mut demand);
    Arc::new(demand)
}

fn item(n: u128, since: i64, priority: i32) -> Item {
    Item {
        conversation: id(n),
        since: Timestamp(since),
        priority,
        demand: demand(|_| {}),
        prefer: None,
        refused: Vec::new(),
        visited: Vec::new(),
        purpose: Purpose::Work,
    }
}

fn member(agent: &str, status: BaseStatus, spare: u16, last_assigned: i64) -> Input {
    skilled(agent, status, spare, last_assigned, &[])
}

fn skilled(
    agent: &str,
    status: BaseStatus,
    spare: u16,
    last_assigned: i64,
    skills: &[(&str, u8)],
) -> Input {
    let skills = skills.iter().map(|(skill, level)| ((*skill).into(), *level)).collect();
    let state = MemberState {
        status,
        spare: [spare; 4],
        spare_units: 100,
        active: 0,
        last_assigned: Timestamp(last_assigned),
        idle_since: Timestamp(last_assigned),
        sign_in: 1,
    };
    Input::Member { agent: agent.into(), state, skills: Some(Arc::new(skills)) }
}

fn step(queue: &mut Queue, input: Input) -> Vec<(String, OfferId, u128)> {
    step_at(queue, input, 0)
}

fn step_at(queue: &mut Queue, input: Input, at: i64) -> Vec<(String, OfferId, u128)> {
    let mut fx = Effects::new();
    queue.handle(input, Timestamp(at), &mut fx);
    let reserves = fx.then.into_iter().filter_map(|effect| match effect {
        Effect::Agent(agent, agent::Input::Reserve(reserve)) => {
            Some((agent.to_string(), reserve.offer, reserve.conversation.0.as_u128()))
        }
        _ => None,
    });
    reserves.collect()
}

fn queue(order: Order) -> Queue {
    queue_with(|settings| settings.order = order)
}

fn queue_with(change: impl FnOnce(&mut Settings)) -> Queue {
    let mut settings = Settings::default();
    change(&mut settings);
    Queue::new("support".into(), Arc::new(settings), 1)
}

/// The agent grants the reservation, and the offer ends this way.
fn end(queue: &mut Queue, offer: &OfferId, outcome: Outcome) -> Vec<(String, OfferId, u128)> {
    step(queue, Input::Reserved { offer: offer.clone() });
    step(queue, Input::OfferEnded { offer: offer.clone(), outcome })
}

// ROUTE-03
#[test]
fn priority_first_then_age_or_age_alone() {
    for (order, expected) in [(Order::Priority, [3, 1, 2]), (Order::OldestFirst, [1, 2, 3])] {
        let mut queue = queue(order);
        for (n, since, priority) in [(2, 20, 0), (1, 10, 0), (3, 30, 5)] {
            assert!(
                step(&mut queue, Input::Enqueue(Box::new(item(n, since, priority)))).is_empty()
            );
        }
        let given = step(&mut queue, member("kim", BaseStatus::Online, 3, 0));
        let order: Vec<u128> = given.iter().map(|(_, _, conversation)| *conversation).collect();
        assert_eq!(order, expected);
    }
}

// ROUTE-05
#[test]
fn the_most_spare_capacity_wins_then_the_longest_without_work() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("busy", BaseStatus::Online, 1, 0));
    step(&mut queue, member("recent", BaseStatus::Online, 3, 500));
    step(&mut queue, member("rested", BaseStatus::Online, 3, 100));
    let given: Vec<String> = (1..=4)
        .flat_map(|n| step(&mut queue, Input::Enqueue(Box::new(item(n, 0, 0)))))
        .map(|(agent, ..)| agent)
        .collect();
    // Each reservation takes a place at once, before the agent has spoken.
    assert_eq!(given, ["rested", "recent", "rested", "recent"]);
}

// ROUTE-04 ROUTE-06
#[test]
fn only_the_eligible_are_asked() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("away", BaseStatus::Away, 5, 0));
    step(&mut queue, member("full", BaseStatus::Online, 0, 0));
    step(&mut queue, member("gone", BaseStatus::Offline, 5, 0));
    assert!(step(&mut queue, Input::Enqueue(Box::new(item(1, 0, 0)))).is_empty());
    let mut email = item(2, 0, 0);
    email.demand = demand(|d| {
        d.load.kind = ChannelKind::Email;
        d.allowed = [BaseStatus::Online, BaseStatus::Away].into_iter().collect();
    });
    assert_eq!(step(&mut queue, Input::Enqueue(Box::new(email)))[0].0, "away");
    // ROUTE-20: the moment somebody becomes eligible.
    assert_eq!(step(&mut queue, member("full", BaseStatus::Online, 1, 0))[0].2, 1);
}

// ROUTE-07 ROUTE-08
#[test]
fn an_expired_offer_goes_round_and_a_refused_one_elsewhere() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("a", BaseStatus::Online, 5, 0));
    step(&mut queue, member("b", BaseStatus::Online, 5, 1));
    let [(first, offer, _)] = &step(&mut queue, Input::Enqueue(Box::new(item(1, 0, 0))))[..] else {
        panic!()
    };
    assert_eq!(first, "a");
    let [(second, offer, _)] = &end(&mut queue, offer, Outcome::Expired)[..] else { panic!() };
    assert_eq!(second, "b");
    let [(third, offer, _)] = &end(&mut queue, offer, Outcome::Expired)[..] else { panic!() };
    assert_eq!(third, "a", "a new round, or the item would wait beside free agents");
    let [(fourth, offer, _)] = &end(&mut queue, offer, Outcome::Refused)[..] else { panic!() };
    assert_eq!(fourth, "b");
    let [(fifth, offer, _)] = &end(&mut queue, offer, Outcome::Expired)[..] else { panic!() };
    assert_eq!(fifth, "b", "the one who refused is left alone");
    assert!(end(&mut queue, offer, Outcome::Refused).is_empty());
    assert_eq!(queue.waiting().len(), 1, "nobody is left; it keeps its place");
    step(&mut queue, member("a", BaseStatus::Offline, 5, 0));
    let mut signed_in_anew = member("a", BaseStatus::Online, 5, 0);
    if let Input::Member { state, .. } = &mut signed_in_anew {
        state.sign_in += 1;
    }
    assert_eq!(step(&mut queue, signed_in_anew).len(), 1, "a new sign-in is a new chance");
}

// ROUTE-07
#[test]
fn with_reassignment_off_the_same_agent_is_offered_it_again() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("a", BaseStatus::Online, 1, 0));
    step(&mut queue, member("b", BaseStatus::Online, 5, 9));
    let stubborn = Item { demand: demand(|d| d.reassign = false), ..item(1, 0, 0) };
    let [(first, offer, _)] = &step(&mut queue, Input::Enqueue(Box::new(stubborn)))[..] else {
        panic!()
    };
    assert_eq!(first, "b");
    step(&mut queue, member("a", BaseStatus::Online, 9, 0));
    assert_eq!(end(&mut queue, offer, Outcome::Expired)[0].0, "b");
}

#[test]
fn a_taken_item_is_taken_back_from_everybody_else() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("a", BaseStatus::Online, 5, 0));
    let [(_, offer, _)] = &step(&mut queue, Input::Enqueue(Box::new(item(1, 0, 0))))[..] else {
        panic!()
    };
    step(&mut queue, Input::Reserved { offer: offer.clone() });
    let earlier = OfferId { queue: "support".into(), number: 0 };
    let mut fx = Effects::new();
    let taken = Input::Taken { conversation: id(1), offer: earlier };
    queue.handle(taken, Timestamp(0), &mut fx);
    assert!(matches!(&fx.then[..], [Effect::Agent(_, agent::Input::Withdraw { .. })]));
    assert!(queue.is_empty());
}

// ROUTE-05
#[test]
fn each_strategy_has_its_own_first() {
    // Who has most room, who got work longest ago, who has been idle longest, who has least in hand.
    let floor = |queue: &mut Queue| {
        let mut say = |agent: &str, spare: u16, active: u16, last: i64, idle: i64, german: u8| {
            let state = MemberState {
                status: BaseStatus::Online,
                spare: [spare; 4],
                spare_units: 100,
                active,
                last_assigned: Timestamp(last),
                idle_since: Timestamp(idle),
                sign_in: 1,
            };
            let skills = Arc::new([("german".into(), german)].into_iter().collect());
            let _ = step(queue, Input::Member { agent: agent.into(), state, skills: Some(skills) });
        };
        say("roomy", 9, 2, 900, 900, 2);
        say("rested", 4, 0, 500, 100, 3);
        say("expert", 3, 1, 300, 700, 9);
        say("new", 2, 0, 100, 800, 1);
    };
    let table = [
        (StrategyName::HighestSpareCapacity, "roomy"),
        (StrategyName::LongestIdle, "rested"),
        (StrategyName::MostSkilled, "expert"),
        (StrategyName::LeastActive, "new"),
    ];
    let german = || {
        let need = crate::skills::SkillNeed { skill: "german".into(), level: 1 };
        Item { demand: demand(|d| d.skills = vec![need]), ..item(1, 0, 0) }
    };
    for (strategy, first) in table {
        let mut queue = queue_with(|settings| settings.strategy = strategy.clone());
        floor(&mut queue);
        let given = step(&mut queue, Input::Enqueue(Box::new(german())));
        assert_eq!(given[0].0, first, "{strategy:?}");
    }
    let mut queue = queue_with(|settings| settings.strategy = StrategyName::RoundRobin);
    floor(&mut queue);
    let given: Vec<String> = (1..=5)
        .flat_map(|n| {
            step(&mut queue, Input::Enqueue(Box::new(Item { conversation: id(n), ..german() })))
        })
        .map(|(agent, ..)| agent)
        .collect();
    assert_eq!(given, ["roomy", "rested", "expert", "new", "roomy"]);
}

// ROUTE-08 ROUTE-11
#[test]
fn a_refused_call_goes_round_until_its_wait_ends() {
    let mut queue = queue_with(|settings| {
        settings.overflow.push(Overflow {
            when: crate::decision::OverflowReason::Wait(60_000),
            then: OverflowAction::End(Some("Sorry.".into())),
        });
    });
    step(&mut queue, member("a", BaseStatus::Online, 1, 0));
    step(&mut queue, member("b", BaseStatus::Online, 1, 1));
    let call = Item { demand: demand(|d| d.load.kind = ChannelKind::Voice), ..item(1, 0, 0) };
    let mut offers = step(&mut queue, Input::Enqueue(Box::new(call)));
    for expected in ["a", "b", "a", "b"] {
        let (agent, offer, _) = offers.remove(0);
        assert_eq!(agent, expected, "a refusal isn't the end for a call");
        step(&mut queue, Input::Reserved { offer: offer.clone() });
        let ended = Input::OfferEnded { offer, outcome: Outcome::Refused };
        offers = step(&mut queue, ended);
        // The agent says that its place is free again.
        offers.extend(step(&mut queue, member(expected, BaseStatus::Online, 1, 0)));
    }
    let (_, offer, _) = offers.remove(0);
    step(&mut queue, Input::Reserved { offer: offer.clone() });
    assert_eq!(queue.wake_at(), Some(Timestamp(60_000)));
    let mut fx = Effects::new();
    queue.handle(Input::Wake, Timestamp(60_000), &mut fx);
    assert!(fx.then.is_empty(), "whoever is being rung may still answer");
    let refused = Input::OfferEnded { offer, outcome: Outcome::Refused };
    queue.handle(refused, Timestamp(61_000), &mut fx);
    let ends = fx
        .then
        .iter()
        .any(|effect| matches!(effect, Effect::Conversation(_, conversation::Input::Overflow(_))));
    assert!(ends && queue.is_empty(), "the overflow rule applies at the end of its wait");
}

// ROUTE-04 ROUTE-17
#[test]
fn who_no_longer_knows_enough_loses_the_offer() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, skilled("a", BaseStatus::Online, 2, 0, &[("german", 3)]));
    let need = crate::skills::SkillNeed { skill: "german".into(), level: 3 };
    let german = Item { demand: demand(|d| d.skills = vec![need]), ..item(1, 0, 0) };
    let (_, offer, _) = step(&mut queue, Input::Enqueue(Box::new(german))).remove(0);
    step(&mut queue, Input::Reserved { offer: offer.clone() });
    let mut fx = Effects::new();
    let forgets = skilled("a", BaseStatus::Online, 2, 0, &[("german", 1)]);
    queue.handle(forgets, Timestamp(1), &mut fx);
    let is_withdrawn = fx.then.iter().any(|effect| {
        matches!(effect, Effect::Agent(_, agent::Input::Withdraw { offer: o }) if *o == offer)
    });
    assert!(is_withdrawn);
    assert_eq!(queue.waiting(), [id(1)], "it waits for somebody else");
}

// ROUTE-11 ROUTE-17
#[test]
fn nothing_moves_while_the_configuration_changes() {
    let overflow = |settings: &mut Settings| {
        settings.overflow.push(Overflow {
            when: crate::decision::OverflowReason::Length(1),
            then: OverflowAction::End(None),
        });
    };
    let mut queue = queue_with(overflow);
    let mut fx = Effects::new();
    for input in [
        Input::Hold,
        member("a", BaseStatus::Online, 1, 0),
        Input::Enqueue(Box::new(item(1, 0, 0))),
        Input::Enqueue(Box::new(item(2, 1, 0))),
        Input::Enqueue(Box::new(item(3, 2, 0))),
    ] {
        queue.handle(input, Timestamp(5), &mut fx);
    }
    assert!(fx.then.is_empty(), "{:?}", fx.then);
    assert_eq!(queue.waiting(), [id(1), id(2), id(3)], "each has its place in line");
    queue.handle(Input::GoOn, Timestamp(6), &mut fx);
    let offered = |effect: &Effect| matches!(effect, Effect::Agent(_, agent::Input::Reserve(_)));
    assert_eq!(fx.then.iter().filter(|effect| offered(effect)).count(), 1);
    assert_eq!(queue.waiting(), [id(3)], "and the second went by the overflow rule");
}

// ROUTE-04 ROUTE-20
#[test]
fn who_has_the_item_still_is_asked_again_when_they_let_it_go() {
    let mut queue = queue(Order::Priority);
    step(&mut queue, member("a", BaseStatus::Online, 2, 0));
    let (_, offer, _) = step(&mut queue, Input::Enqueue(Box::new(item(1, 0, 0)))).remove(0);
    let no = Input::NotReserved { offer, reason: crate::offer::Refusal::AlreadyThere };
    assert!(step(&mut queue, no).is_empty(), "not at once, or it would be asked for ever");
    assert_eq!(queue.waiting(), [id(1)]);
    // Another item is another matter.
    let other = step(&mut queue, Input::Enqueue(Box::new(item(2, 0, 0))));
    assert_eq!(other[0].2, 2);
    let again = step(&mut queue, member("a", BaseStatus::Online, 3, 0));
    assert_eq!(again.iter().map(|(_, _, item)| *item).collect::<Vec<_>>(), [1]);
}

// ROUTE-04 ROUTE-11
#[test]
fn a_refusal_counts_in_the_next_queue_until_a_new_sign_in() {
    for (sign_in, offers) in [(1, 0), (2, 1)] {
        let mut queue = queue(Order::Priority);
        let mut word = member("a", BaseStatus::Online, 2, 0);
        if let Input::Member { state, .. } = &mut word {
            state.sign_in = sign_in;
        }
        step(&mut queue, word);
        let refused = vec![Declined { agent: "a".into(), sign_in: Some(1) }];
        let item = Item { refused, ..item(1, 0, 0) };
        assert_eq!(step(&mut queue, Input::Enqueue(Box::new(item))).len(), offers);
    }
}

// ROUTE-11 ROUTE-17
#[test]
fn a_message_is_sent_once_however_rules_are_moved_about() {
    let after = |ms: i64, text: &str| Overflow {
        when: crate::decision::OverflowReason::Wait(ms),
        then: OverflowAction::Message(text.into()),
    };
    let told = |queue: &mut Queue, input: Input, at: i64| {
        let mut fx = Effects::new();
        queue.handle(input, Timestamp(at), &mut fx);
        let texts = fx.then.into_iter().filter_map(|effect| match effect {
            Effect::Conversation(_, conversation::Input::Overflow(overflow)) => {
                match overflow.then {
                    OverflowAction::Message(text) => Some(text),
                    _ => None,
                }
            }
            _ => None,
        });
        texts.collect::<Vec<String>>()
    };
    let configured = |rules: Vec<Overflow>| {
        Input::Configure(Arc::new(Settings { overflow: rules, ..Settings::default() }))
    };
    let mut queue = queue_with(|settings| {
        settings.overflow = vec![after(1_000, "soon"), after(5_000, "later")];
    });
    step(&mut queue, member("kim", BaseStatus::Away, 1, 0));
    step_at(&mut queue, Input::Enqueue(Box::new(item(1, 0, 0))), 0);
    assert_eq!(told(&mut queue, Input::Wake, 1_000), ["soon"]);
    // Another one before it, its text mended, and more of them than there are bits in a word.
    let mut rules = vec![after(60_000, "much later"), after(1_000, "soon!"), after(5_000, "later")];
    rules.extend((0..70).map(|n| after(100_000 + n, &n.to_string())));
    assert!(told(&mut queue, configured(rules.clone()), 2_000).is_empty());
    assert_eq!(told(&mut queue, Input::Wake, 5_000), ["later"]);
    rules.reverse();
    assert!(told(&mut queue, configured(rules), 6_000).is_empty());
    assert_eq!(told(&mut queue, Input::Wake, 60_000), ["much later"]);
    let rest = told(&mut queue, Input::Wake, 200_000);
    assert_eq!(rest.len(), 70, "each once: {rest:?}");
    assert!(told(&mut queue, Input::Wake, 300_000).is_empty());
}
