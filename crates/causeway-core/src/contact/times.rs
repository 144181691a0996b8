//! Rewrites the times in a contact, for a store whose times come from a wrong clock.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{consent::Consent, contact::Contact};

impl Contact {
    /// Replaces each time by `map` of it. `map` must keep the order of the times.
    pub fn map_times(&mut self, map: &mut dyn FnMut(Timestamp) -> Timestamp) {
        for field in self.fields.values_mut() {
            field.at = map(field.at);
        }
        let of_ids = self.ids.values_mut().flat_map(BTreeMap::values_mut);
        for at in self
            .ran
            .values_mut()
            .chain(self.addresses.values_mut())
            .chain(of_ids)
        {
            *at = map(*at);
        }
        for consent in self.consent.values_mut() {
            consent.map_times(map);
        }
    }
}

impl Consent {
    fn map_times(&mut self, map: &mut dyn FnMut(Timestamp) -> Timestamp) {
        self.opt_in.map(map);
        self.declined.map(map);
        self.own_opt_in.map(map);
        for slot in [
            &mut self.pending,
            &mut self.double_opt_in,
            &mut self.not_asked,
            &mut self.unsubscribed,
            &mut self.complained,
            &mut self.bounced,
            &mut self.blocked,
            &mut self.inactive,
            &mut self.others_opt_out,
        ] {
            *slot = slot.map(&mut *map);
        }
        for ms in self.on_page.values_mut() {
            *ms = Timestamp::from_millisecond(*ms).map_or(*ms, |at| map(at).as_millisecond());
        }
        for consent in self.addresses.values_mut() {
            consent.map_times(map);
        }
    }
}
