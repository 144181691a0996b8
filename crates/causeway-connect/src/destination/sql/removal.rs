//! Removes what the tables hold about an erased contact.

use super::{
    coerce::{Cell, Kind},
    config::{OnRemove, Role},
    journal::Wire,
    link::SqlError,
    plan::{Notes, Removal, Target},
    write::{Mark, Place, SWALLOWED, other_key},
};

/// Actions first, because their rows may refer to the contact's row.
pub(super) async fn remove(
    wire: &mut Wire<'_>,
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
            Ok(target) => remove_from(wire, *place, target, removal).await?,
        });
    }
    Ok(marks)
}

/// The rows of an erased contact in one table.
struct Rows {
    delivery: usize,
    /// The columns that find the rows, and their values.
    find: Vec<usize>,
    own: Vec<Cell>,
}

async fn remove_from(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    target: &Target,
    removal: &Removal,
) -> Result<Mark, SqlError> {
    let (find, own): (Vec<usize>, Vec<Cell>) = target.find.iter().cloned().unzip();
    let rows = Rows {
        delivery: removal.delivery,
        find,
        own,
    };
    let (find, own) = (&rows.find, &rows.own);
    wire.link.savepoint().await?;
    let owned: (&[usize], _) = (&[rows.delivery], std::slice::from_ref(own));
    let stored = wire.stored(place.relation, find, find, owned).await;
    let stored = match wire.link.settle(stored).await? {
        Ok(stored) => stored.into_iter().next().unwrap_or_default(),
        Err(error) => return Ok(Mark::Refused(error.attempt_result())),
    };
    if stored.is_empty() {
        return Ok(Mark::Absent(format!(
            "{} has no row of the contact",
            place.table.name
        )));
    }
    if let Some(reason) = stored.iter().find_map(|texts| other_key(place, find, own, texts)) {
        return Ok(Mark::refused(reason));
    }
    let result = match place.table.on_remove {
        OnRemove::Delete => delete(wire, place, &rows).await?,
        OnRemove::Blank => blank(wire, place, target, &rows, &removal.erased_key).await?,
        OnRemove::Unsubscribe | OnRemove::Keep => set(wire, place, &rows, &target.consent).await?,
    };
    let Err(reason) = result else {
        return Ok(Mark::Written(Notes::default()));
    };
    let name = &place.table.name;
    let reason = format!("the contact's rows in {name} could not be removed: {reason}");
    // An erased person must not be written to in the meantime.
    let is_contact = place.table.role == Role::Contacts && !target.consent.is_empty();
    let is_set = is_contact && unsubscribe(wire, place, &rows, &target.consent).await?;
    Ok(Mark::refused(if is_set {
        format!("{reason}; the row was set to unsubscribed")
    } else {
        reason
    }))
}

/// The inner error is why the database refused.
type Attempt = Result<Result<(), String>, SqlError>;

async fn delete(wire: &mut Wire<'_>, place: Place<'_>, rows: &Rows) -> Attempt {
    wire.link.savepoint().await?;
    let owned = (rows.delivery, rows.own.as_slice());
    let result = wire.delete(place.relation, &rows.find, owned).await;
    Ok(match wire.link.settle_forbidden(result).await? {
        Ok(0) if place.relation.counts_rows() => Err(SWALLOWED.to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.reason().to_owned()),
    })
}

/// Sets columns of all rows that are found.
async fn set(wire: &mut Wire<'_>, place: Place<'_>, rows: &Rows, values: &[(usize, Cell)]) -> Attempt {
    if values.is_empty() {
        return Ok(Err("no column shows consent".to_owned()));
    }
    let columns: Vec<usize> = values.iter().map(|(at, _)| *at).collect();
    let mut cells = rows.own.clone();
    cells.extend(values.iter().map(|(_, cell)| cell.clone()));
    wire.link.savepoint().await?;
    let owned: (&[usize], &[Vec<Cell>]) = (&[rows.delivery], &[cells]);
    let result = wire.update(place.relation, &rows.find, &columns, owned).await;
    Ok(match wire.link.settle_forbidden(result).await? {
        Ok(0) if place.relation.counts_rows() => Err(SWALLOWED.to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.reason().to_owned()),
    })
}

/// Sets the consent columns, or those that the database accepts. Returns whether one of them shows the
/// opt-out.
async fn unsubscribe(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    rows: &Rows,
    values: &[(usize, Cell)],
) -> Result<bool, SqlError> {
    if set(wire, place, rows, values).await?.is_ok() {
        return Ok(true);
    }
    let mut is_shown = false;
    for value in values {
        let is_set = set(wire, place, rows, std::slice::from_ref(value)).await?.is_ok();
        let column = place.table.columns.get(value.0);
        is_shown |= is_set && column.is_some_and(|column| column.shows_consent);
    }
    Ok(is_shown)
}

/// Empties each column with personal data; the columns that find the row come last. A column that cannot be
/// null becomes an empty text. An address that is the key becomes `erased_key`.
async fn blank(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    target: &Target,
    rows: &Rows,
    erased_key: &str,
) -> Attempt {
    let find = &rows.find;
    if !target.consent.is_empty() {
        // A consent column that cannot be set does not keep the data from being removed.
        unsubscribe(wire, place, rows, &target.consent).await?;
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
            is_empty = is_empty || set(wire, place, rows, &[(at, value.clone())]).await?.is_ok();
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
