//! A strategy that keeps experts free: of those who may have an item, the one with the least to
//! spare gets it, so that whoever knows more is there for who needs more. It is the smallest
//! complete strategy plugin as well.

#![forbid(unsafe_code)]

use cordboard_sdk::prelude::*;

/// The strategy's settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What a skill that isn't asked for counts, beside one level too much of a skill that is.
    #[serde(default = "one")]
    other_skill: u32,
}

fn one() -> u32 {
    1
}

struct KeepExperts {
    config: Config,
}

impl KeepExperts {
    /// Levels beyond what the item asks for.
    fn surplus(&self, candidate: &Candidate, item: &WorkItem) -> u32 {
        let levels = candidate.skills.iter().map(|has| {
            let need = item.skills.iter().find(|need| need.skill == has.skill);
            match need {
                Some(need) => u32::from(has.level.saturating_sub(need.level)),
                None => self.config.other_skill * u32::from(has.level),
            }
        });
        levels.sum()
    }
}

impl Strategy for KeepExperts {
    type Config = Config;

    const MANIFEST: StrategyManifest = StrategyManifest {
        name: "keep-experts",
        version: env!("CARGO_PKG_VERSION"),
        description: "Gives work to whoever knows just enough for it",
        hosts: &[],
    };

    async fn open(config: Config, _: Host) -> Result<Self, OpenError> {
        Ok(Self { config })
    }

    async fn rank(&self, request: RankRequest) -> Vec<String> {
        let RankRequest { item, mut candidates } = request;
        // The sort is stable: among equals the host's own order counts.
        candidates.sort_by_key(|candidate| self.surplus(candidate, &item));
        candidates.into_iter().map(|candidate| candidate.agent).collect()
    }
}

cordboard_sdk::export_strategy!(KeepExperts);

#[cfg(test)]
mod tests {
    use cordboard_sdk::testkit::{FakeHost, run};

    use super::*;

    fn candidate(agent: &str, skills: &[(&str, u8)]) -> Candidate {
        let skills = skills
            .iter()
            .map(|(skill, level)| SkillLevel { skill: (*skill).into(), level: *level })
            .collect();
        Candidate { agent: agent.into(), spare: 1, active: 0, since_assigned_ms: None, skills }
    }

    // ROUTE-05
    #[test]
    fn whoever_knows_just_enough_goes_first() {
        let fake = FakeHost::new();
        let strategy = run(KeepExperts::open(Config { other_skill: 1 }, fake.host())).unwrap();
        let item = WorkItem {
            conversation: "1".into(),
            queue: "support".into(),
            kind: "messaging".into(),
            priority: 0,
            waited_ms: 0,
            language: "de".into(),
            skills: vec![SkillLevel { skill: "german".into(), level: 2 }],
        };
        let candidates = vec![
            candidate("expert", &[("german", 9), ("billing", 9)]),
            candidate("enough", &[("german", 2)]),
            candidate("more", &[("german", 4)]),
        ];
        let order = run(strategy.rank(RankRequest { item, candidates }));
        assert_eq!(order, ["enough", "more", "expert"]);
    }
}
