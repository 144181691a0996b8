//! Reads the token from a path. Senders and proxies may change the path: a slash at the end, doubled slashes, letters as
//! `%2D`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The token of `/in/TOKEN`, decoded. For any other path the empty text, which is no source's token.
pub(super) fn token(path: &str) -> Cow<'_, str> {
    let mut steps = path.split('/').filter(|step| !step.is_empty());
    match (steps.next(), steps.next(), steps.next()) {
        (Some("in"), Some(token), None) => percent_decode_str(token).decode_utf8_lossy(),
        _ => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_escapes_do_not_change_the_token() {
        for path in [
            "/in/a-b",
            "/in/a-b/",
            "/in//a-b",
            "/in/a-b//",
            "/in/a%2Db",
            "/in/%61%2db/",
            "//in/a-b",
        ] {
            assert_eq!(token(path), "a-b", "{path}");
        }
        for path in [
            "/",
            "/in",
            "/in/",
            "/in//",
            "/a-b",
            "/in/a-b/c",
            "/inn/a-b",
            "/in/in/a-b",
        ] {
            assert_eq!(token(path), "", "{path}");
        }
        assert_eq!(token("/in/a%2Fb"), "a/b", "no token has such a letter");
        assert_eq!(token("/in/a%252Db"), "a%2Db", "decoded once");
    }
}
