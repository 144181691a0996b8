//! The header `Prefer`.

use super::error::Refusal;
use crate::fake_api::Request;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    Merge,
    Ignore,
}

#[derive(Debug, Default)]
pub struct Prefer {
    pub resolution: Option<Resolution>,
    /// Columns that a row lacks get their defaults, not null.
    pub missing_is_default: bool,
    /// The response has the rows.
    pub is_representation: bool,
    pub counts: bool,
    applied: Vec<&'static str>,
}

impl Prefer {
    pub fn read(request: &Request) -> Result<Self, Refusal> {
        let mut prefer = Self::default();
        let mut unknown = Vec::new();
        let mut is_strict = false;
        let headers = request.headers.iter().filter(|(name, _)| name == "prefer");
        for item in headers.flat_map(|(_, value)| value.split(',')).map(str::trim) {
            match item {
                "resolution=merge-duplicates" => prefer.resolution = Some(Resolution::Merge),
                "resolution=ignore-duplicates" => prefer.resolution = Some(Resolution::Ignore),
                "missing=default" => prefer.missing_is_default = true,
                "return=representation" => prefer.is_representation = true,
                "count=exact" => prefer.counts = true,
                "handling=strict" => is_strict = true,
                "return=minimal" | "return=headers-only" | "missing=null" | "handling=lenient" | "" => {}
                other => unknown.push(other.to_owned()),
            }
        }
        for (is_applied, text) in [
            (
                prefer.resolution == Some(Resolution::Merge),
                "resolution=merge-duplicates",
            ),
            (
                prefer.resolution == Some(Resolution::Ignore),
                "resolution=ignore-duplicates",
            ),
            (prefer.missing_is_default, "missing=default"),
            (prefer.is_representation, "return=representation"),
            (prefer.counts, "count=exact"),
        ] {
            prefer.applied.extend(is_applied.then_some(text));
        }
        if is_strict && !unknown.is_empty() {
            let refusal = Refusal::postgrest(400, 122, "Invalid preferences given with handling=strict");
            return Err(refusal.details(format!("Invalid preferences: {}", unknown.join(", "))));
        }
        Ok(prefer)
    }

    /// The header `Preference-Applied`.
    pub fn applied(&self) -> String {
        self.applied.join(", ")
    }
}
