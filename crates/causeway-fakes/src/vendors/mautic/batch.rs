//! Many contacts in one call.

use serde_json::{Map, Value, json};

use super::{Call, Done, Mautic, contacts::Way, errors::Failure, php};

impl Mautic {
    pub(super) fn create_batch(&mut self, call: &Call<'_>) -> Result<Done, Failure> {
        self.run_batch(call, 201, Self::upsert)
    }

    pub(super) fn edit_batch(&mut self, call: &Call<'_>) -> Result<Done, Failure> {
        let way = if call.method == "PUT" {
            Way::Put
        } else {
            Way::Patch
        };
        self.run_batch(call, 200, |mautic, given| {
            let id = given.get("id").map(php::text).unwrap_or_default();
            let (status, id) = match mautic.known(&id) {
                Ok(id) => (200, id),
                Err(failure) if way == Way::Patch => return Err(failure),
                Err(_) => (201, mautic.import_contact("")),
            };
            mautic.edit(id, given, way).map(|()| (status, id))
        })
    }

    /// Each row has a status of its own; an exception ends the request, and what was written by then stays.
    fn run_batch(
        &mut self,
        call: &Call<'_>,
        status: u16,
        mut run: impl FnMut(&mut Self, &Map<String, Value>) -> Result<(u16, u64), Failure>,
    ) -> Result<Done, Failure> {
        let rows = call.rows();
        if rows.len() > self.batch_limit {
            let message = format!("Batch exceeds limit of {}.", self.batch_limit);
            return Err(Failure::new(500, &message));
        }
        let (mut contacts, mut statuses, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (at, row) in (0..).zip(&rows) {
            let given = row.as_object().cloned().unwrap_or_default();
            match run(self, &given) {
                Ok((status, id)) => {
                    statuses.push((at, json!(status)));
                    contacts.push((at, self.shown(id)));
                }
                Err(failure) if failure.is_exception => return Err(failure),
                Err(failure) => {
                    statuses.push((at, json!(failure.status)));
                    errors.push((at, failure.row()));
                }
            }
        }
        let mut body = json!({ "contacts": php::array(contacts), "statusCodes": php::array(statuses) });
        if !errors.is_empty() {
            body["errors"] = php::array(errors);
        }
        Ok((status, body))
    }
}
