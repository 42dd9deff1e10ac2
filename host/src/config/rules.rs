//! Classification rules: a rule that names something unknown is refused (ROUTE-02).

use cordboard_core::capacity::Units;
use cordboard_core::classification::{Action, Condition, Rule};
use cordboard_core::ids::{ChannelId, HoursId, QueueId, SkillId};
use cordboard_core::skills::SkillNeed;

use super::load::Reader;
use super::ranges::{LEVEL, PRIORITY, UNITS};
use super::routing::Known;
use super::routing_tree::{ConditionTree, RuleTree};

impl Reader {
    pub(super) fn rule(
        &mut self,
        source: usize,
        path: &str,
        tree: RuleTree,
        known: &Known,
    ) -> Rule {
        if let Some(queue) = &tree.queue {
            self.check_name(source, &format!("{path}.queue"), "queue", queue, &known.queues);
        }
        let mut skills = Vec::new();
        for (skill, level) in &tree.skills {
            let place = format!("{path}.skills");
            self.check_name(source, &place, "skill", skill, &known.skills);
            self.check_level(source, &place, skill, *level);
            skills.push(SkillNeed { skill: SkillId::from(skill.as_str()), level: *level });
        }
        if let Some(units) = tree.units {
            self.check_number(source, &format!("{path}.units"), units, UNITS);
        }
        if let Some(priority) = tree.priority {
            self.check_number(source, &format!("{path}.priority"), priority, PRIORITY);
        }
        for (index, tag) in tree.tags.iter().enumerate() {
            self.check_visible(source, &format!("{path}.tags[{index}]"), Some(tag));
        }
        let when = tree.when.iter().enumerate().filter_map(|(index, condition)| {
            self.condition(source, &format!("{path}.when[{index}]"), condition, known)
        });
        let when = when.collect();
        Rule {
            name: tree.name,
            when,
            then: Action {
                queue: tree.queue.as_deref().map(QueueId::from),
                priority: tree.priority,
                skills,
                tags: tree.tags,
                units: tree.units.map(Units),
                message: tree.message,
            },
        }
    }

    pub(super) fn check_level(&mut self, source: usize, path: &str, skill: &str, level: u8) {
        self.check_number(source, &format!("{path}.{skill}"), level, LEVEL);
    }

    /// `None` after an error.
    fn condition(
        &mut self,
        source: usize,
        path: &str,
        tree: &ConditionTree,
        known: &Known,
    ) -> Option<Condition> {
        Some(match tree {
            ConditionTree::Channel(channels) => {
                for channel in channels {
                    self.check_name(source, path, "channel", channel, &known.channels);
                }
                let ids = channels.iter().map(|channel| ChannelId::from(channel.as_str()));
                Condition::Channel(ids.collect())
            }
            ConditionTree::Kind(kinds) => Condition::Kind(kinds.clone()),
            ConditionTree::Language(languages) => Condition::Language(languages.clone()),
            ConditionTree::Country(countries) => {
                for country in countries {
                    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_alphabetic()) {
                        let message =
                            format!("\"{country}\" isn't a country's two letters, such as \"DE\"");
                        self.problem(source, path, message);
                    }
                }
                Condition::Country(countries.clone())
            }
            ConditionTree::Contact(field, test) => {
                self.check_name(source, path, "contact field", field, &known.contact);
                Condition::Contact(field.clone(), test.clone())
            }
            ConditionTree::Account(field, test) => {
                self.check_name(source, path, "account field", field, &known.account);
                Condition::Account(field.clone(), test.clone())
            }
            ConditionTree::Context(field, test) => {
                self.check_name(source, path, "context variable", field, &known.context);
                Condition::Context(field.clone(), test.clone())
            }
            ConditionTree::Flag(flag) => Condition::Flag(*flag),
            ConditionTree::Text(test) => Condition::Text(test.clone()),
            ConditionTree::Within(name) => {
                self.hours_id(source, path, Some(name), known);
                let hours = known.hours.get(&HoursId::from(name.as_str()))?;
                Condition::Within(Box::new(hours.as_ref().clone()))
            }
            ConditionTree::Not(inner) => {
                Condition::Not(Box::new(self.condition(source, path, inner, known)?))
            }
            ConditionTree::Any(all) => Condition::Any(self.conditions(source, path, all, known)?),
            ConditionTree::All(all) => Condition::All(self.conditions(source, path, all, known)?),
        })
    }

    fn conditions(
        &mut self,
        source: usize,
        path: &str,
        trees: &[ConditionTree],
        known: &Known,
    ) -> Option<Vec<Condition>> {
        trees.iter().map(|tree| self.condition(source, path, tree, known)).collect()
    }
}
