//! Finds a person in files that were written before. A file is only added to, so a removal changes nothing in
//! it.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use causeway_core::search::{Hint, Look, PersonSearch};

/// Maximum number of line numbers listed; more are only counted.
const LISTED: usize = 20;

/// A sentence for each file that names the person or cannot be read. `path` may contain `{date}`.
pub(super) fn remains(dir: &Path, path: &str, search: &PersonSearch) -> Vec<String> {
    let mut sentences = Vec::new();
    for file in files(dir, path) {
        let place = file.display();
        match lines(&file, search) {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => sentences.push(format!(
                "{place} names the person in {}; delete what you find there by hand",
                listed(&lines)
            )),
            Err(error) => sentences.push(format!("{place} could not be searched: {error}")),
        }
    }
    sentences
}

/// The numbers of the lines that name the person, from 1.
fn lines(path: &Path, search: &PersonSearch) -> io::Result<Vec<u64>> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut found = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if search.look_in(&line, Hint::default()) == Look::Named {
            found.push(number);
        }
    }
    Ok(found)
}

fn listed(lines: &[u64]) -> String {
    let numbers: Vec<String> = lines.iter().take(LISTED).map(u64::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let rest = lines.len().saturating_sub(LISTED);
    if rest == 0 {
        format!("{word} {}", numbers.join(", "))
    } else {
        format!("{word} {} and {rest} more", numbers.join(", "))
    }
}

/// The file itself, the files of other days, and the files that were put aside; sorted.
fn files(dir: &Path, path: &str) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let steps: Vec<_> = Path::new(path).components().collect();
    for (place, step) in steps.iter().enumerate() {
        let step = step.as_os_str().to_string_lossy();
        let is_file = place + 1 == steps.len();
        found = if is_file || step.contains("{date}") {
            let pattern = Pattern::new(&step, is_file);
            found.iter().flat_map(|dir| pattern.within(dir)).collect()
        } else {
            found.iter().map(|dir| dir.join(&*step)).collect()
        };
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// The names that one step of a path matches: `people-{date}.csv`, also with a time after it.
struct Pattern {
    before: String,
    /// The text between the date and the extension.
    between: String,
    extension: String,
}

impl Pattern {
    fn new(step: &str, is_file: bool) -> Self {
        let (name, extension) = match step.rfind('.').filter(|at| is_file && *at > 0) {
            Some(at) => step.split_at(at),
            None => (step, ""),
        };
        let (before, between) = name.split_once("{date}").unwrap_or((name, ""));
        Self {
            before: before.to_owned(),
            between: between.to_owned(),
            extension: extension.to_owned(),
        }
    }

    fn within(&self, dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .filter(|entry| self.matches(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .collect()
    }

    fn matches(&self, name: &str) -> bool {
        let varying = name
            .strip_prefix(self.before.as_str())
            .and_then(|rest| rest.strip_suffix(self.extension.as_str()));
        varying.is_some_and(|varying| {
            let times = varying.replacen(&self.between, "", 1);
            times
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '-' | 'T' | 'Z'))
        })
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::contact::Identity;

    use super::*;

    #[test]
    fn every_line_that_names_the_person_is_listed_in_each_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let mut many = "x\n".to_owned();
        for _ in 0..22 {
            many.push_str("1;\"Ann\";ANN@example.org\n");
        }
        write("people.csv", &many);
        write(
            "people-20260301T093000Z.csv",
            "key;email\n1;ben@example.org\n2;ann@example.org\n",
        );
        write("people-other.csv", "ann@example.org\n");
        write("people.csv.bak", "ann@example.org\n");
        let search = PersonSearch::new(&[Identity::Email {
            address: "ann@example.org".to_owned(),
        }]);
        let found = remains(folder.path(), "people.csv", &search);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("20260301T093000Z.csv names the person in line 3;"),
            "{found:?}"
        );
        assert!(
            found[1].contains("people.csv names the person in lines 2, 3,"),
            "{found:?}"
        );
        assert!(found[1].contains("20, 21 and 2 more;"), "{found:?}");

        fs::create_dir(folder.path().join("2026-03-01")).unwrap();
        write(
            "2026-03-01/a-2026-03-01-b.jsonl",
            "{\"email\":\"ann\\u0040example.org\"}\n",
        );
        write("2026-03-01/a-2026-03-01-c.jsonl", "ann@example.org\n");
        let found = remains(folder.path(), "{date}/a-{date}-b.jsonl", &search);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("b.jsonl names the person in line 1;"),
            "{found:?}"
        );
        assert!(remains(folder.path(), "nothing.csv", &search).is_empty());
    }
}
