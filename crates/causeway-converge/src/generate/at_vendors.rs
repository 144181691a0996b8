//! Generates what happens at vendors between the messages.

use super::Making;
use crate::{
    feature::Feature,
    message::{Content, Deed, Message, Says},
    world::{DestinationKind, Vendor},
};

impl Making<'_> {
    /// Some people left before the history began.
    pub(super) fn leave_before(&mut self) {
        if !self.has(Feature::AtVendors) {
            return;
        }
        for space in 0..self.spaces.len() {
            for destination in self.vendors(space) {
                for _ in 0..self.dice.between(0, 3) {
                    let person = self.people.somebody(&mut self.dice);
                    let how = self.dice.weighted(&[(60, 0), (20, 1), (20, 2)]);
                    let how = [Deed::Leaves, Deed::Bounces, Deed::Archived][how].clone();
                    let at = self.time_for(space, person, true, false);
                    // It is over when the history begins.
                    if at > 0 {
                        continue;
                    }
                    let deed = Deed::Left {
                        at,
                        how: Box::new(how),
                    };
                    self.add_deed(space, destination, person, deed);
                }
            }
        }
    }

    /// Something happens at a vendor of a workspace. Returns whether it has one.
    pub(super) fn happen(&mut self, space: usize) -> bool {
        let vendors = self.vendors(space);
        if vendors.is_empty() {
            return false;
        }
        let destination = *self.dice.pick(&vendors);
        let person = self.people.somebody(&mut self.dice);
        let deed = self
            .dice
            .weighted(&[(45, 0), (8, 1), (10, 2), (12, 3), (5, 4), (10, 5), (10, 6)]);
        let deeds = [
            Deed::Leaves,
            Deed::Complains,
            Deed::Bounces,
            Deed::Archived,
            Deed::Deleted,
            Deed::Merged,
            Deed::Moves,
        ];
        self.add_deed(space, destination, person, deeds[deed].clone());
        true
    }

    /// The destinations at which people do something by themselves.
    fn vendors(&self, space: usize) -> Vec<usize> {
        let destinations = self.spaces[space].destinations.iter().enumerate();
        let vendors = destinations.filter(|(_, destination)| {
            matches!(
                destination.kind,
                DestinationKind::Vendor(Vendor::HubSpot | Vendor::Mailchimp)
            )
        });
        vendors.map(|(which, _)| which).collect()
    }

    fn add_deed(&mut self, space: usize, destination: usize, person: usize, deed: Deed) {
        let number = self.people.address_of(&mut self.dice, person);
        let address = self.people.mailbox(number).to_owned();
        self.push(Message {
            space,
            source: 0,
            epoch: 0,
            number: 0,
            content: Content::AtVendor {
                destination,
                address,
                deed,
            },
            says: Says::default(),
        });
    }
}
