//! What must hold for every text that somebody calls a configuration.

use std::path::Path;

pub fn hold(text: &str) {
    let Err(errors) = causeway::config::parse(Path::new("causeway.toml"), text) else {
        return;
    };
    assert!(!errors.is_empty(), "a refusal says why");
    let lines = text.lines().count().max(1) + 1;
    for error in errors {
        assert!(!error.error.message.is_empty(), "a reason has words");
        assert!(
            error.line.is_none_or(|line| (1..=lines).contains(&line)),
            "the line is one of the text's"
        );
    }
}
