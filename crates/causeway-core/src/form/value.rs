//! Text and PHP's ordered arrays, whose keys are integers or bytes.

use std::collections::BTreeMap;

/// From this size on an array that is not a plain list keeps an index of its keys.
const INDEX_FROM: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Bytes as they came after decoding; not necessarily UTF-8.
    Text(Vec<u8>),
    Array(Array),
}

impl Value {
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into())
    }
}

/// An array key. Decimal text in canonical form is an integer, as in PHP: `"7"` and `"-7"`, not `"07"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Int(i64),
    Text(Box<[u8]>),
}

impl Key {
    pub fn new(bytes: &[u8]) -> Self {
        canonical_integer(bytes).map_or_else(|| Self::Text(bytes.into()), Self::Int)
    }
}

/// A key to look for, before it is known that it is new and has to be kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyRef<'a> {
    Int(i64),
    Text(&'a [u8]),
}

impl<'a> KeyRef<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        canonical_integer(bytes).map_or(Self::Text(bytes), Self::Int)
    }

    fn to_key(self) -> Key {
        match self {
            Self::Int(number) => Key::Int(number),
            Self::Text(text) => Key::Text(text.into()),
        }
    }

    fn is(self, key: &Key) -> bool {
        match (self, key) {
            (Self::Int(ours), Key::Int(theirs)) => ours == *theirs,
            (Self::Text(ours), Key::Text(theirs)) => *ours == **theirs,
            _ => false,
        }
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        match key {
            Key::Int(number) => Self::Int(*number),
            Key::Text(text) => Self::Text(text),
        }
    }
}

fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let (first, rest) = digits.split_first()?;
    let zero_in_front = *first == b'0' && (!rest.is_empty() || bytes.len() > 1);
    if zero_in_front || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Keys in the order of their first insertion.
///
/// Looking up costs nothing for lists (key = position) and O(log n) otherwise, so that a body made to be
/// slow is not.
#[derive(Debug, Clone)]
pub struct Array {
    entries: Vec<(Key, Value)>,
    /// Key → position, kept once the array is no list and has [`INDEX_FROM`] entries.
    index: Option<BTreeMap<Key, usize>>,
    /// Whether the keys are 0, 1, 2, … in this order.
    is_list: bool,
    /// The key that an append gets; `i64::MIN` stands for "no integer key yet", and gives 0.
    next: i64,
}

impl Default for Array {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: None,
            is_list: true,
            next: i64::MIN,
        }
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Array {}

impl Array {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the keys are 0, 1, 2, … in this order; true of an empty array.
    pub fn is_list(&self) -> bool {
        self.is_list
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn into_entries(self) -> impl Iterator<Item = (Key, Value)> {
        self.entries.into_iter()
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        let (_, value) = self.entries.get(self.position(key.into())?)?;
        Some(value)
    }

    /// Sets a value, in its old place where the key is known; gives back what was there.
    pub fn set(&mut self, key: Key, value: Value) -> Option<Value> {
        if let Some(old) = self.at_mut(KeyRef::from(&key)) {
            return Some(std::mem::replace(old, value));
        }
        self.add(key, value);
        None
    }

    /// As [`Self::set`], with a key that is copied only if it is new.
    pub(super) fn set_ref(&mut self, key: KeyRef<'_>, value: Value) -> Option<Value> {
        if let Some(old) = self.at_mut(key) {
            return Some(std::mem::replace(old, value));
        }
        self.add(key.to_key(), value);
        None
    }

    fn at_mut(&mut self, key: KeyRef<'_>) -> Option<&mut Value> {
        let at = self.position(key)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Adds a value under the next integer key. PHP loses it when the greatest integer is taken, and so do
    /// we: the value comes back as the error.
    pub fn append(&mut self, value: Value) -> Result<(), Value> {
        let key = self.next_key();
        if key == Key::Int(i64::MAX) && self.position(KeyRef::from(&key)).is_some() {
            return Err(value);
        }
        self.add(key, value);
        Ok(())
    }

    /// The array under `key` (`None` = a new one, appended), made if there is none. The flag says whether a text was
    /// replaced. `None` when the append is lost.
    pub(super) fn array_at(&mut self, key: Option<KeyRef<'_>>) -> Option<(&mut Self, bool)> {
        let mut replaced = false;
        let at = match key {
            None => {
                self.append(Value::Array(Self::default())).ok()?;
                self.entries.len() - 1
            }
            Some(key) => {
                if let Some(at) = self.position(key) {
                    at
                } else {
                    self.add(key.to_key(), Value::Array(Self::default()));
                    self.entries.len() - 1
                }
            }
        };
        let (_, value) = self.entries.get_mut(at)?;
        if let Value::Text(_) = value {
            *value = Value::Array(Self::default());
            replaced = true;
        }
        match value {
            Value::Array(array) => Some((array, replaced)),
            Value::Text(_) => None,
        }
    }

    /// Takes a key out; the others keep their order. Linear.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let at = self.position(key.into())?;
        let (_, value) = self.entries.remove(at);
        self.is_list = (0_i64..)
            .zip(&self.entries)
            .all(|(n, (key, _))| *key == Key::Int(n));
        self.index = None;
        self.index_if_large();
        Some(value)
    }

    /// Makes a list of an array whose keys are 0..n-1 in any order; returns whether it had to move something.
    pub(super) fn sort_if_list_in_disorder(&mut self) -> bool {
        if self.is_list || !self.keys_are_zero_to_n() {
            return false;
        }
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.index = None;
        self.is_list = true;
        true
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Keys are unique, so it is enough that all are integers within the range.
    fn keys_are_zero_to_n(&self) -> bool {
        self.entries.iter().all(|(key, _)| match key {
            Key::Int(n) => usize::try_from(*n).is_ok_and(|n| n < self.entries.len()),
            Key::Text(_) => false,
        })
    }

    fn next_key(&self) -> Key {
        Key::Int(if self.next == i64::MIN { 0 } else { self.next })
    }

    fn position(&self, key: KeyRef<'_>) -> Option<usize> {
        if self.is_list {
            let KeyRef::Int(n) = key else { return None };
            return usize::try_from(n).ok().filter(|n| *n < self.entries.len());
        }
        match &self.index {
            Some(index) => index.get(&key.to_key()).copied(),
            None => self.entries.iter().position(|(known, _)| key.is(known)),
        }
    }

    /// Adds a key that is not there yet.
    fn add(&mut self, key: Key, value: Value) {
        let at = self.entries.len();
        if let Key::Int(n) = key {
            self.is_list = self.is_list && usize::try_from(n) == Ok(at);
            if n >= self.next {
                self.next = n.saturating_add(1);
            }
        } else {
            self.is_list = false;
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), at);
        }
        self.entries.push((key, value));
        self.index_if_large();
    }

    fn index_if_large(&mut self) {
        if self.index.is_none() && !self.is_list && self.entries.len() >= INDEX_FROM {
            let keys = self.entries.iter().enumerate();
            self.index = Some(keys.map(|(at, (key, _))| (key.clone(), at)).collect());
        }
    }
}

impl FromIterator<(Key, Value)> for Array {
    fn from_iter<T: IntoIterator<Item = (Key, Value)>>(entries: T) -> Self {
        let mut array = Self::default();
        for (key, value) in entries {
            array.set(key, value);
        }
        array
    }
}
