//! Charts as SVG paths.

use std::fmt::Write as _;

use serde::Serialize;

/// The box that the paths are drawn in.
pub(crate) const WIDTH: f64 = 120.0;
pub(crate) const HEIGHT: f64 = 28.0;
/// Room for the stroke, so that a line at the top or bottom is not cut.
const MARGIN: f64 = 1.5;

/// A line over time and the area under it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Spark {
    pub line: String,
    pub area: String,
}

/// Draws `values`, oldest first, against the right edge; `slots` values fill the width.
pub(crate) fn spark(values: &[f64], slots: u32) -> Spark {
    let top = values.iter().copied().fold(1.0_f64, f64::max);
    let step = WIDTH / f64::from(slots.saturating_sub(1).max(1));
    let mut line = String::new();
    let mut x = WIDTH;
    let mut first = WIDTH;
    let mut points = Vec::with_capacity(values.len());
    for value in values.iter().rev().take(slots as usize) {
        let y = HEIGHT - MARGIN - (value.max(0.0) / top) * (HEIGHT - 2.0 * MARGIN);
        points.push((x, y));
        first = x;
        x -= step;
    }
    for (x, y) in points.iter().rev() {
        let letter = if line.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _written = write!(line, "{letter}{x:.1} {y:.1}");
    }
    if points.len() < 2 {
        return Spark::default();
    }
    let area = format!("{line}L{WIDTH:.1} {HEIGHT:.1}L{first:.1} {HEIGHT:.1}Z");
    Spark { line, area }
}

/// The curve from the middle of card `from` of `from_count` on the left to card `to` of `to_count` on the right, in a box of
/// 100 × 100 that is stretched to the height of both columns.
pub(crate) fn curve(from: usize, from_count: usize, to: usize, to_count: usize) -> String {
    let (start, end) = (middle(from, from_count), middle(to, to_count));
    format!("M0 {start:.2}C50 {start:.2} 50 {end:.2} 100 {end:.2}")
}

#[expect(clippy::cast_precision_loss, reason = "a handful of cards")]
fn middle(at: usize, count: usize) -> f64 {
    (at as f64 + 0.5) / count.max(1) as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_the_right_edge_and_scales_to_its_peak() {
        let drawn = spark(&[0.0, 5.0, 10.0], 61);
        assert_eq!(drawn.line, "M116.0 26.5L118.0 14.0L120.0 1.5");
        assert!(drawn.area.ends_with("L120.0 28.0L116.0 28.0Z"), "{}", drawn.area);
        assert_eq!(spark(&[3.0], 61), Spark::default());
        assert_eq!(spark(&[], 0), Spark::default());
    }

    #[test]
    fn a_curve_joins_the_middles_of_two_cards() {
        assert_eq!(curve(0, 1, 1, 2), "M0 50.00C50 50.00 50 75.00 100 75.00");
    }
}
