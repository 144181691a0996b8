//! Percent-encoding as PHP does it, over bytes.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Decodes `+` and `%XX` into `out`, replacing its content. Malformed escapes stay as they are.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.reserve(text.len());
    let plain = text.iter().position(|byte| matches!(byte, b'+' | b'%'));
    let (plain, mut rest) = text
        .split_at_checked(plain.unwrap_or(text.len()))
        .unwrap_or_default();
    out.extend_from_slice(plain);
    while let [first, after @ ..] = rest {
        rest = after;
        out.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                hex_digit(*high) << 4 | hex_digit(*low)
            }
            _ => *first,
        });
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

/// Encodes as PHP's `urlencode` (`+` for a space) or, with `rfc3986`, as `rawurlencode`.
pub(super) fn encode(text: &[u8], rfc3986: bool, out: &mut String) {
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            b'~' if rfc3986 => out.push('~'),
            b' ' if !rfc3986 => out.push('+'),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    out.extend(HEX.get(usize::from(nibble)).map(|digit| char::from(*digit)));
                }
            }
        }
    }
}

/// Appends `name=value` to a form body, with a `&` in front unless it is the first pair. A listener uses this
/// to turn the parts of a multipart body into a form. Brackets in names keep their meaning.
pub fn append_pair(body: &mut String, name: &[u8], value: &[u8]) {
    if !body.is_empty() {
        body.push('&');
    }
    encode(name, false, body);
    body.push('=');
    encode(value, false, body);
}
