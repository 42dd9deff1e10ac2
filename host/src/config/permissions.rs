//! Who may do what (SEC-01): a role is a name for a set of named permissions. Three are there from the
//! beginning; others are made by naming them in `permissions`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::load::{Reader, is_name};

/// Something that a role may do beside its own work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Permission {
    /// Take waiting work by hand beyond one's capacity (ROUTE-10).
    SelfAssign,
    /// Take a conversation over from a colleague, or out of a queue that isn't one's own.
    TakeOver,
    /// End anybody's conversation (CONV-07).
    EndConversation,
    /// See everybody's conversations, search them, and see what waits in every queue.
    ReadConversations,
    /// Take conversations and sessions out as files.
    Export,
    /// Say what is known about customers.
    SetAttributes,
    /// See every agent's presence and load, every queue, and why somebody isn't offered something.
    ReadAgents,
    /// Be told what needs a supervisor.
    Alerts,
    /// Try a channel out.
    VerifyChannel,
    /// Have the configuration read again.
    Reload,
    /// See and end others' sessions and tokens.
    ManageAccess,
    /// Read the audit log (SEC-03).
    ReadAudit,
    /// Take out and erase what is kept of a customer (SEC-04).
    CustomerData,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::SelfAssign,
        Self::TakeOver,
        Self::EndConversation,
        Self::ReadConversations,
        Self::Export,
        Self::SetAttributes,
        Self::ReadAgents,
        Self::Alerts,
        Self::VerifyChannel,
        Self::Reload,
        Self::ManageAccess,
        Self::ReadAudit,
        Self::CustomerData,
    ];

    /// Those that supervisors have from the beginning.
    const OF_SUPERVISORS: [Self; 8] = [
        Self::SelfAssign,
        Self::TakeOver,
        Self::EndConversation,
        Self::ReadConversations,
        Self::Export,
        Self::SetAttributes,
        Self::ReadAgents,
        Self::Alerts,
    ];

    /// Its name. (In RON a dot is written as `_`.)
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfAssign => "self_assign",
            Self::TakeOver => "take_over",
            Self::EndConversation => "conversation.end",
            Self::ReadConversations => "conversation.read",
            Self::Export => "conversation.export",
            Self::SetAttributes => "attributes.set",
            Self::ReadAgents => "agent.read",
            Self::Alerts => "alerts",
            Self::VerifyChannel => "channel.verify",
            Self::Reload => "config.reload",
            Self::ManageAccess => "access.manage",
            Self::ReadAudit => "audit.read",
            Self::CustomerData => "customer.data",
        }
    }

    /// The permission of that name, written with dots or `_`.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = |name: &str| name.replace('.', "_");
        Self::ALL.into_iter().find(|permission| plain(permission.as_str()) == plain(name))
    }

    /// All names, for people.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// The name of a role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// Own conversations.
    pub const AGENT: Self = Self(Cow::Borrowed("agent"));
    /// Everybody's conversations, agents and queues.
    pub const SUPERVISOR: Self = Self(Cow::Borrowed("supervisor"));
    /// Channels, configuration and accounts, too.
    pub const ADMINISTRATOR: Self = Self(Cow::Borrowed("administrator"));

    /// A role by its name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Role {
    fn default() -> Self {
        Self::AGENT
    }
}

/// A bare name in RON, a string in JSON.
struct Name;

impl<'de> Visitor<'de> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, without quotes")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<String, E> {
        Ok(name.to_owned())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<String, A::Error> {
        struct Bare;
        impl<'de> serde::de::DeserializeSeed<'de> for Bare {
            type Value = String;
            fn deserialize<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<String, D::Error> {
                deserializer.deserialize_identifier(Name)
            }
        }
        let (name, variant) = data.variant_seed(Bare)?;
        variant.unit_variant()?;
        Ok(name)
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_enum("name", &[], Name)
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name(deserializer).map(Self::new)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = name(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            let known = Self::names();
            serde::de::Error::custom(format!(
                "there is no permission \"{name}\"; there are {known}"
            ))
        })
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The API's types are made of these.
mod schema {
    use std::borrow::Cow;

    use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
    use utoipa::{PartialSchema, ToSchema};

    use super::{Permission, Role};

    impl PartialSchema for Role {
        fn schema() -> RefOr<Schema> {
            let about =
                "`agent`, `supervisor`, `administrator`, or one of the configuration's own.";
            ObjectBuilder::new().schema_type(Type::String).description(Some(about)).into()
        }
    }

    impl ToSchema for Role {
        fn name() -> Cow<'static, str> {
            "Role".into()
        }
    }

    impl PartialSchema for Permission {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(Self::ALL.map(Self::as_str)))
                .description(Some("Something that a role may do beside its own work."))
                .into()
        }
    }

    impl ToSchema for Permission {
        fn name() -> Cow<'static, str> {
            "Permission".into()
        }
    }
}

impl Reader {
    pub(super) fn resolve_permissions(&mut self) -> BTreeMap<Role, BTreeSet<Permission>> {
        let mut permissions = BTreeMap::from([
            (Role::AGENT, BTreeSet::from([Permission::SelfAssign])),
            (Role::SUPERVISOR, BTreeSet::from(Permission::OF_SUPERVISORS)),
            (Role::ADMINISTRATOR, BTreeSet::from(Permission::ALL)),
        ]);
        if let Some(given) = self.permissions.take() {
            for (role, list) in given.value {
                if !is_name(role.as_str()) {
                    let message = format!("\"{}\" isn't a name for a role", role.as_str());
                    self.problem(given.source, "permissions", message);
                }
                permissions.insert(role, list.into_iter().collect());
            }
        }
        permissions
    }
}
