//! Compares the date patterns with PHP's `date`.

use causeway_core::{clock::Timestamp, php_date};

use super::php::{php, run};

/// Every letter on its own, except those whose text depends on the version of the time zone database.
const LETTERS: &str = "d D j l N S w z W F m M n t L o Y y a A B g G h H i s v e I O P p T Z c r U";

#[test]
fn every_letter_prints_what_php_prints() {
    let Some(php) = php() else { return };
    let mut cases = Vec::new();
    for zone in ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"] {
        // Days around the ends of years, leap days, summer time, and times before 1970.
        for start in [
            -70_000_000_i64,
            951_700_000,
            1_230_600_000,
            1_648_340_000,
            1_667_090_000,
        ] {
            for step in 0..12 {
                cases.push((zone, start + step * 43_217));
            }
        }
    }
    let lines: Vec<Vec<u8>> = cases
        .iter()
        .map(|(zone, at)| format!("{zone} {at}").into_bytes())
        .collect();
    let script = format!(
        "[$zone, $at] = explode(' ', $line); date_default_timezone_set($zone); return date('{LETTERS} \\\\d\\\\e Y-m-d h:i A', (int) $at);"
    );
    for ((zone, at), seen) in cases.iter().zip(run(&php, &script, &lines)) {
        let at = Timestamp::from_second(*at).unwrap().in_tz(zone).unwrap();
        let ours = php_date::format(&format!("{LETTERS} \\d\\e {}", php_date::SYNC), &at);
        assert_eq!(ours, seen, "{at}");
    }
}
