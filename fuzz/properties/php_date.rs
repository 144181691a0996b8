//! What must hold for every pattern of a date, at any time and place. The first line is the zone, the second the seconds since
//! 1970, the rest the pattern.

use causeway_core::{
    clock::Timestamp,
    dates::{self, Reading},
    php_date::{SYNC, format, has_content},
};
use jiff::tz::TimeZone;

/// Panics when a property is broken.
pub fn hold(input: &str) {
    let (zone, rest) = input.split_once('\n').unwrap_or(("UTC", input));
    let (seconds, pattern) = rest.split_once('\n').unwrap_or(("0", rest));
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let seconds = seconds.parse().unwrap_or_default();
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = at.to_zoned(zone.clone());

    let printed = format(pattern, &at);
    // The longest are `r` and the name of a zone.
    assert!(printed.len() <= pattern.len() * 64, "{printed}");
    if !has_content(pattern) {
        let epoch = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        assert_eq!(printed, format(pattern, &epoch), "no letter, no date");
    }
    let escaped: String = pattern.chars().flat_map(|letter| ['\\', letter]).collect();
    assert_eq!(format(&escaped, &at), pattern, "as it is");

    // Years that platforms print have four digits.
    if (0..=9_999).contains(&at.year()) {
        // Before there were standard times, offsets had seconds, for which that pattern has no place.
        let offset = (at.offset().seconds() % 60 == 0).then_some("c");
        let shapes = [SYNC, "m/d/Y H:i", "d-m-Y h:iA", "Y-m-d H:i:s"];
        for pattern in shapes.into_iter().chain(offset) {
            let printed = format(pattern, &at);
            let Reading::At(read) = dates::read(&printed, &zone) else {
                panic!("{printed} is not read back");
            };
            assert_eq!(format(pattern, &read.to_zoned(zone.clone())), printed);
        }
    }
    dates::read(pattern, &zone);
}
