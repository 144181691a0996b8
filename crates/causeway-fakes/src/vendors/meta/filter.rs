//! The parameter `filtering` of lists.

use serde_json::Value;

use super::{audience::Audience, call::Call, errors::GraphError};

/// A condition of `filtering`.
pub(super) struct Filter {
    field: String,
    operator: String,
    value: Value,
}

impl Filter {
    pub(super) fn all(call: &Call) -> Result<Vec<Self>, GraphError> {
        let filters = call.json("filtering")?.unwrap_or_default();
        let filters = filters.as_array().cloned().unwrap_or_default();
        let filters = filters.into_iter().map(|filter| {
            let text = |name: &str| filter[name].as_str().unwrap_or_default().to_owned();
            let (field, operator) = (text("field"), text("operator"));
            let is_known = ["id", "name", "subtype"].contains(&field.as_str())
                && ["EQUAL", "CONTAIN", "IN"].contains(&operator.as_str());
            let value = filter["value"].clone();
            is_known
                .then_some(Self {
                    field,
                    operator,
                    value,
                })
                .ok_or_else(|| GraphError::invalid("Filtering field or operator is not supported"))
        });
        filters.collect()
    }

    pub(super) fn takes(&self, audience: &Audience) -> bool {
        let own = match self.field.as_str() {
            "id" => audience.id.as_str(),
            "name" => audience.name(),
            _ => "CUSTOM",
        };
        match self.operator.as_str() {
            "EQUAL" => self.value == own,
            "CONTAIN" => self.value.as_str().is_some_and(|part| own.contains(part)),
            _ => self
                .value
                .as_array()
                .is_some_and(|values| values.contains(&own.into())),
        }
    }
}
