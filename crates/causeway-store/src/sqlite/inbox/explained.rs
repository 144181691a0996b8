//! Why automations ran or did not run, as stored with an event. Most of many automations have the same
//! answer. A run of equal answers is stored once, and numbers stand for the names of the automations.

use std::collections::{BTreeMap, HashMap};

use causeway_core::{
    automation::{Explained, Verdict},
    id::Name,
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::sqlite::base::{
    error::Error,
    rows::{from_json, to_json},
    tx::Tx,
};

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: &'a BTreeMap<Name, Value>,
    answers: Answers<'a>,
}

/// Serialises runs of equal answers: each answer with the numbers of its automations.
struct Answers<'a> {
    asked: &'a [(Name, Verdict)],
    numbers: &'a [i64],
}

impl Serialize for Answers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers = self.numbers;
        let alike = self.asked.chunk_by(|(_, a), (_, b)| a == b);
        serializer.collect_seq(alike.filter_map(|alike| {
            let (theirs, rest) = numbers.split_at_checked(alike.len())?;
            numbers = rest;
            Some((&alike.first()?.1, theirs))
        }))
    }
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    values: BTreeMap<Name, Value>,
    #[serde(default)]
    answers: Vec<(Verdict, Vec<i64>)>,
    /// The format of earlier versions, without numbers: one answer for each automation.
    #[serde(default)]
    asked: Vec<(Name, Verdict)>,
}

/// The stored text; `None` when no automation was asked.
pub(crate) fn write(tx: &mut Tx<'_>, explained: &Explained) -> Result<Option<String>, Error> {
    if explained.asked.is_empty() {
        return Ok(None);
    }
    let mut numbers = Vec::with_capacity(explained.asked.len());
    let mut number = 0;
    for (name, _) in &explained.asked {
        number = tx.state.names.automation(tx.connection, name, number)?;
        numbers.push(number);
    }
    let written = Written {
        values: &explained.values,
        answers: Answers {
            asked: &explained.asked,
            numbers: &numbers,
        },
    };
    to_json(&written).map(Some)
}

pub(crate) fn read(connection: &Connection, text: &str) -> Result<Explained, Error> {
    let Read {
        values,
        answers,
        mut asked,
    } = from_json(text)?;
    let names: HashMap<i64, Name> = if answers.is_empty() {
        HashMap::new()
    } else {
        connection
            .prepare_cached("SELECT id, name FROM automation_name")?
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?.into())))?
            .collect::<Result<_, _>>()?
    };
    for (verdict, numbers) in answers {
        for number in numbers {
            let name = names
                .get(&number)
                .ok_or(Error::Broken("the number of an automation"))?;
            asked.push((name.clone(), verdict.clone()));
        }
    }
    Ok(Explained { values, asked })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn the_old_and_the_new_format_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let connection = schema::writer(&folder.path().join("a.db"), schema::Steps::All).unwrap();
        connection
            .execute(
                "INSERT INTO automation_name (id, name) VALUES (7, 'thanks'), (3, 'ask'), (9, 'old')",
                [],
            )
            .unwrap();
        let ran = Verdict::Ran(vec!["tag +bees".to_owned()]);
        let expected = Explained {
            values: [("campaign.name".into(), json!("bees"))].into(),
            asked: vec![
                ("thanks".into(), Verdict::ConditionFalse),
                ("ask".into(), Verdict::ConditionFalse),
                ("old".into(), ran),
            ],
        };
        let values = r#""values":{"campaign.name":"bees"}"#;
        let before = format!(
            r#"{{{values},"asked":[["thanks","condition_false"],["ask","condition_false"],["old",{{"ran":["tag +bees"]}}]]}}"#
        );
        let now =
            format!(r#"{{{values},"answers":[["condition_false",[7,3]],[{{"ran":["tag +bees"]}},[9]]]}}"#);
        for text in [before, now] {
            assert_eq!(read(&connection, &text).unwrap(), expected, "{text}");
        }
        assert!(read(&connection, r#"{"answers":[["gone",[8]]]}"#).is_err());
    }
}
