//! Classification: which queue, how urgent, which skills (ROUTE-01).
//!
//! Rules are looked at in their order; a rule's conditions compare borrowed facts, so that looking
//! at a rule allocates nothing. Names in rules were checked when the configuration was loaded
//! (ROUTE-02).

mod condition;

use serde::{Deserialize, Serialize};

use crate::capacity::Units;
use crate::ids::QueueId;
use crate::skills::SkillNeed;
use crate::workstream::{Matching, Workstream};

pub use condition::{Attributes, Condition, Facts, Flag, Flags, Test};

/// What a rule sets. What isn't given stays as it was.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Action {
    /// Where it waits.
    pub queue: Option<QueueId>,
    /// Higher goes first.
    pub priority: Option<i32>,
    /// What the agent must know.
    pub skills: Vec<SkillNeed>,
    /// For reports and lists.
    pub tags: Vec<String>,
    /// Weight on the agent's capacity.
    pub units: Option<Units>,
    /// A text to the customer, sent once as the conversation begins.
    pub message: Option<String>,
}

/// One rule: all of its conditions must hold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// What people know it by; it stands in the record of each decision.
    pub name: String,
    /// Without any it always matches.
    pub when: Vec<Condition>,
    /// What it sets.
    pub then: Action,
}

/// What a conversation was classified as.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Classification {
    /// Where it waits; empty in conversations of before there were rules.
    pub queue: Option<QueueId>,
    /// Higher goes first.
    pub priority: i32,
    /// Weight on the agent's capacity.
    pub units: Units,
    /// What the agent must know.
    pub skills: Vec<SkillNeed>,
    /// For reports and lists.
    pub tags: Vec<String>,
    /// The rules that matched, in order; none: the workstream's own settings.
    pub rules: Vec<String>,
}

/// Applies a workstream's rules. The second value are texts that the matching rules want sent.
pub fn classify(workstream: &Workstream, facts: &Facts<'_>) -> (Classification, Vec<String>) {
    let mut result = Classification {
        queue: Some(workstream.queue.clone()),
        priority: workstream.priority,
        units: workstream.units,
        ..Classification::default()
    };
    let mut messages = Vec::new();
    for rule in &workstream.rules {
        if !rule.when.iter().all(|condition| condition.holds(facts)) {
            continue;
        }
        result.apply(rule);
        messages.extend(rule.then.message.clone());
        if workstream.matching == Matching::First {
            break;
        }
    }
    (result, messages)
}

impl Classification {
    fn apply(&mut self, rule: &Rule) {
        let Action { queue, priority, skills, tags, units, .. } = &rule.then;
        self.rules.push(rule.name.clone());
        if let Some(queue) = queue {
            self.queue = Some(queue.clone());
        }
        self.priority = priority.unwrap_or(self.priority);
        self.units = units.unwrap_or(self.units);
        for need in skills {
            // Two rules that ask for the same skill ask for the higher level.
            match self.skills.iter_mut().find(|known| known.skill == need.skill) {
                Some(known) => known.level = known.level.max(need.level),
                None => self.skills.push(need.clone()),
            }
        }
        for tag in tags {
            if !self.tags.contains(tag) {
                self.tags.push(tag.clone());
            }
        }
        self.skills.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::ChannelKind;
    use crate::time::Timestamp;

    fn rule(name: &str, when: Vec<Condition>, then: Action) -> Rule {
        Rule { name: name.into(), when, then }
    }

    fn workstream(matching: Matching, rules: Vec<Rule>) -> Workstream {
        let mut workstream =
            Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
        workstream.rules = rules;
        workstream.matching = matching;
        workstream
    }

    // ROUTE-01
    #[test]
    fn the_first_match_or_all_of_them() {
        let german = vec![Condition::Language(vec!["de".into()])];
        let need = |skill: &str, level| SkillNeed { skill: skill.into(), level };
        let rules = vec![
            rule(
                "germans",
                german,
                Action {
                    queue: Some("dach".into()),
                    priority: Some(5),
                    skills: vec![need("german", 3)],
                    tags: vec!["dach".into()],
                    ..Action::default()
                },
            ),
            rule(
                "refunds",
                vec![Condition::Text(Test::Contains("refund".into()))],
                Action {
                    priority: Some(9),
                    skills: vec![need("german", 2), need("billing", 1)],
                    units: Some(Units(20)),
                    message: Some("We'll look into it.".into()),
                    ..Action::default()
                },
            ),
        ];
        let attributes = Attributes::default();
        let (channel, mut facts) = ("sms".into(), Facts::of(&attributes));
        facts.channel = Some(&channel);
        facts.language = "de";
        facts.text = "A Refund, please";
        facts.now = Timestamp(0);

        let (first, messages) = classify(&workstream(Matching::First, rules.clone()), &facts);
        assert_eq!(first.rules, ["germans"]);
        assert_eq!((first.queue, first.priority), (Some("dach".into()), 5));
        assert!(messages.is_empty());

        let (all, messages) = classify(&workstream(Matching::All, rules.clone()), &facts);
        assert_eq!(all.rules, ["germans", "refunds"]);
        assert_eq!((all.queue, all.priority, all.units), (Some("dach".into()), 9, Units(20)));
        assert_eq!(all.skills, [need("billing", 1), need("german", 3)]);
        assert_eq!(messages, ["We'll look into it."]);

        facts.language = "fr";
        facts.text = "bonjour";
        let (none, _) = classify(&workstream(Matching::First, rules), &facts);
        assert_eq!((none.queue, none.rules.len()), (Some("support".into()), 0));
    }
}
