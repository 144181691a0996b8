//! Queries: `SELECT … FROM … WHERE … ORDER BY … LIMIT …`, with pages.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{
    Salesforce,
    call::{Answer, Call},
    errors::ApiError,
    record::Record,
    schema::{Field, Object, Type},
    soql::{Condition, Literal, Operator, Query, parse},
    values::instant,
};
use crate::fake_api::Reply;

/// The longest address that the server accepts.
const LONGEST_ADDRESS: usize = 16_384;

impl Salesforce {
    /// `/query?q=…` and `/query/LOCATOR`.
    pub(super) fn query(&mut self, path: &[&str], call: &Call, address: usize) -> Answer {
        if address > LONGEST_ADDRESS {
            return Ok(Reply::status(414).body("<html><body>URI Too Long</body></html>"));
        }
        match path {
            [] => {
                let text = call.query("q").unwrap_or_default();
                let all = self.found(&text, call)?;
                let mut locator = String::new();
                if all.len() > self.rows_per_page {
                    locator = format!("01gDn{:010}AAA", self.cursors.len() + 1);
                    self.cursors.insert(locator.clone(), all.clone());
                }
                Ok(self.page_of(&all, &locator, 0, call))
            }
            [cursor] => {
                let (locator, start) = cursor.split_once('-').unwrap_or((cursor, "0"));
                let all = self.cursors.get(locator).cloned();
                let all =
                    all.ok_or_else(|| ApiError::invalid("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
                Ok(self.page_of(&all, locator, start.parse().unwrap_or_default(), call))
            }
            _ => Err(ApiError::not_found()),
        }
    }

    fn page_of(&self, all: &[Value], locator: &str, start: usize, call: &Call) -> Reply {
        let page: Vec<&Value> = all.iter().skip(start).take(self.rows_per_page).collect();
        let next = start + page.len();
        let done = next >= all.len();
        let mut body = json!({ "totalSize": all.len(), "done": done, "records": page });
        if !done {
            let url = format!("/services/data/{}/query/{locator}-{next}", call.version);
            body["nextRecordsUrl"] = url.into();
        }
        Reply::json(200, &body)
    }

    fn found(&self, text: &str, call: &Call) -> Result<Vec<Value>, ApiError> {
        let query = parse(text)?;
        let object = self.object(&query.from).ok_or_else(|| {
            let message = format!("sObject type '{}' is not supported.", query.from);
            ApiError::invalid("INVALID_TYPE", message)
        })?;
        let fields: Result<Vec<&Field>, ApiError> =
            query.fields.iter().map(|name| column(object, name)).collect();
        let fields = fields?;
        if let Some(condition) = &query.condition {
            check(object, condition)?;
        }
        let mut rows = Vec::new();
        for record in self.live(&object.name) {
            let is_found = match &query.condition {
                Some(condition) => holds(object, record, condition)?,
                None => true,
            };
            if is_found {
                rows.push(record);
            }
        }
        sort(object, &query, &mut rows)?;
        rows.truncate(query.limit.unwrap_or(usize::MAX));
        let shown = rows.into_iter().map(|record| {
            let mut shown = record.attributes(&call.version);
            for field in &fields {
                shown.insert(field.name.clone(), value(record, field));
            }
            Value::Object(shown)
        });
        Ok(shown.collect())
    }
}

fn sort(object: &Object, query: &Query, rows: &mut [&Record]) -> Result<(), ApiError> {
    for (name, descending) in query.order.iter().rev() {
        let field = column(object, name)?;
        rows.sort_by(|one, other| {
            let order = compare(field, &value(one, field), &value(other, field));
            let order = order.unwrap_or(Ordering::Equal);
            if *descending { order.reverse() } else { order }
        });
    }
    Ok(())
}

fn value(record: &Record, field: &Field) -> Value {
    record.value(&field.name, field.of == Type::Boolean)
}

/// The field, which the user has to see.
fn column<'a>(object: &'a Object, name: &str) -> Result<&'a Field, ApiError> {
    object.seen(name).ok_or_else(|| {
        let message = format!(
            "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append \
             the '__c' after the custom field name. Please reference your WSDL or the describe call for the \
             appropriate names.",
            object.name
        );
        ApiError::invalid("INVALID_FIELD", message)
    })
}

