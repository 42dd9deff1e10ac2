//! What a rule can ask about a conversation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::hours::Hours;
use crate::ids::ChannelId;
use crate::time::Timestamp;

/// A flag that customers can't set themselves (ID-05).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Flag {
    /// Their identity was checked.
    VerifiedCustomer,
    /// To be treated with care.
    BadActor,
    /// Was here before.
    RepeatCustomer,
}

/// The flags that are set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Flags {
    /// [`Flag::VerifiedCustomer`].
    pub verified_customer: bool,
    /// [`Flag::BadActor`].
    pub bad_actor: bool,
    /// [`Flag::RepeatCustomer`].
    pub repeat_customer: bool,
}

impl Flags {
    fn has(self, flag: Flag) -> bool {
        match flag {
            Flag::VerifiedCustomer => self.verified_customer,
            Flag::BadActor => self.bad_actor,
            Flag::RepeatCustomer => self.repeat_customer,
        }
    }
}

/// What is known beyond the messages themselves. Names of fields are the configuration's.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Attributes {
    /// Language of this customer, as `de`; the channel's if it isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Of the contact.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contact: BTreeMap<String, String>,
    /// Of the contact's account.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub account: BTreeMap<String, String>,
    /// From the page, the bot, the caller's headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// Reserved flags.
    pub flags: Flags,
}

/// Facts about a conversation, borrowed while rules are looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Where the customer wrote.
    pub channel: Option<&'a ChannelId>,
    /// What sort of work it is.
    pub kind: ChannelKind,
    /// The customer's, else the channel's.
    pub language: &'a str,
    /// Two letters (ISO 3166), from the customer's number; none if it has none.
    pub country: Option<&'a str>,
    /// Everything else that is known.
    pub attributes: &'a Attributes,
    /// The first message.
    pub text: &'a str,
    /// When it began.
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    /// Nothing but attributes.
    pub fn of(attributes: &'a Attributes) -> Self {
        Self {
            channel: None,
            kind: ChannelKind::Messaging,
            language: "",
            country: None,
            attributes,
            text: "",
            now: Timestamp(0),
        }
    }
}

/// A test of a text. Letters count alike in both cases.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is there, and not empty.
    #[serde(alias = "Exists")]
    Exists,
    /// It is this.
    #[serde(alias = "Is")]
    Is(String),
    /// It is one of these.
    #[serde(alias = "In")]
    In(Vec<String>),
    /// This stands in it.
    #[serde(alias = "Contains")]
    Contains(String),
    /// It begins with this.
    #[serde(alias = "StartsWith")]
    StartsWith(String),
    /// It is a number, this or larger.
    #[serde(alias = "AtLeast")]
    AtLeast(f64),
    /// It is a number, this or smaller.
    #[serde(alias = "AtMost")]
    AtMost(f64),
}

impl Test {
    fn holds(&self, text: Option<&str>) -> bool {
        let Some(text) = text else { return false };
        match self {
            Self::Exists => !text.is_empty(),
            Self::Is(other) => is_same(text, other),
            Self::In(others) => others.iter().any(|other| is_same(text, other)),
            Self::Contains(part) => contains(text, part),
            Self::StartsWith(start) => start_of(text, start),
            Self::AtLeast(number) => text.trim().parse().is_ok_and(|value: f64| value >= *number),
            Self::AtMost(number) => text.trim().parse().is_ok_and(|value: f64| value <= *number),
        }
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> + Clone + '_ {
    text.chars().flat_map(char::to_lowercase)
}

fn is_same(a: &str, b: &str) -> bool {
    lower(a).eq(lower(b))
}

fn start_of(text: &str, start: &str) -> bool {
    let mut text = lower(text);
    lower(start).all(|wanted| text.next() == Some(wanted))
}

fn contains(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        return part.is_empty() || text.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part));
    }
    text.char_indices().map(|(at, _)| &text[at..]).any(|rest| start_of(rest, part))
        || part.is_empty()
}

