//! What agents can do, what items ask for, and how far that may relax (ROUTE-04, ROUTE-12).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::SkillId;
use crate::time::Span;

/// How well somebody knows something: 1 (a little) to 10 (best).
pub type Level = u8;

/// The highest level.
pub const HIGHEST: Level = 10;

/// An agent's skills, by name.
pub type Skills = BTreeMap<SkillId, Level>;

/// One requirement of an item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SkillNeed {
    /// Which skill.
    pub skill: SkillId,
    /// The least level.
    pub level: Level,
}

/// A step in which a queue asks for less, so that nobody waits for ever for an expert.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Relaxation {
    /// Once the item has waited this long.
    pub after: Span,
    /// This skill; `None`: every skill.
    pub skill: Option<SkillId>,
    /// Is asked for at this level at most; 0: no longer.
    pub to: Level,
}

/// What is still asked for after a wait. Steps come in the order of their times.
pub fn relaxed(needs: &[SkillNeed], steps: &[Relaxation], waited: Span) -> Vec<SkillNeed> {
    let mut needs = needs.to_vec();
    for step in steps.iter().filter(|step| step.after <= waited) {
        for need in &mut needs {
            if step.skill.as_ref().is_none_or(|skill| *skill == need.skill) {
                need.level = need.level.min(step.to);
            }
        }
    }
    needs.retain(|need| need.level > 0);
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROUTE-12
    #[test]
    fn a_requirement_falls_step_by_step_and_is_dropped_in_the_end() {
        let need = |skill: &str, level| SkillNeed { skill: skill.into(), level };
        let step = |seconds, skill: Option<&str>, to| Relaxation {
            after: Span::seconds(seconds),
            skill: skill.map(SkillId::from),
            to,
        };
        let needs = [need("german", 8), need("billing", 5)];
        let steps = [step(30, Some("german"), 5), step(60, Some("german"), 2), step(90, None, 0)];
        let after = |seconds| relaxed(&needs, &steps, Span::seconds(seconds));
        assert_eq!(after(29), needs);
        assert_eq!(after(30), [need("german", 5), need("billing", 5)]);
        assert_eq!(after(60), [need("german", 2), need("billing", 5)]);
        assert_eq!(after(90), []);
    }
}
