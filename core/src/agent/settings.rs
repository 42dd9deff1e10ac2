//! An agent's settings, from the configuration.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::{Limits, Reach};
use crate::ids::QueueId;
use crate::presence::BaseStatus;
use crate::skills::Skills;
use crate::time::Span;

/// What happens to somebody of whom nothing is heard (PRES-06).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IdleRule {
    /// For longer than this.
    pub after: Span,
    /// They are set to this.
    pub status: BaseStatus,
}

/// What happens to somebody who lets offers expire (PRES-07).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MissedRule {
    /// So many in a row.
    pub limit: u32,
    /// They are set to this.
    pub status: BaseStatus,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Member of these queues.
    pub queues: Vec<QueueId>,
    /// CAP-01, CAP-03.
    pub limits: Limits,
    /// ROUTE-04.
    pub skills: Arc<Skills>,
    /// What can come to them through their queues: full means that nothing of it fits (PRES-02).
    #[serde(default)]
    pub reach: Reach,
    /// Has no licence to take work (PRES-08).
    pub light: bool,
    /// Set at sign-in, and when a screen comes back after the grace; `None`: computed from used
    /// capacity (PRES-05).
    pub default_presence: Option<BaseStatus>,
    /// How long presence outlives the last screen (PRES-04).
    pub grace: Span,
    /// PRES-06.
    pub idle: Option<IdleRule>,
    /// PRES-07.
    pub missed: Option<MissedRule>,
}

impl Settings {
    /// How long presence outlives the last screen, if nothing else is said (PRES-04).
    pub const GRACE: Span = Span::seconds(150);

    /// The defaults of features.md for a member of these queues.
    pub fn with_defaults(queues: Vec<QueueId>) -> Self {
        Self {
            queues,
            limits: Limits::default(),
            skills: Arc::default(),
            reach: Reach::default(),
            light: false,
            default_presence: None,
            grace: Self::GRACE,
            idle: None,
            missed: None,
        }
    }
}
