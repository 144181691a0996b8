//! Objects and their fields, and what the integration user may do with them.

use serde_json::{Value, json};

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Id,
    Text,
    Email,
    Boolean,
    Date,
    DateTime,
    Number,
    /// Unless the list is empty, only these values are accepted.
    Picklist(Vec<String>),
    /// Holds ids of records of these objects.
    Reference(Vec<String>),
}

impl Type {
    fn name(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Text => "string",
            Self::Email => "email",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Number => "double",
            Self::Picklist(_) => "picklist",
            Self::Reference(_) => "reference",
        }
    }

    fn soap_name(&self) -> &'static str {
        match self {
            Self::Id | Self::Reference(_) => "tns:ID",
            Self::Boolean => "xsd:boolean",
            Self::Date => "xsd:date",
            Self::DateTime => "xsd:dateTime",
            Self::Number => "xsd:double",
            Self::Text | Self::Email | Self::Picklist(_) => "xsd:string",
        }
    }
}

/// What field-level security lets the integration user do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Full,
    ReadOnly,
    /// The field does not exist for the user.
    Hidden,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are attributes of the API's own"
)]
pub struct Field {
    pub name: String,
    pub of: Type,
    /// Characters.
    pub length: usize,
    pub required: bool,
    pub external_id: bool,
    pub unique: bool,
    pub case_sensitive: bool,
    pub createable: bool,
    pub updateable: bool,
    pub access: Access,
}

impl Field {
    pub fn new(name: &str, of: Type, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            of,
            length,
            required: false,
            external_id: false,
            unique: false,
            case_sensitive: false,
            createable: true,
            updateable: true,
            access: Access::Full,
        }
    }

    pub fn text(name: &str, length: usize) -> Self {
        Self::new(name, Type::Text, length)
    }

    /// A text field with the boxes "External ID" and "Unique".
    pub fn external_id(name: &str) -> Self {
        Self {
            external_id: true,
            unique: true,
            ..Self::text(name, 255)
        }
    }

    /// A lookup of records of these objects.
    pub fn reference(name: &str, to: &[&str]) -> Self {
        let to = to.iter().map(|object| (*object).to_owned()).collect();
        Self::new(name, Type::Reference(to), 18)
    }

    #[must_use]
    pub fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    fn read_only(self) -> Self {
        Self {
            createable: false,
            updateable: false,
            ..self
        }
    }

    fn create_only(self) -> Self {
        Self {
            updateable: false,
            ..self
        }
    }

    /// The name by which a record names the other one by its external id: `Contact` for `ContactId`, `Contact__r` for
    /// `Contact__c`.
    pub(super) fn relationship(&self) -> Option<String> {
        if !matches!(self.of, Type::Reference(_)) {
            return None;
        }
        let custom = self.name.strip_suffix("__c").map(|name| format!("{name}__r"));
        custom.or_else(|| self.name.strip_suffix("Id").map(str::to_owned))
    }

    pub(super) fn may_write(&self, is_insert: bool) -> bool {
        let may = if is_insert {
            self.createable
        } else {
            self.updateable
        };
        may && self.access == Access::Full
    }

    fn describe(&self) -> Value {
        let values = match &self.of {
            Type::Picklist(values) => values
                .iter()
                .map(|value| json!({ "value": value, "label": value, "active": true, "defaultValue": false }))
                .collect(),
            _ => Vec::new(),
        };
        let restricted = !values.is_empty();
        let to: &[String] = match &self.of {
            Type::Reference(to) => to,
            _ => &[],
        };
        let is_id = self.of == Type::Id;
        json!({
            "name": self.name, "label": self.name, "type": self.of.name(), "soapType": self.of.soap_name(),
            "length": self.length, "custom": self.name.ends_with("__c"),
            "createable": self.may_write(true), "updateable": self.may_write(false),
            "nillable": !self.required && self.of != Type::Boolean && !is_id,
            "defaultedOnCreate": self.of == Type::Boolean || is_id,
            "externalId": self.external_id, "idLookup": self.external_id || is_id || self.of == Type::Email,
            "unique": self.unique, "caseSensitive": self.case_sensitive,
            "picklistValues": values, "restrictedPicklist": restricted,
            "referenceTo": to, "relationshipName": self.relationship(),
            "filterable": true, "sortable": true, "calculated": false,
        })
    }
}

