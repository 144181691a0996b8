//! Removes what the tables hold about an erased contact.

use super::{
    coerce::{Cell, Kind},
    config::{OnRemove, Role},
    link::{Link, SqlError},
    plan::{Notes, Removal, Target},
    write::{Mark, Place, SWALLOWED, other_key},
};

/// Actions first, because their rows may refer to the contact's row.
pub(super) async fn remove(
    link: &mut Link,
    places: &[Place<'_>],
    removal: &Removal,
) -> Result<Vec<Mark>, SqlError> {
    let mut marks = Vec::new();
    for (place, target) in places.iter().zip(&removal.tables).rev() {
        if place.table.on_remove == OnRemove::Keep {
            continue;
        }
        marks.push(match target {
            Err(reason) => Mark::refused(reason.as_str()),
            Ok(target) => remove_from(link, *place, target, &removal.erased_key).await?,
        });
    }
    Ok(marks)
}

async fn remove_from(
    link: &mut Link,
    place: Place<'_>,
    target: &Target,
    erased_key: &str,
) -> Result<Mark, SqlError> {
    let (find, own): (Vec<usize>, Vec<Cell>) = target.find.iter().cloned().unzip();
    link.savepoint().await?;
    let stored = link
        .stored(place.relation, &find, &find, std::slice::from_ref(&own))
        .await;
    let stored = match link.settle(stored).await? {
        Ok(stored) => stored.into_iter().next().unwrap_or_default(),
        Err(error) => return Ok(Mark::Refused(error.attempt_result())),
    };
    if stored.is_empty() {
        return Ok(Mark::Absent(format!(
            "{} has no row of the contact",
            place.table.name
        )));
    }
    if let Some(reason) = stored
        .iter()
        .find_map(|texts| other_key(place, &find, &own, texts))
    {
        return Ok(Mark::refused(reason));
    }
    let result = match place.table.on_remove {
        OnRemove::Delete => delete(link, place, &find, &own).await?,
        OnRemove::Blank => blank(link, place, target, erased_key).await?,
        OnRemove::Unsubscribe | OnRemove::Keep => set(link, place, &find, &own, &target.consent).await?,
    };
    let Err(reason) = result else {
        return Ok(Mark::Written(Notes::default()));
    };
    let name = &place.table.name;
    let reason = format!("the contact's rows in {name} could not be removed: {reason}");
    // An erased person must not be written to in the meantime.
    let is_contact = place.table.role == Role::Contacts && !target.consent.is_empty();
    let is_set = is_contact && unsubscribe(link, place, &find, &own, &target.consent).await?;
    Ok(Mark::refused(if is_set {
        format!("{reason}; the row was set to unsubscribed")
    } else {
        reason
    }))
}

/// The inner error is why the database refused.
type Attempt = Result<Result<(), String>, SqlError>;

async fn delete(link: &mut Link, place: Place<'_>, find: &[usize], own: &[Cell]) -> Attempt {
    link.savepoint().await?;
    let result = link.delete(place.relation, find, own).await;
    Ok(match link.settle_forbidden(result).await? {
        Ok(0) if place.relation.counts_rows() => Err(SWALLOWED.to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.reason().to_owned()),
    })
}

/// Sets columns of all rows that are found.
async fn set(
    link: &mut Link,
    place: Place<'_>,
    find: &[usize],
    own: &[Cell],
    values: &[(usize, Cell)],
) -> Attempt {
    if values.is_empty() {
        return Ok(Err("no column shows consent".to_owned()));
    }
    let columns: Vec<usize> = values.iter().map(|(at, _)| *at).collect();
    let mut cells = own.to_vec();
    cells.extend(values.iter().map(|(_, cell)| cell.clone()));
    link.savepoint().await?;
    let result = link.update(place.relation, find, &columns, &[cells]).await;
    Ok(match link.settle_forbidden(result).await? {
        Ok(0) if place.relation.counts_rows() => Err(SWALLOWED.to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.reason().to_owned()),
    })
}

/// Sets the consent columns, or those that the database accepts. Returns whether one of them shows the
/// opt-out.
async fn unsubscribe(
    link: &mut Link,
    place: Place<'_>,
    find: &[usize],
    own: &[Cell],
    values: &[(usize, Cell)],
) -> Result<bool, SqlError> {
    if set(link, place, find, own, values).await?.is_ok() {
        return Ok(true);
    }
    let mut is_shown = false;
    for value in values {
        let is_set = set(link, place, find, own, std::slice::from_ref(value))
            .await?
            .is_ok();
        let column = place.table.columns.get(value.0);
        is_shown |= is_set && column.is_some_and(|column| column.shows_consent);
    }
    Ok(is_shown)
}

/// Empties each column with personal data; the columns that find the row come last. A column that cannot be
/// null becomes an empty text. An address that is the key becomes `erased_key`.
async fn blank(link: &mut Link, place: Place<'_>, target: &Target, erased_key: &str) -> Attempt {
    let (find, own): (Vec<usize>, Vec<Cell>) = target.find.iter().cloned().unzip();
    if !target.consent.is_empty() {
        // A consent column that cannot be set does not keep the data from being removed.
        unsubscribe(link, place, &find, &own, &target.consent).await?;
    }
    let mut personal = place.table.places(|column| column.is_personal);
    personal.sort_by_key(|at| find.contains(at));
    let mut left = Vec::new();
    for at in personal {
        let (Some(column), Some(stored)) = (place.table.columns.get(at), place.relation.columns.get(at))
        else {
            continue;
        };
        let is_text = matches!(stored.kind, Kind::Text(_) | Kind::Numeric | Kind::Other);
        let values: &[Cell] = match (column.is_key, is_text) {
            (false, false) => &[Cell::Null],
            (false, true) => &[Cell::Null, Cell::Text(String::new())],
            (true, true) => &[Cell::Text(erased_key.to_owned())],
            // A number or an id of another kind identifies nobody by itself.
            (true, false) => continue,
        };
        // Without its address the row could not be found again once the other columns can be emptied.
        let mut is_empty = false;
        let values = if find.contains(&at) && !left.is_empty() {
            &[]
        } else {
            values
        };
        for value in values {
            is_empty = is_empty
                || set(link, place, &find, &own, &[(at, value.clone())])
                    .await?
                    .is_ok();
        }
        if !is_empty {
            left.push(column.name.as_str());
        }
    }
    Ok(if left.is_empty() {
        Ok(())
    } else {
        Err(format!("these columns cannot be emptied: {}", left.join(", ")))
    })
}
