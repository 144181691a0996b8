//! Opt-ins for a mailbox, when one of its users moves on, opts out or is erased.

use super::Consent;

impl Consent {
    /// Replaces the opt-ins and clicks for an address by those that `said` holds for it. Opt-outs and
    /// suppressions stay, whoever they come from. Returns whether anything changed.
    pub fn set_agreed(&mut self, address: &str, source: &Self) -> bool {
        let agreed = source.addresses.get(address).cloned().unwrap_or_default();
        let here = self.of_address(address);
        let replaced = Self {
            opt_in: agreed.opt_in,
            pending: agreed.pending,
            double_opt_in: agreed.double_opt_in,
            on_page: agreed.on_page,
            ..here.clone()
        };
        let is_news = replaced != *here;
        if replaced == Self::default() {
            self.addresses.remove(address);
        } else {
            *here = replaced;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{Consent, What};

    #[test]
    fn opt_ins_are_replaced_and_opt_outs_stay() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut known = Consent::default();
        let mut own = Consent::default();
        for (what, second) in [
            (What::OptIn, 1),
            (What::DoubleOptIn, 2),
            (What::Unsubscribed, 3),
            (What::Bounced, 4),
            (What::Declined, 5),
        ] {
            known.add_shared(&what, at(second), "a@example.org");
        }
        own.add(&What::DoubleOptIn, at(1), Some("a@example.org"));
        assert!(known.set_agreed("a@example.org", &own));
        assert!(!known.set_agreed("a@example.org", &own));
        let here = &known.addresses["a@example.org"];
        assert!(here.opt_in.is_empty());
        assert_eq!(here.double_opt_in, Some(at(1)));
        assert_eq!((here.unsubscribed, here.bounced), (Some(at(3)), Some(at(4))));
        assert_eq!(here.declined.newest(), Some(at(5)));
        assert!(!known.set_agreed("b@example.org", &own));
    }
}
