//! Takes one layer of escapes off a text.

/// Percent-encoding, the escapes of JSON and JavaScript, and references of XML and HTML, all at once: what is none of them
/// stays as it is. `None` when there is nothing to take off.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find(['%', '\\', '&']) {
        let (before, escape) = rest.split_at(at);
        plain.extend_from_slice(before.as_bytes());
        if let Some((read, after)) = escaped(escape) {
            read.write_to(&mut plain);
            rest = after;
            changed = true;
        } else {
            let (mark, after) = escape.split_at(1);
            plain.extend_from_slice(mark.as_bytes());
            rest = after;
        }
    }
    plain.extend_from_slice(rest.as_bytes());
    changed.then_some(plain)
}

/// What one escape stands for.
enum Unescaped {
    /// A part of a character, in whatever encoding the sender has.
    Byte(u8),
    Char(char),
}

impl Unescaped {
    fn write_to(self, plain: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => plain.push(byte),
            Self::Char(c) => plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The escape that `text` begins with, and what is behind it.
fn escaped(text: &str) -> Option<(Unescaped, &str)> {
    if let Some(rest) = text.strip_prefix("%u").or_else(|| text.strip_prefix("\\u")) {
        return utf16_escape(rest);
    }
    if let Some(rest) = text.strip_prefix('%').or_else(|| text.strip_prefix("\\x")) {
        let (byte, rest) = hex(rest, 2)?;
        return Some((Unescaped::Byte(u8::try_from(byte).ok()?), rest));
    }
    if let Some(rest) = text.strip_prefix('\\') {
        let mut rest = rest.chars();
        let c = match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' | 'f' => ' ',
            c @ ('"' | '\'' | '\\' | '/') => c,
            _ => return None,
        };
        return Some((Unescaped::Char(c), rest.as_str()));
    }
    reference(text.strip_prefix('&')?)
}

/// Four hexadecimal digits, or two times four for letters beyond the first plane.
fn utf16_escape(text: &str) -> Option<(Unescaped, &str)> {
    let (first, rest) = hex(text, 4)?;
    if let Some(c) = char::from_u32(first) {
        return Some((Unescaped::Char(c), rest));
    }
    let (second, rest) = hex(rest.strip_prefix("\\u").or_else(|| rest.strip_prefix("%u"))?, 4)?;
    let pair = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let c = char::decode_utf16(pair).next()?.ok()?;
    Some((Unescaped::Char(c), rest))
}

/// `#64;`, `#x40;`, `commat;`. Browsers read numbers without the semicolon, too.
fn reference(text: &str) -> Option<(Unescaped, &str)> {
    let Some(number) = text.strip_prefix('#') else {
        let end = text.bytes().take(LONGEST_NAME).position(|byte| byte == b';')?;
        let (name, rest) = text.split_at_checked(end)?;
        let rest = rest.strip_prefix(';')?;
        return Some((Unescaped::Char(named(name)?), rest));
    };
    let (number, radix) = match number.strip_prefix(['x', 'X']) {
        Some(number) => (number, 16),
        None => (number, 10),
    };
    let end = number.find(|c: char| !c.is_digit(radix)).unwrap_or(number.len());
    let (digits, rest) = number.split_at(end);
    let c = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    Some((Unescaped::Char(c), rest.strip_prefix(';').unwrap_or(rest)))
}

/// Longest of the names below, with the semicolon. Without a limit, a body of only `&` would take hours.
const LONGEST_NAME: usize = 9;

/// The names that HTML has for the letters from 0xC0 on, in their order.
const LATIN: &str = "Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
     ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig \
     agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml \
     eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";

fn named(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "commat" => '@',
        "plus" => '+',
        "period" => '.',
        "lowbar" => '_',
        "hyphen" | "dash" => '-',
        "shy" | "zwnj" | "zwj" => '\u{ad}',
        name => {
            let place = LATIN.split_whitespace().position(|latin| latin == name)?;
            char::from(u8::try_from(0xc0 + place).ok()?)
        }
    })
}

/// `=40` and soft ends of lines, as in mails. `None` when there is nothing of the sort.
pub(super) fn quoted_printable(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some((before, escape)) = rest.split_once('=') {
        plain.extend_from_slice(before.as_bytes());
        rest = if let Some((byte, after)) = hex(escape, 2) {
            plain.extend(u8::try_from(byte).ok());
            changed = true;
            after
        } else if let Some(after) = escape.strip_prefix("\r\n").or_else(|| escape.strip_prefix('\n')) {
            changed = true;
            after
        } else {
            plain.push(b'=');
            escape
        };
    }
    plain.extend_from_slice(rest.as_bytes());
    changed.then_some(plain)
}

fn hex(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_hex = number.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u32::from_str_radix(number, 16).ok())
        .flatten()
        .map(|number| (number, rest))
}
