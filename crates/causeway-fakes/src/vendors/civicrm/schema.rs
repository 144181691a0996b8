//! The entities that the fake has, with their fields and options.

use std::collections::BTreeMap;

pub struct Entity {
    pub name: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub is_required: bool,
    pub is_readonly: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// With the greatest length.
    Text(usize),
    Int,
    Bool,
    Time,
    /// The id of a row of this entity.
    Key(&'static str),
    /// A value of this option group.
    Choice(&'static str),
    /// Ids of contacts, written only.
    Contacts,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        is_required: false,
        is_readonly: false,
    }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        is_required: true,
        ..field(name, kind)
    }
}

const fn readonly(name: &'static str, kind: Kind) -> Field {
    Field {
        is_readonly: true,
        ..field(name, kind)
    }
}

const ID: Field = readonly("id", Kind::Int);
const CONTACT: Field = required("contact_id", Kind::Key("Contact"));

pub const ENTITIES: [Entity; 10] = [
    Entity {
        name: "Contact",
        fields: &[
            ID,
            field("contact_type", Kind::Text(64)),
            field("first_name", Kind::Text(64)),
            field("middle_name", Kind::Text(64)),
            field("last_name", Kind::Text(64)),
            field("organization_name", Kind::Text(128)),
            field("display_name", Kind::Text(128)),
            field("birth_date", Kind::Time),
            field("preferred_language", Kind::Choice("languages")),
            field("source", Kind::Text(255)),
            field("external_identifier", Kind::Text(64)),
            field("is_opt_out", Kind::Bool),
            field("do_not_email", Kind::Bool),
            field("do_not_phone", Kind::Bool),
            field("do_not_mail", Kind::Bool),
            field("is_deleted", Kind::Bool),
            field("is_deceased", Kind::Bool),
            readonly("created_date", Kind::Time),
            readonly("modified_date", Kind::Time),
        ],
    },
    Entity {
        name: "Email",
        fields: &[
            ID,
            CONTACT,
            required("email", Kind::Text(254)),
            field("location_type_id", Kind::Choice("location_type")),
            field("is_primary", Kind::Bool),
            field("is_bulkmail", Kind::Bool),
            field("on_hold", Kind::Int),
            field("hold_date", Kind::Time),
            field("reset_date", Kind::Time),
        ],
    },
    Entity {
        name: "Phone",
        fields: &[
            ID,
            CONTACT,
            required("phone", Kind::Text(32)),
            readonly("phone_numeric", Kind::Text(32)),
            field("phone_type_id", Kind::Choice("phone_type")),
            field("location_type_id", Kind::Choice("location_type")),
            field("is_primary", Kind::Bool),
        ],
    },
    Entity {
        name: "Address",
        fields: &[
            ID,
            CONTACT,
            field("street_address", Kind::Text(96)),
            field("supplemental_address_1", Kind::Text(96)),
            field("city", Kind::Text(64)),
            field("postal_code", Kind::Text(64)),
            field("country_id", Kind::Choice("country")),
            field("location_type_id", Kind::Choice("location_type")),
            field("is_primary", Kind::Bool),
        ],
    },
    Entity {
        name: "Group",
        fields: &[
            ID,
            field("name", Kind::Text(64)),
            required("title", Kind::Text(255)),
            field("is_active", Kind::Bool),
            field("saved_search_id", Kind::Int),
        ],
    },
    Entity {
        name: "GroupContact",
        fields: &[
            ID,
            CONTACT,
            required("group_id", Kind::Key("Group")),
            field("status", Kind::Text(8)),
        ],
    },
    Entity {
        name: "SubscriptionHistory",
        fields: &[
            ID,
            CONTACT,
            field("group_id", Kind::Key("Group")),
            field("date", Kind::Time),
            field("method", Kind::Text(8)),
            field("status", Kind::Text(8)),
        ],
    },
    Entity {
        name: "Activity",
        fields: &[
            ID,
            required("activity_type_id", Kind::Choice("activity_type")),
            required("source_contact_id", Kind::Key("Contact")),
            field("target_contact_id", Kind::Contacts),
            field("subject", Kind::Text(255)),
            field("location", Kind::Text(255)),
            field("details", Kind::Text(4_000_000)),
            field("activity_date_time", Kind::Time),
            field("status_id", Kind::Choice("activity_status")),
            field("campaign_id", Kind::Key("Campaign")),
            field("is_test", Kind::Bool),
        ],
    },
    Entity {
        name: "Campaign",
        fields: &[
            ID,
            field("name", Kind::Text(255)),
            required("title", Kind::Text(255)),
            field("external_identifier", Kind::Text(32)),
            field("is_active", Kind::Bool),
        ],
    },
    Entity {
        name: "OptionValue",
        fields: &[
            ID,
            field("option_group_id", Kind::Int),
            field("value", Kind::Text(512)),
            field("name", Kind::Text(255)),
            field("label", Kind::Text(512)),
            field("is_active", Kind::Bool),
        ],
    },
];

pub fn entity(name: &str) -> Option<&'static Entity> {
    ENTITIES.iter().find(|entity| entity.name == name)
}

impl Entity {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A value of an option group.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionValue {
    pub value: u64,
    pub name: &'static str,
    /// The short form: of a country its code.
    pub abbr: &'static str,
}

pub fn options() -> BTreeMap<&'static str, Vec<OptionValue>> {
    let named = |values: &[(u64, &'static str)]| -> Vec<OptionValue> {
        let all = values.iter();
        all.map(|(value, name)| OptionValue {
            value: *value,
            name,
            abbr: "",
        })
        .collect()
    };
    let countries = [
        (1_020, "Belgium", "BE"),
        (1_082, "Germany", "DE"),
        (1_099, "Hungary", "HU"),
    ];
    let countries = countries.map(|(value, name, abbr)| OptionValue { value, name, abbr });
    BTreeMap::from([
        (
            "activity_type",
            named(&[(1, "Meeting"), (3, "Email"), (32, "Petition")]),
        ),
        ("activity_status", named(&[(1, "Scheduled"), (2, "Completed")])),
        ("location_type", named(&[(1, "Home"), (2, "Work")])),
        ("phone_type", named(&[(1, "Phone"), (2, "Mobile")])),
        ("country", countries.into()),
        // The value of a language is its name.
        ("languages", named(&[(1, "en_US"), (2, "de_DE"), (3, "hu_HU")])),
    ])
}
