//! An agent's availability: a label mapped on a base status (PRES-01).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What the engine understands of a status.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BaseStatus {
    /// Takes work.
    Online,
    /// Signed in, not at the desk.
    Away,
    /// Capacity is used up, or the agent says so.
    Busy,
    /// Wants nothing at all.
    DoNotDisturb,
    /// Takes only what colleagues hand over.
    TransfersOnly,
    /// Not signed in.
    Offline,
}

impl BaseStatus {
    /// As it is written in configuration, API and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::DoNotDisturb => "do_not_disturb",
            Self::TransfersOnly => "transfers_only",
            Self::Offline => "offline",
        }
    }
}

/// Whether an agent is at their desk, as far as conversations care (ROUTE-18, 19). `busy`,
/// `do_not_disturb` and `transfers_only` take no new work but are there for what they have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attendance {
    /// At the desk.
    #[default]
    Here,
    /// Signed in, not at the desk: absent for workstreams that give no work to `away`.
    Away,
    /// Not signed in.
    Offline,
}

impl Attendance {
    /// Away from their desk is who says so, or of whom nothing is heard. Who signs in as `away` by the
    /// administrator's default, or has let offers expire, gets nothing new but is there for what they
    /// have.
    pub fn of(status: BaseStatus, source: PresenceSource) -> Self {
        match (status, source) {
            (BaseStatus::Offline, _) => Self::Offline,
            (BaseStatus::Away, PresenceSource::Manual | PresenceSource::Idle) => Self::Away,
            _ => Self::Here,
        }
    }

    /// Whether they aren't there for work that is given to these (ROUTE-19).
    pub fn is_absence(self, allowed: StatusSet) -> bool {
        match self {
            Self::Here => false,
            Self::Away => !allowed.contains(BaseStatus::Away),
            Self::Offline => true,
        }
    }
}

/// Where the present status comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PresenceSource {
    /// From used capacity and connection (PRES-02).
    Computed,
    /// The agent chose it (PRES-03).
    Manual,
    /// The administrator's default at sign-in (PRES-05).
    Default,
    /// Nothing was heard of the agent for longer than the rule allows (PRES-06).
    Idle,
    /// Too many offers in a row were missed (PRES-07).
    MissedOffers,
}

/// A status with its label, as agents and supervisors see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Presence {
    /// The base status that routing goes by.
    pub status: BaseStatus,
    /// What is shown: the custom label, or the base status's own name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub label: Cow<'static, str>,
    /// Who decided it.
    pub source: PresenceSource,
}

impl Presence {
    /// Chosen by the agent, under its label (PRES-03).
    pub fn by_hand((status, label): (BaseStatus, String)) -> Self {
        Self { status, label: label.into(), source: PresenceSource::Manual }
    }

    /// A status under its own name.
    pub fn plain(status: BaseStatus, source: PresenceSource) -> Self {
        Self { status, label: Cow::Borrowed(status.as_str()), source }
    }
}

/// A set of base statuses, such as those to which a workstream gives work (ROUTE-06).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<BaseStatus>", into = "Vec<BaseStatus>")]
pub struct StatusSet(u8);

impl StatusSet {
    /// Whether the status is in the set.
    pub fn contains(self, status: BaseStatus) -> bool {
        self.0 & (1 << status as u8) != 0
    }

    /// The statuses in the set.
    pub fn iter(self) -> impl Iterator<Item = BaseStatus> {
        use BaseStatus::*;
        [Online, Away, Busy, DoNotDisturb, TransfersOnly, Offline]
            .into_iter()
            .filter(move |status| self.contains(*status))
    }
}

impl FromIterator<BaseStatus> for StatusSet {
    fn from_iter<I: IntoIterator<Item = BaseStatus>>(statuses: I) -> Self {
        Self(statuses.into_iter().fold(0, |bits, status| bits | 1 << status as u8))
    }
}

impl From<Vec<BaseStatus>> for StatusSet {
    fn from(statuses: Vec<BaseStatus>) -> Self {
        statuses.into_iter().collect()
    }
}

impl From<StatusSet> for Vec<BaseStatus> {
    fn from(set: StatusSet) -> Self {
        set.iter().collect()
    }
}
