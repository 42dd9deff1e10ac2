//! Sessions: one agent's engagement in a conversation, told by its events (CONV-09).

use cordboard_core::conversation::Event;
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the agent was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Had it.
    Primary,
    /// Gave advice.
    Consultant,
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Session {
    /// In which conversation.
    pub conversation: ConversationId,
    /// Whose.
    pub agent: AgentId,
    /// What they were there.
    pub part: Part,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; none: it goes on.
    pub ended_at: Option<Timestamp>,
}

/// What an event means for sessions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SessionOp {
    /// One begins.
    Begin(AgentId, Part),
    /// Those of a part end: of an agent, or of everybody.
    End(Part, Option<AgentId>),
}

impl SessionOp {
    /// In the order in which they are to be applied.
    pub fn of(event: &Event) -> Vec<Self> {
        match event {
            Event::Assigned { agent, .. } => vec![Self::Begin(agent.clone(), Part::Primary)],
            Event::Transferred { to, .. } | Event::TakenOver { to, .. } => vec![
                Self::End(Part::Primary, None),
                Self::End(Part::Consultant, Some(to.clone())),
                Self::Begin(to.clone(), Part::Primary),
            ],
            Event::ConsultJoined { agent, .. } => {
                vec![Self::Begin(agent.clone(), Part::Consultant)]
            }
            Event::ConsultLeft { agent } => {
                vec![Self::End(Part::Consultant, Some(agent.clone()))]
            }
            Event::Unassigned { .. } | Event::Closed => {
                vec![Self::End(Part::Primary, None), Self::End(Part::Consultant, None)]
            }
            Event::WrapUpStarted { .. } => vec![Self::End(Part::Consultant, None)],
            _ => Vec::new(),
        }
    }
}

/// Parts as the column has them.
pub(super) const fn part_number(part: Part) -> i64 {
    match part {
        Part::Primary => 0,
        Part::Consultant => 1,
    }
}

pub(super) const fn part_of(number: i64) -> Part {
    match number {
        0 => Part::Primary,
        _ => Part::Consultant,
    }
}

/// The sessions of a conversation, in the order in which they began.
pub fn fold_sessions(
    conversation: ConversationId,
    events: impl Iterator<Item = (Timestamp, Event)>,
) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for (at, event) in events {
        for op in SessionOp::of(&event) {
            match op {
                SessionOp::Begin(agent, part) => {
                    sessions.push(Session {
                        conversation,
                        agent,
                        part,
                        began_at: at,
                        ended_at: None,
                    });
                }
                SessionOp::End(part, agent) => end(&mut sessions, part, agent.as_ref(), at),
            }
        }
    }
    sessions
}

fn end(sessions: &mut [Session], part: Part, agent: Option<&AgentId>, at: Timestamp) {
    for session in sessions.iter_mut().filter(|s| s.ended_at.is_none() && s.part == part) {
        if agent.is_none_or(|agent| session.agent == *agent) {
            session.ended_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_core::ids::OfferId;
    use uuid::Uuid;

    // CONV-09
    #[test]
    fn who_had_it_and_who_advised_and_for_how_long() {
        let offer = || OfferId { queue: "support".into(), number: 1 };
        let events = [
            Event::Assigned { agent: "kim".into(), offer: offer() },
            Event::ConsultJoined { agent: "lee".into(), offer: offer() },
            Event::Transferred { from: "kim".into(), to: "lee".into(), offer: offer() },
            Event::WrapUpStarted { by: None },
            Event::Closed,
        ];
        let events = (1..).map(Timestamp).zip(events);
        let sessions = fold_sessions(ConversationId(Uuid::from_u128(1)), events);
        let told: Vec<_> = sessions
            .iter()
            .map(|s| (s.agent.as_str(), s.part, s.began_at.0, s.ended_at.map(|at| at.0)))
            .collect();
        assert_eq!(
            told,
            [
                ("kim", Part::Primary, 1, Some(3)),
                ("lee", Part::Consultant, 2, Some(3)),
                ("lee", Part::Primary, 3, Some(5)),
            ]
        );
    }
}