/// One condition of a rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// On one of these channels.
    Channel(Vec<ChannelId>),
    /// Of one of these kinds.
    Kind(Vec<ChannelKind>),
    /// In one of these languages, as `de`.
    Language(Vec<String>),
    /// The number belongs to one of these countries, as `DE`.
    Country(Vec<String>),
    /// A field of the contact.
    Contact(String, Test),
    /// A field of the account.
    Account(String, Test),
    /// A context variable.
    Context(String, Test),
    /// A reserved flag is set.
    Flag(Flag),
    /// The first message.
    Text(Test),
    /// Within these hours.
    Within(Box<Hours>),
    /// Not this.
    Not(Box<Condition>),
    /// One of these at least.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
}

impl Condition {
    /// Whether it holds. Allocates nothing.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let known = facts.attributes;
        match self {
            Self::Channel(channels) => {
                facts.channel.is_some_and(|channel| channels.contains(channel))
            }
            Self::Kind(kinds) => kinds.contains(&facts.kind),
            Self::Language(languages) => is_any(languages, facts.language),
            Self::Country(countries) => {
                facts.country.is_some_and(|country| is_any(countries, country))
            }
            Self::Contact(field, test) => test.holds(known.contact.get(field).map(String::as_str)),
            Self::Account(field, test) => test.holds(known.account.get(field).map(String::as_str)),
            Self::Context(field, test) => test.holds(known.context.get(field).map(String::as_str)),
            Self::Flag(flag) => known.flags.has(*flag),
            Self::Text(test) => test.holds(Some(facts.text)),
            Self::Within(hours) => hours.is_open(facts.now),
            Self::Not(condition) => !condition.holds(facts),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(facts)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(facts)),
        }
    }
}

fn is_any(known: &[String], value: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hours::{HoursSpec, Stretch};

    // ROUTE-01 ID-05
    #[test]
    fn each_condition_looks_at_its_own_fact() {
        let mut spec = HoursSpec { zone: "UTC".into(), ..HoursSpec::default() };
        spec.week[3] = vec![Stretch { from: 0, to: 60 }];
        let hours = Hours::try_from(spec).unwrap();
        let mut attributes = Attributes::default();
        attributes.contact.insert("tier".into(), "Gold".into());
        attributes.account.insert("employees".into(), "250".into());
        attributes.context.insert("page".into(), "/cart/checkout".into());
        attributes.flags.bad_actor = true;
        let channel = ChannelId::from("sms");
        let facts = Facts {
            channel: Some(&channel),
            kind: ChannelKind::Messaging,
            language: "de",
            country: Some("AT"),
            attributes: &attributes,
            text: "Grüße aus GRÄFELFING",
            // Thursday, 1 January 1970, 00:30.
            now: Timestamp(30 * 60_000),
        };
        let text = |text: &str| text.to_owned();
        let table = [
            (Condition::Channel(vec!["sms".into()]), Condition::Channel(vec!["web".into()])),
            (Condition::Kind(vec![ChannelKind::Messaging]), Condition::Kind(vec![])),
            (Condition::Language(vec![text("DE")]), Condition::Language(vec![text("en")])),
            (Condition::Country(vec![text("at")]), Condition::Country(vec![text("DE")])),
            (
                Condition::Contact(text("tier"), Test::In(vec![text("gold")])),
                Condition::Contact(text("name"), Test::Exists),
            ),
            (
                Condition::Account(text("employees"), Test::AtLeast(250.0)),
                Condition::Account(text("employees"), Test::AtMost(249.0)),
            ),
            (
                Condition::Context(text("page"), Test::StartsWith(text("/Cart"))),
                Condition::Context(text("page"), Test::Is(text("/cart"))),
            ),
            (Condition::Flag(Flag::BadActor), Condition::Flag(Flag::VerifiedCustomer)),
            (
                Condition::Text(Test::Contains(text("gräfelfing"))),
                Condition::Text(Test::Contains(text("graefelfing"))),
            ),
            (Condition::Within(Box::new(hours)), Condition::Any(vec![])),
        ];
        for (holds, fails) in table {
            let allocations = allocation_counter::measure(|| {
                assert!(holds.holds(&facts), "{holds:?}");
                assert!(!fails.holds(&facts), "{fails:?}");
            });
            assert_eq!(allocations.count_total, 0, "{holds:?} or {fails:?} allocates");
            assert!(!Condition::Not(Box::new(holds.clone())).holds(&facts));
            assert!(Condition::Any(vec![fails.clone(), holds.clone()]).holds(&facts));
            assert!(!Condition::All(vec![holds, fails]).holds(&facts));
        }
    }
}
