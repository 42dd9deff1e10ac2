//! Settings at random: workstreams, agents, queues.

use std::sync::Arc;

use cordboard_core::agent::{self, IdleRule, MissedRule};
use cordboard_core::capacity::{ChannelKind, Counts, Limits, Load, Reach, Units};
use cordboard_core::classification::{Action, Condition, Rule, Test};
use cordboard_core::decision::OverflowReason;
use cordboard_core::ids::QueueId;
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::{self, Order, Overflow, OverflowAction, StrategyName};
use cordboard_core::skills::{Relaxation, SkillNeed, Skills};
use cordboard_core::time::Span;
use cordboard_core::workstream::{Mode, OnOffline, Workstream, WrapUpHold};
use fastrand::Rng;

/// The queues that there can be; the first is there in every world, the others come and go.
pub const QUEUES: [&str; 3] = ["support", "sales", "night"];

pub fn pick<T: Clone>(rng: &mut Rng, options: &[T]) -> T {
    options[rng.usize(..options.len())].clone()
}

/// The queues of a configuration.
pub fn some_queues(rng: &mut Rng) -> Vec<QueueId> {
    let is_there = |(n, _): &(usize, &&str)| *n == 0 || rng.u8(..4) > 0;
    QUEUES.iter().enumerate().filter(is_there).map(|(_, queue)| QueueId::from(*queue)).collect()
}

pub fn some_needs(rng: &mut Rng) -> Vec<SkillNeed> {
    let skill = pick(rng, &["german", "billing"]);
    match rng.u8(..3) {
        0 => vec![SkillNeed { skill: skill.into(), level: rng.u8(1..=4) }],
        _ => Vec::new(),
    }
}

pub fn some_workstream(rng: &mut Rng, queues: &[QueueId]) -> Workstream {
    let mut workstream =
        Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
    let spans = [Span::seconds(1), Span::seconds(60)];
    workstream.wrap_up =
        pick(rng, &[WrapUpHold::Never, WrapUpHold::Always, WrapUpHold::For(spans[1])]);
    workstream.reassign = rng.bool();
    workstream.units = Units(10);
    let away = [BaseStatus::Online, BaseStatus::Away];
    if rng.u8(..4) == 0 {
        workstream.allowed = away.into_iter().collect();
    }
    workstream.inactivity = pick(rng, &[Span::seconds(30), Span::seconds(600)]);
    workstream.reopen_within =
        pick(rng, &[Span::seconds(0), Span::seconds(90), Span::seconds(3600)]);
    workstream.mode = if rng.u8(..8) == 0 { Mode::Pull } else { Mode::Push };
    workstream.on_offline =
        pick(rng, &[OnOffline::Keep, OnOffline::Return, OnOffline::ReturnAfter(Span::seconds(60))]);
    workstream.affinity = pick(rng, &[None, Some(Span(0)), Some(spans[1])]);
    workstream.end_after = (rng.u8(..10) == 0).then_some(Span::seconds(600));
    for n in 0..rng.usize(..3) {
        workstream.rules.push(Rule {
            name: format!("rule-{n}"),
            when: vec![Condition::Context("vip".into(), Test::Is(format!("{n}")))],
            then: Action {
                queue: Some(pick(rng, queues)),
                priority: Some(rng.i32(-2..3)),
                skills: some_needs(rng),
                units: rng.bool().then_some(Units(5)),
                message: rng.bool().then(|| "hello".to_owned()),
                ..Action::default()
            },
        });
    }
    workstream
}

pub fn some_agent(rng: &mut Rng, queues: &[QueueId]) -> agent::Settings {
    let mut queues: Vec<QueueId> = queues.iter().filter(|_| rng.bool()).cloned().collect();
    if queues.is_empty() {
        queues.push("support".into());
    }
    let mut settings = agent::Settings::with_defaults(queues);
    settings.limits = Limits {
        counts: Counts([1, 3, rng.u16(1..4).into(), 10]),
        units: Units(25),
        ..Limits::default()
    };
    settings.reach = Reach::from_iter([Load { kind: ChannelKind::Messaging, units: Units(5) }]);
    let skills: Skills = [("german", rng.u8(1..=4)), ("billing", rng.u8(1..=4))]
        .into_iter()
        .filter(|_| rng.bool())
        .map(|(skill, level)| (skill.into(), level))
        .collect();
    settings.skills = Arc::new(skills);
    settings.light = rng.u8(..12) == 0;
    let rule = IdleRule { after: Span::seconds(300), status: BaseStatus::Away };
    settings.idle = (rng.u8(..3) == 0).then_some(rule);
    let rule = MissedRule { limit: 2, status: BaseStatus::Away };
    settings.missed = (rng.u8(..3) == 0).then_some(rule);
    settings
}

pub fn some_queue_settings(rng: &mut Rng, queues: &[QueueId]) -> queue::Settings {
    let mut settings = queue::Settings {
        order: pick(rng, &[Order::Priority, Order::OldestFirst]),
        strategy: pick(
            rng,
            &[
                StrategyName::HighestSpareCapacity,
                StrategyName::RoundRobin,
                StrategyName::LongestIdle,
                StrategyName::MostSkilled,
                StrategyName::LeastActive,
                StrategyName::Plugin("coin".into()),
            ],
        ),
        settling: Span::seconds(150),
        ..queue::Settings::default()
    };
    if rng.bool() {
        settings.relax.push(Relaxation { after: Span::seconds(31), skill: None, to: 0 });
    }
    for _ in 0..rng.usize(..3) {
        settings.overflow.push(Overflow {
            when: pick(
                rng,
                &[
                    OverflowReason::Length(2),
                    OverflowReason::Wait(31_000),
                    OverflowReason::NobodySignedIn,
                ],
            ),
            then: match rng.u8(..4) {
                0 => OverflowAction::Message("you are number {position}".into()),
                1 => OverflowAction::End(None),
                _ => OverflowAction::Queue(pick(rng, queues)),
            },
        });
    }
    settings
}
