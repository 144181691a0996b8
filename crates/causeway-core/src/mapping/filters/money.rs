//! Amounts in the smallest unit of their currency (cents), and back.

use super::{Error, Kwargs, Value, ValueKind, fallback, filled, nothing, refuse};

/// Currencies without two digits after the point, by ISO 4217.
const NONE: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

pub(super) fn check_currency(code: &str) -> Result<(), Error> {
    places(code).map(drop)
}

/// The digits after the point.
fn places(code: &str) -> Result<u32, Error> {
    let code = code.trim().to_ascii_uppercase();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(refuse(
            "the currency is not a code of three letters",
            Some("such as minor_units('EUR')".to_owned()),
        ));
    }
    Ok(match code.as_str() {
        code if NONE.contains(&code) => 0,
        code if THREE.contains(&code) => 3,
        _ => 2,
    })
}

/// `minor_units('EUR')`: 12.5 → 1250. Digits beyond the smallest unit are rounded.
pub(super) fn minor_units(value: &Value, currency: &str, options: Kwargs) -> Result<Value, Error> {
    convert(value, currency, &options, |amount, places| {
        amount.shifted(places)?.rounded()
    })
}

/// `major_units('EUR')`: 1250 → 12.5.
pub(super) fn major_units(value: &Value, currency: &str, options: Kwargs) -> Result<Value, Error> {
    convert(value, currency, &options, |amount, places| {
        let number = Amount {
            places: amount.places.checked_add(places)?,
            ..amount
        };
        number.value()
    })
}

fn convert(
    value: &Value,
    currency: &str,
    options: &Kwargs,
    change: impl FnOnce(Amount, u32) -> Option<Value>,
) -> Result<Value, Error> {
    let instead = fallback(options)?;
    options.assert_all_used()?;
    let places = places(currency)?;
    let text = match value.kind() {
        ValueKind::Number | ValueKind::String | ValueKind::None | ValueKind::Undefined => filled(value)?,
        _ => None,
    };
    let Some(text) = text else {
        return match value.kind() {
            ValueKind::None | ValueKind::String => Ok(instead.unwrap_or_else(nothing)),
            _ => instead.ok_or_else(no_amount),
        };
    };
    let made = Amount::read(&text).and_then(|amount| change(amount, places));
    made.or(instead).ok_or_else(no_amount)
}

fn no_amount() -> Error {
    refuse(
        "the value is not an amount",
        Some("amounts are read as 12, 12.5 or 12,50; `default=none` gives null for all others".to_owned()),
    )
}

/// A decimal number: `digits` / 10^`places`.
#[derive(Clone, Copy)]
struct Amount {
    digits: i128,
    places: u32,
}

impl Amount {
    /// `1234.5`, `12,50`, `-3`, and what a float prints (`1e-7`). A comma with three digits after it could separate
    /// thousands, so it is refused.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once(['.', ',']) {
            Some((_, fraction)) if mantissa.contains(',') && fraction.len() == 3 => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if unsigned.is_empty()
            || !is_number(unsigned)
            || !is_number(fraction)
            || whole.len() + fraction.len() > 30
        {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        match u32::try_from(places) {
            Ok(places) if places <= 30 => Some(Self { digits, places }),
            Ok(_) => None,
            Err(_) => {
                let factor = 10_i128.checked_pow(places.unsigned_abs())?;
                let digits = digits.checked_mul(factor)?;
                Some(Self { digits, places: 0 })
            }
        }
    }

    fn shifted(self, by: u32) -> Option<Self> {
        let digits = self.digits.checked_mul(10_i128.checked_pow(by)?)?;
        Some(Self { digits, ..self })
    }

    /// The nearest whole number, half away from zero.
    fn rounded(self) -> Option<Value> {
        let unit = 10_i128.checked_pow(self.places)?;
        let half = unit / 2 * self.digits.signum();
        let whole = self.digits.checked_add(half)?.checked_div(unit)?;
        i64::try_from(whole).ok().map(Value::from)
    }

    fn value(self) -> Option<Value> {
        let unit = 10_i128.checked_pow(self.places)?;
        if self.digits.checked_rem(unit)? == 0 {
            return i64::try_from(self.digits.checked_div(unit)?)
                .ok()
                .map(Value::from);
        }
        // Read as a text, so that the result is the number nearest to the decimal one.
        let (whole, rest) = (self.digits / unit, (self.digits % unit).abs());
        let sign = if self.digits < 0 { "-" } else { "" };
        let width = usize::try_from(self.places).ok()?;
        let text = format!("{sign}{}.{rest:0width$}", whole.abs());
        text.parse::<f64>().ok().map(Value::from)
    }
}
