//! The newest times of one sort of fact.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::millis;

/// How many times are kept. More than one, because the newest opt-in may turn out not to count
/// ([`super::Consent::state`]). The union of two such sets, cut to the newest times, is a join.
const KEPT: usize = 8;

/// The newest distinct times, newest first. One time is serialized as a number, several as a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(Vec<i64>);

impl Times {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn newest(&self) -> Option<Timestamp> {
        self.iter().next()
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = Timestamp> {
        self.0
            .iter()
            .filter_map(|at| Timestamp::from_millisecond(*at).ok())
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        self.0.contains(&at.as_millisecond())
    }

    /// Returns whether the set changed.
    pub fn add(&mut self, at: Timestamp) -> bool {
        let at = millis::floor(at).as_millisecond();
        let place = self.0.partition_point(|known| *known > at);
        if place >= KEPT || self.0.get(place) == Some(&at) {
            return false;
        }
        self.0.insert(place, at);
        self.0.truncate(KEPT);
        true
    }

    /// Replaces each time by `map` of it. `map` must keep the order of the times.
    pub(crate) fn map(&mut self, map: &mut dyn FnMut(Timestamp) -> Timestamp) {
        *self = self.iter().fold(Self::default(), |mut mapped, at| {
            mapped.add(map(at));
            mapped
        });
    }

    /// Returns whether the set changed.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for at in other.iter() {
            changed |= self.add(at);
        }
        changed
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_i64(*one),
            all => serializer.collect_seq(all),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> serde::de::Visitor<'de> for OneOrMore {
            type Value = Times;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("milliseconds since 1970, or a list of them")
            }

            fn visit_i64<E>(self, at: i64) -> Result<Times, E> {
                Ok(Times(vec![at]))
            }

            fn visit_u64<E: serde::de::Error>(self, at: u64) -> Result<Times, E> {
                i64::try_from(at).map(|at| Times(vec![at])).map_err(E::custom)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Times, A::Error> {
                let mut times = Vec::new();
                while let Some(at) = all.next_element::<i64>()? {
                    times.push(at);
                }
                times.sort_unstable_by(|a, b| b.cmp(a));
                times.dedup();
                times.truncate(KEPT);
                Ok(Times(times))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(all: &[i64]) -> Times {
        let mut times = Times::default();
        for at in all {
            times.add(Timestamp::from_millisecond(*at).unwrap());
        }
        times
    }

    #[test]
    fn each_time_is_replaced() {
        let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let mut times = Times::default();
        for ms in [3, 1, 2] {
            times.add(time(ms));
        }
        times.map(&mut |at| time(at.as_millisecond() + 10));
        let all: Vec<i64> = times.iter().map(Timestamp::as_millisecond).collect();
        assert_eq!(all, [13, 12, 11]);
    }

    #[test]
    fn one_time_is_a_number_and_more_are_a_list() {
        for (times, json) in [
            (times(&[]), "[]"),
            (times(&[5]), "5"),
            (times(&[-3]), "-3"),
            (times(&[5, 7, 5, -3]), "[7,5,-3]"),
        ] {
            assert_eq!(serde_json::to_string(&times).unwrap(), json);
            assert_eq!(serde_json::from_str::<Times>(json).unwrap(), times);
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let all: Vec<i64> = (0..20).map(|n| (n * 7) % 20).collect();
        let mut turned = all.clone();
        turned.reverse();
        let (mut a, b) = (times(&all[..12]), times(&all[8..]));
        a.join(&b);
        assert_eq!(a, times(&turned));
        assert_eq!(a.newest().map(Timestamp::as_millisecond), Some(19));
        assert!(!a.join(&b), "joining again changes nothing");
    }
}
