//! Rewrites a file: the places of the edits are replaced by text that holds the original and the mutants.

use std::ops::Range;

/// A mutant within one build.
pub type Id = u32;

#[derive(Debug, Clone)]
pub enum Piece {
    Text(String),
    /// Original text, with the edits inside it.
    Original(Range<usize>),
    /// What stands here only for this mutant.
    Only(Id, Vec<Piece>),
}

/// A place of the original text, and what replaces it.
#[derive(Debug, Clone)]
pub struct Edit {
    pub at: Range<usize>,
    pub pieces: Vec<Piece>,
    pub ids: Vec<Id>,
}

/// Bytes of the rewritten file and the mutants that they belong to.
#[derive(Debug, Clone)]
pub struct Place {
    pub at: Range<usize>,
    pub ids: Vec<Id>,
    /// Whether the bytes stand there only for the mutant, rather than for the mutant and the original.
    pub is_own: bool,
}

#[derive(Debug, Default)]
pub struct Rendered {
    pub text: String,
    pub places: Vec<Place>,
}

/// `edits` are in the order of a visit: an outer one comes before the ones inside it.
pub fn render(text: &str, mut edits: Vec<Edit>) -> Rendered {
    edits.sort_by_key(|edit| (edit.at.start, std::cmp::Reverse(edit.at.end)));
    let mut rendered = Rendered::default();
    rendered.original(text, &edits, 0..text.len());
    rendered
}

impl Rendered {
    fn original(&mut self, text: &str, edits: &[Edit], range: Range<usize>) {
        let mut from = range.start;
        for (number, edit) in edits.iter().enumerate() {
            if edit.at.start >= range.end {
                break;
            }
            if edit.at.start < from || edit.at.end > range.end {
                continue;
            }
            self.text.push_str(&text[from..edit.at.start]);
            let start = self.text.len();
            self.pieces(text, &edits[number + 1..], &edit.pieces);
            self.places.push(Place {
                at: start..self.text.len(),
                ids: edit.ids.clone(),
                is_own: false,
            });
            from = edit.at.end;
        }
        self.text.push_str(&text[from..range.end]);
    }

    fn pieces(&mut self, text: &str, edits: &[Edit], pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(own) => self.text.push_str(own),
                Piece::Original(range) => self.original(text, edits, range.clone()),
                Piece::Only(id, pieces) => {
                    let start = self.text.len();
                    self.pieces(text, edits, pieces);
                    self.places.push(Place {
                        at: start..self.text.len(),
                        ids: vec![*id],
                        is_own: true,
                    });
                }
            }
        }
    }
}

/// The mutants that a compiler's complaint about these bytes belongs to.
pub fn blamed<'a>(places: &'a [Place], complaint: &Range<usize>, own: bool) -> Option<&'a [Id]> {
    places
        .iter()
        .filter(|place| place.is_own == own)
        .filter(|place| place.at.start <= complaint.start && complaint.end <= place.at.end)
        .min_by_key(|place| place.at.len())
        .map(|place| &*place.ids)
}
