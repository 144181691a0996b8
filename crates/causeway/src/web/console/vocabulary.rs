//! Technical words in responses of servers. They are not personal data; every other word of a response might be.

/// In alphabetical order, lower case. No word that is also a given or family name.
const WORDS: &str = "a accepted access account action address allowed already an and api are argument as at \
     authentication authorization available back bad be been body br by call can cannot center charset \
     code conflict connect connection consent contact contacts contains could create created credentials \
     database deadlock delivered denied detail div doctype does down duplicate email empty en entity \
     error errors exceeded exist exists expected expired failed failure false field fields for forbidden \
     format found from gateway gone h1 has have head header hr html http https id in internal invalid is \
     it json key known lang large later length li limit list locked long maintenance many maximum message \
     meta method minimum missing must name nginx no not null number object of ok on only or p page \
     payload permission phone please policy pre proxy queued quota rate reached received record rejected \
     request requests required resource response retry row schema seconds server service short span \
     status stored string success temporarily temporary the this time timeout title to token too true try \
     type ul unauthorized unavailable unexpected unknown unprocessable unsubscribed unsupported up update \
     updated upstream url user utf valid validation value values version was were while with wrong you";

/// Keeps known words, punctuation and HTTP statuses. Every other word becomes dots. A token with an `@` inside is one word.
pub(crate) fn keep_known(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut token = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '@' | '.' | '+' | '_' | '-' | '\'' | '%' | '~') {
            token.push(c);
        } else {
            flush(&mut token, &mut out);
            out.push(c);
        }
    }
    flush(&mut token, &mut out);
    out
}

fn flush(token: &mut String, out: &mut String) {
    let inner = token.trim_matches(|c: char| !c.is_alphanumeric());
    let is_known = inner.split(['_', '-', '.']).all(is_known) && !token.contains('@');
    let ends_sentence = token.ends_with('.');
    if is_known || inner.is_empty() {
        out.push_str(token);
    } else {
        out.push_str("•••");
        if ends_sentence {
            out.push('.');
        }
    }
    token.clear();
}

fn is_known(word: &str) -> bool {
    let lower = word.to_lowercase();
    let is_status = word.len() == 3 && matches!(word.parse::<u16>(), Ok(100..=599));
    word.is_empty() || is_status || WORDS.split(' ').any(|known| known == lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_hidden() {
        for (given, shown) in [
            (
                "Too many requests, retry later.",
                "Too many requests, retry later.",
            ),
            (
                "contact jana.novak@example.org: not found",
                "contact •••: not found",
            ),
            ("Jana-Maria O'Neill", "••• •••"),
            ("Error_404 at 10115", "Error_404 at •••"),
            ("", ""),
        ] {
            assert_eq!(keep_known(given), shown, "{given}");
        }
    }

    #[test]
    fn the_words_are_in_order() {
        assert!(WORDS.split(' ').is_sorted());
        assert!(WORDS.split(' ').all(|word| !word.is_empty()));
    }
}
