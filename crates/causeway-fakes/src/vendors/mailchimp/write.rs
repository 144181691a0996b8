//! Writes members.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    call::Call,
    check::Write,
    list::List,
    member::{Member, Status, hash},
    problem::Problem,
};

impl List {
    /// POST: a member that is archived comes back, any other is there already.
    pub(super) fn add(&mut self, body: &Map<String, Value>, call: &Call<'_>) -> Result<String, Problem> {
        let email = self.address(body)?;
        let write = self.checked(body, call.is_set("skip_merge_validation"))?;
        let Some(status) = write.status else {
            return Err(Problem::field("status", "This value should not be blank."));
        };
        let key = hash(&email);
        match self.members.get(&key) {
            Some(member) if member.status != Status::Archived => return Err(Problem::exists(&email)),
            Some(_) => {}
            None => self.create(&email, status, call.now)?,
        }
        self.set(&key, &write, call.now)?;
        let tags = body.get("tags").and_then(Value::as_array);
        for tag in tags.into_iter().flatten().filter_map(Value::as_str) {
            self.tag(&key, tag, true, call.now);
        }
        Ok(key)
    }

    /// PUT: `status_if_new` is for a new member, and `status` also changes one that is there.
    pub(super) fn put(
        &mut self,
        path: &str,
        body: &Map<String, Value>,
        call: &Call<'_>,
    ) -> Result<String, Problem> {
        let email = self.address(body)?;
        let write = self.checked(body, call.is_set("skip_merge_validation"))?;
        let Some(status_if_new) = write.status_if_new else {
            return Err(Problem::field("status_if_new", "This value should not be blank."));
        };
        let Some(key) = self.key_of(path) else {
            let key = hash(&email);
            if path != key && !path.eq_ignore_ascii_case(&email) {
                return Err(Problem::field(
                    "email_address",
                    "The email address does not match the ID.",
                ));
            }
            let status = write.status.unwrap_or(status_if_new);
            self.create(&email, status, call.now)?;
            self.set(
                &key,
                &Write {
                    status: None,
                    ..write
                },
                call.now,
            )?;
            return Ok(key);
        };
        self.set(&key, &write, call.now)?;
        self.rename(&key, &email)
    }

    /// PATCH: only a member that is there.
    pub(super) fn patch(
        &mut self,
        key: &str,
        body: &Map<String, Value>,
        call: &Call<'_>,
    ) -> Result<String, Problem> {
        let write = self.checked(body, call.is_set("skip_merge_validation"))?;
        if write.status == Some(Status::Transactional) {
            return Err(Problem::field(
                "status",
                "Data did not match any of the schemas described in anyOf.",
            ));
        }
        self.set(key, &write, call.now)?;
        if !body.contains_key("email_address") {
            return Ok(key.to_owned());
        }
        let email = self.address(body)?;
        self.rename(key, &email)
    }

    fn create(&mut self, email: &str, status: Status, now: Timestamp) -> Result<(), Problem> {
        self.room(email)?;
        let number = self.number();
        let mut member = Member::new(email, number, status, now);
        member.confirmations = usize::from(status == Status::Pending);
        self.members.insert(hash(email), member);
        Ok(())
    }

    fn rename(&mut self, key: &str, email: &str) -> Result<String, Problem> {
        let to = hash(email);
        if to == key {
            return Ok(to);
        }
        if self.members.contains_key(&to) {
            return Err(Problem::exists(email));
        }
        if let Some(mut member) = self.members.remove(key) {
            email.clone_into(&mut member.email);
            self.members.insert(to.clone(), member);
        }
        Ok(to)
    }

    fn set(&mut self, key: &str, write: &Write, now: Timestamp) -> Result<(), Problem> {
        let member = self.members.get_mut(key).ok_or_else(Problem::not_found)?;
        if let Some(status) = write.status {
            member.take_status(status)?;
        }
        for (tag, value) in &write.merge_fields {
            if value.is_null() {
                member.merge_fields.remove(tag);
            } else {
                member.merge_fields.insert(tag.clone(), value.clone());
            }
        }
        for (sets, changes) in [
            (&mut member.interests, &write.interests),
            (&mut member.permissions, &write.permissions),
        ] {
            for (id, is_in) in changes {
                if *is_in {
                    sets.insert(id.clone());
                } else {
                    sets.remove(id);
                }
            }
        }
        if let Some(email_type) = &write.email_type {
            member.email_type.clone_from(email_type);
        }
        if let Some(language) = &write.language {
            member.language.clone_from(language);
        }
        member.is_vip = write.is_vip.unwrap_or(member.is_vip);
        member.timestamp_signup = write.timestamp_signup.or(member.timestamp_signup);
        member.timestamp_opt = write.timestamp_opt.or(member.timestamp_opt);
        member.last_changed = now;
        Ok(())
    }
}

impl Member {
    /// The API gives the member this status.
    fn take_status(&mut self, status: Status) -> Result<(), Problem> {
        let is_new = status != self.status;
        if status == Status::Subscribed && is_new && self.is_in_compliance_state {
            return Err(Problem::in_compliance_state(&self.email));
        }
        if status == Status::Pending {
            // It is sent again with each request.
            self.confirmations += 1;
        }
        if is_new && status == Status::Unsubscribed {
            self.unsubscribe_reason = Some("N/A (Unsubscribed by admin)");
        }
        if status == Status::Cleaned {
            self.is_in_compliance_state = true;
        }
        self.status = status;
        Ok(())
    }
}
