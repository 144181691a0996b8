//! Row numbers. Each kind of row has a type of its own, so that the compiler catches a mix-up.
//!
//! Contacts, messages and deliveries also have types in [`causeway_core::id`], which the interface of the
//! store uses. These cannot be bound to a statement, since `causeway_core` knows no database. The numbers are
//! the same, and are converted where they enter or leave the store.

use std::fmt;

use causeway_core::id::{ContactId, DeliveryId, InboxId};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// `A => B` also allows an `A` where any `B` is expected.
macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident $(=> $other:ident)?),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }

        $(impl From<$name> for $other {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        })?
    )*};
}

row_ids! {
    ActionRowId,
    CampaignRowId,
    ContactRowId => ContactId,
    DeliveryRowId => DeliveryId,
    /// A message. Numbers ascend in the order of acceptance.
    InboxRowId => InboxId,
    PageRowId,
    /// A row of the table `name`, which has the names of all four kinds below.
    NameRowId,
    DestinationRowId => NameRowId,
    NamespaceRowId => NameRowId,
    SourceRowId => NameRowId,
    WorkspaceRowId => NameRowId,
}

impl From<ContactId> for ContactRowId {
    fn from(id: ContactId) -> Self {
        Self(id.0)
    }
}

impl From<DeliveryId> for DeliveryRowId {
    fn from(id: DeliveryId) -> Self {
        Self(id.0)
    }
}

impl From<InboxId> for InboxRowId {
    fn from(id: InboxId) -> Self {
        Self(id.0)
    }
}
