//! Strategy plugins: asked by queues, answered to queues (ROUTE-05).

use std::sync::Arc;
use std::time::Duration;

use cordboard_core::effect::Judgement;
use cordboard_core::ids::AgentId;
use cordboard_core::queue::{Input, MemberState};
use cordboard_core::skills::Skills;
use cordboard_sdk::{Candidate, RankRequest, SkillLevel, WorkItem};

use super::instance::Instance;
use super::set::Plugins;
use crate::actors::{Directory, TellQueue};
use crate::clock;
use crate::config::PluginKind;

/// A strategy that takes longer has no say: a customer waits for the answer.
const TIME_LIMIT: Duration = Duration::from_millis(500);

impl Plugins {
    /// Asks a strategy. The queue gets an answer in any case; without a say it goes by the default order.
    pub fn judge(&self, directory: &Directory, judgement: Judgement) {
        let Some(queue) = directory.queue(&judgement.queue) else { return };
        let slot = self.slot(PluginKind::Strategy, &judgement.strategy);
        let (conversation, question) = (judgement.conversation, judgement.question);
        let waits = directory.waiting.queues.count_one();
        actix::spawn(async move {
            let order = match slot.as_ref().and_then(|slot| slot.state.as_ref().ok()) {
                Some(instance) => rank(instance, &judgement).await,
                None => Vec::new(),
            };
            let input = Input::Judged { conversation, question, order };
            queue.do_send(TellQueue { input, waits });
        });
    }
}

async fn rank(instance: &Instance, judgement: &Judgement) -> Vec<AgentId> {
    let request = request(judgement);
    match tokio::time::timeout(TIME_LIMIT, instance.rank(&request)).await {
        Ok(Ok(order)) => order.into_iter().map(AgentId::new).collect(),
        Ok(Err(error)) => {
            tracing::warn!(strategy = judgement.strategy, %error, "the default order counts");
            Vec::new()
        }
        Err(_) => {
            let ms = TIME_LIMIT.as_millis();
            tracing::warn!(
                strategy = judgement.strategy,
                ms,
                "no answer in time; the default order counts"
            );
            Vec::new()
        }
    }
}

fn request(judgement: &Judgement) -> RankRequest {
    let now = clock::now();
    let demand = &judgement.demand;
    let item = WorkItem {
        conversation: judgement.conversation.to_string(),
        queue: judgement.queue.to_string(),
        kind: demand.load.kind.as_str().to_owned(),
        priority: judgement.priority,
        waited_ms: (now.0 - judgement.since.0).max(0),
        language: demand.language.clone(),
        skills: demand
            .skills
            .iter()
            .map(|need| SkillLevel { skill: need.skill.to_string(), level: need.level })
            .collect(),
    };
    let kind = demand.load.kind;
    let candidate = |(agent, state, skills): &(AgentId, MemberState, Arc<Skills>)| Candidate {
        agent: agent.to_string(),
        spare: state.spare_for(kind),
        active: state.active,
        since_assigned_ms: (state.last_assigned.0 > 0).then(|| now.0 - state.last_assigned.0),
        skills: skills
            .iter()
            .map(|(skill, level)| SkillLevel { skill: skill.to_string(), level: *level })
            .collect(),
    };
    RankRequest { item, candidates: judgement.candidates.iter().map(candidate).collect() }
}