#[derive(Debug, Clone)]
pub struct Object {
    pub name: String,
    /// The first three characters of its records' ids.
    pub prefix: String,
    pub fields: Vec<Field>,
}

impl Object {
    pub fn new(name: &str, prefix: &str, fields: impl IntoIterator<Item = Field>) -> Self {
        let system = [
            Field::new("Id", Type::Id, 18).read_only(),
            Field::new("IsDeleted", Type::Boolean, 0).read_only(),
            Field::new("CreatedDate", Type::DateTime, 0).read_only(),
            Field::new("LastModifiedDate", Type::DateTime, 0).read_only(),
            Field::reference("LastModifiedById", &["User"]).read_only(),
        ];
        Self {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            fields: system.into_iter().chain(fields).collect(),
        }
    }

    /// The field, whatever the user may do with it. Names are compared like in the API, without regard to case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn seen(&self, name: &str) -> Option<&Field> {
        self.field(name).filter(|field| field.access != Access::Hidden)
    }

    pub(super) fn by_relationship(&self, name: &str) -> Option<&Field> {
        let mut fields = self.fields.iter();
        fields.find(|field| {
            let own = field.relationship();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }

    pub(super) fn describe(&self) -> Value {
        let fields = self.fields.iter().filter(|field| field.access != Access::Hidden);
        json!({
            "name": self.name, "label": self.name, "labelPlural": format!("{}s", self.name),
            "keyPrefix": self.prefix, "custom": self.name.ends_with("__c"),
            "createable": true, "updateable": true, "deletable": true, "queryable": true, "retrieveable": true,
            "fields": fields.map(Field::describe).collect::<Vec<_>>(),
            "childRelationships": [], "recordTypeInfos": [],
        })
    }
}

/// The standard objects that campaigning organisations use, with the fields that matter to them.
pub(super) fn standard() -> Vec<Object> {
    let flag = |name: &str| Field::new(name, Type::Boolean, 0);
    let bounce = || {
        [
            Field::text("EmailBouncedReason", 255),
            Field::new("EmailBouncedDate", Type::DateTime, 0),
            flag("IsEmailBounced").read_only(),
        ]
    };
    let person = || {
        let own = [
            Field::text("FirstName", 40),
            Field::text("LastName", 80).required(),
            Field::new("Email", Type::Email, 80),
            Field::text("Phone", 40),
            flag("HasOptedOutOfEmail"),
            flag("DoNotCall"),
        ];
        own.into_iter().chain(bounce())
    };
    let address = |prefix: &str| {
        [
            ("Street", 255),
            ("City", 40),
            ("State", 80),
            ("PostalCode", 20),
            ("Country", 80),
        ]
        .map(|(name, length)| Field::text(&format!("{prefix}{name}"), length))
    };
    let lead = [
        Field::text("Company", 255).required(),
        flag("IsConverted").read_only(),
        Field::reference("ConvertedContactId", &["Contact"]).read_only(),
    ];
    vec![
        Object::new("Contact", "003", person().chain(address("Mailing"))),
        Object::new("Lead", "00Q", person().chain(address("")).chain(lead)),
        Object::new(
            "Campaign",
            "701",
            [
                Field::text("Name", 80).required(),
                flag("IsActive"),
                Field::new("Status", Type::Picklist(Vec::new()), 255),
                Field::new("Type", Type::Picklist(Vec::new()), 255),
            ],
        ),
        Object::new(
            "CampaignMember",
            "00v",
            [
                Field::reference("CampaignId", &["Campaign"])
                    .required()
                    .create_only(),
                Field::reference("ContactId", &["Contact"]).create_only(),
                Field::reference("LeadId", &["Lead"]).create_only(),
                Field::new("Status", Type::Picklist(Vec::new()), 40),
                flag("HasResponded").read_only(),
            ],
        ),
        Object::new(
            "Task",
            "00T",
            [
                Field::text("Subject", 255),
                Field::text("Description", 32_000),
                Field::new("Status", Type::Picklist(Vec::new()), 255),
                Field::new("ActivityDate", Type::Date, 0),
                Field::reference("WhoId", &["Contact", "Lead"]),
            ],
        ),
    ]
}
