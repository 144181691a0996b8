//! What is wrong with values that are written.

use serde_json::{Value, json};

use super::{
    answer::{Failure, text_of},
    property::addresses,
    record::{Kind, Objects, Record, Values},
};

impl Objects {
    /// Reads the values of a request and checks each of them. All that is wrong is reported at once.
    pub(super) fn checked(&self, sent: &Value) -> Result<Values, Failure> {
        let mut values = Values::new();
        let mut wrong = Vec::new();
        for (name, value) in sent.as_object().into_iter().flatten() {
            let mut value = text_of(value)?;
            let complaint = match self.properties.get(name) {
                None => Some((
                    "PROPERTY_DOESNT_EXIST",
                    format!("Property \"{name}\" does not exist"),
                )),
                Some(property) => property.complaint(&value),
            };
            if name == "email" || name == "hs_additional_emails" {
                let joins = value.starts_with(';');
                value = addresses(&value).collect::<Vec<_>>().join(";");
                if joins {
                    value.insert(0, ';');
                }
            }
            let complaint = complaint.or_else(|| {
                let blocked = name == "email" && self.blocked.contains(&value);
                blocked.then(|| ("GDPR_BLOCKLISTED", "email has been GDPR blacklisted".to_owned()))
            });
            if let Some((code, text)) = complaint {
                wrong.push((name.clone(), value.clone(), code, text));
            }
            values.insert(name.clone(), value);
        }
        if wrong.is_empty() {
            return Ok(values);
        }
        Err(self.invalid_values(&wrong))
    }

    fn invalid_values(&self, wrong: &[(String, String, &str, String)]) -> Failure {
        let portal = self.portal_id;
        let list: Vec<Value> = wrong
            .iter()
            .map(|(name, value, code, text)| {
                json!({ "isValid": false, "message": text, "error": code, "name": name,
                    "localizedErrorMessage": text, "propertyValue": value, "portalId": portal })
            })
            .collect();
        let errors: Vec<Value> = wrong
            .iter()
            .map(|(name, _, code, text)| {
                json!({ "message": text, "code": code, "context": { "propertyName": [name] } })
            })
            .collect();
        let list = Value::Array(list);
        Failure::invalid(&format!("Property values were not valid: {list}")).with("errors", errors.into())
    }

    /// Fails if another record has one of these values, although only one may. `of` is the record that is written, and
    /// `None` a new one.
    pub(super) fn check_unique(&self, of: Option<u64>, values: &Values) -> Result<(), Failure> {
        let other = |record: &&Record| Some(record.id) != of;
        for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
            if self.kind == Kind::Contact && (name == "email" || name == "hs_additional_emails") {
                let owner = addresses(value)
                    .find_map(|address| Some((self.by_address(&address).filter(other)?.id, address)));
                match owner {
                    Some((owner, _)) if of.is_none() && !self.conflicts_late => {
                        let message = format!("Contact already exists. Existing ID: {owner}");
                        return Err(Failure::new(409, "CONFLICT", &message));
                    }
                    Some((owner, address)) => return Err(self.taken(of, name, &address, owner)),
                    None => {}
                }
            } else if self
                .properties
                .get(name)
                .is_some_and(|property| property.is_unique)
                && let Some(owner) = self.by_value(name, value).filter(other)
            {
                return Err(self.taken(of, name, value, owner.id));
            }
        }
        Ok(())
    }

    /// The message names two records; the second one has the value.
    fn taken(&self, of: Option<u64>, name: &str, value: &str, owner: u64) -> Failure {
        let of = of.unwrap_or(self.next_id);
        let (portal, kind) = (self.portal_id, self.kind.upper());
        Failure::invalid(&format!(
            "Cannot set PropertyValueCoordinates{{portalId={portal}, \
            objectTypeId=ObjectTypeId{{legacyObjectType={kind}}}, propertyName={name}, value={value}}} on {of}. \
            {owner} already has that value."
        ))
    }
}