/// Refuses unknown fields and values of the wrong sort, before any record is read.
fn check(object: &Object, condition: &Condition) -> Result<(), ApiError> {
    match condition {
        Condition::And(one, other) | Condition::Or(one, other) => {
            check(object, one)?;
            check(object, other)
        }
        Condition::Not(inner) => check(object, inner),
        Condition::In(name, values, _) => {
            let field = column(object, name)?;
            values
                .iter()
                .try_for_each(|literal| literal_value(field, literal).map(drop))
        }
        Condition::Is(name, _, literal) => literal_value(column(object, name)?, literal).map(drop),
    }
}

fn holds(object: &Object, record: &Record, condition: &Condition) -> Result<bool, ApiError> {
    Ok(match condition {
        Condition::And(one, other) => holds(object, record, one)? && holds(object, record, other)?,
        Condition::Or(one, other) => holds(object, record, one)? || holds(object, record, other)?,
        Condition::Not(inner) => !holds(object, record, inner)?,
        Condition::In(name, values, negated) => {
            let field = column(object, name)?;
            let have = value(record, field);
            let mut found = false;
            for literal in values {
                found |= equals(field, &have, literal)?;
            }
            found != *negated
        }
        Condition::Is(name, operator, literal) => {
            let field = column(object, name)?;
            let (have, wanted) = (value(record, field), literal_value(field, literal)?);
            if *operator == Operator::Like {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                return Ok(is_like(&text(&have), &text(&wanted)));
            }
            operator.holds(compare(field, &have, &wanted))
        }
    })
}

fn equals(field: &Field, have: &Value, literal: &Literal) -> Result<bool, ApiError> {
    // Most comparisons are of plain texts, and a query has hundreds for each record.
    if let (Type::Text | Type::Email, Some(have), Literal::Text(text)) = (&field.of, have.as_str(), literal)
        && have.is_ascii()
        && text.is_ascii()
    {
        return Ok(if field.case_sensitive {
            have == text
        } else {
            have.eq_ignore_ascii_case(text)
        });
    }
    Ok(compare(field, have, &literal_value(field, literal)?) == Some(Ordering::Equal))
}

fn literal_value(field: &Field, literal: &Literal) -> Result<Value, ApiError> {
    let is_text = !matches!(
        field.of,
        Type::Boolean | Type::Number | Type::Date | Type::DateTime
    );
    match literal {
        Literal::Null => Ok(Value::Null),
        Literal::Text(text) if is_text => Ok(text.as_str().into()),
        Literal::Bare(word) if !is_text => Ok(match word.to_lowercase().as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => word
                .parse::<i64>()
                .map_or_else(|_| word.as_str().into(), Value::from),
        }),
        Literal::Text(text) | Literal::Bare(text) => {
            let message = format!(
                "filter criteria must be of type {:?} and should not be enclosed in quotes: {text}",
                field.of
            );
            Err(ApiError::invalid("INVALID_FIELD", message))
        }
    }
}

/// `None` if one is null and the other is not.
fn compare(field: &Field, one: &Value, other: &Value) -> Option<Ordering> {
    if one.is_null() || other.is_null() {
        return (one.is_null() && other.is_null()).then_some(Ordering::Equal);
    }
    if let (Some(one), Some(other)) = (one.as_bool(), other.as_bool()) {
        return Some(one.cmp(&other));
    }
    if let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) {
        return one.partial_cmp(&other);
    }
    let (one_text, other_text) = (one.as_str()?, other.as_str());
    if field.of == Type::DateTime {
        return Some(instant(one_text)?.cmp(&instant(other_text?)?));
    }
    if matches!(field.of, Type::Id | Type::Reference(_)) {
        let length = one_text.len().min(other_text?.len());
        return Some(one_text.get(..length)?.cmp(other_text?.get(..length)?));
    }
    if field.case_sensitive {
        return Some(one_text.cmp(other_text?));
    }
    Some(one_text.to_lowercase().cmp(&other_text?.to_lowercase()))
}

/// `%` stands for any text, `_` for one character.
fn is_like(text: &str, pattern: &str) -> bool {
    fn fits(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|at| fits(&text[at..], rest)),
            [first, rest @ ..] => {
                matches!(text, [one, more @ ..] if (one == first || *first == '_') && fits(more, rest))
            }
        }
    }
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    fits(&chars(text), &chars(pattern))
}
