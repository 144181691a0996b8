//! Generates histories: lists of messages about few people, pages and seconds, so that they interact.

/// A small, fast generator that is the same on every machine (splitmix64), so that a seed identifies a
/// history.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

pub const EMAILS: [&str; 4] = [
    "bruce@example.org",
    "wayne@example.org",
    "selina@example.org",
    "kyle@example.org",
];
pub const REFERENCES: [&str; 3] = ["ref-of-bruce", "ref-of-selina", "ref-of-kyle"];
/// The ids that the platform gave its contacts.
pub const PLATFORM_IDS: [&str; 2] = ["81", "82"];

/// How a message names its person, as positions in the lists above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersonIds {
    pub email: Option<usize>,
    pub reference: Option<usize>,
    pub platform_id: Option<usize>,
}

/// Pages 7 and 9 belong to organisation 1, which is our own. Page 8 belongs to organisation 2, a partner.
pub const OWN_PAGES: [u32; 2] = [7, 9];
const PAGES: [u32; 3] = [7, 8, 9];

pub const PLAIN_STATUSES: [&str; 5] = ["bounce", "blocked", "spam", "unsub", "inactive"];

/// The queues of one Proca instance, and the other sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ActionV2,
    ActionV1,
    /// Waits for the confirmation by the supporter or a moderator.
    Confirm,
    EmailStatus,
    /// A platform's contact, as a form or as JSON.
    SyncForm,
    SyncJson,
    /// From an automation for people who joined: their arrival is their opt-in.
    Joined,
    /// `POST /v1/events`.
    Consent,
    Contact,
    PageVisit,
    /// About nobody, or not to be acted upon.
    Test,
    System,
    CampaignUpdated,
    ConfirmCreated,
    Unknown,
    Broken,
}

/// The kinds, with more entries for those that matter more.
const KINDS: [Kind; 32] = {
    use Kind::{
        ActionV1, ActionV2, Broken, CampaignUpdated, Confirm, ConfirmCreated, Consent, Contact, EmailStatus,
        Joined, PageVisit, SyncForm, SyncJson, System, Test, Unknown,
    };
    [
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV2,
        ActionV1,
        ActionV1,
        Confirm,
        EmailStatus,
        EmailStatus,
        EmailStatus,
        EmailStatus,
        EmailStatus,
        EmailStatus,
        EmailStatus,
        SyncForm,
        SyncJson,
        Joined,
        Consent,
        Consent,
        Consent,
        Contact,
        PageVisit,
        Test,
        System,
        CampaignUpdated,
        ConfirmCreated,
        Unknown,
        Broken,
    ]
};

/// The content of a message. Which parts are written depends on the kind; see [`crate::wire`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message {
    pub kind: Kind,
    pub who: PersonIds,
    /// Came through the queue whose opt-ins wait for the click in a mail.
    pub waits_for_click: bool,
    pub action: usize,
    pub page: u32,
    /// Empty: a platform or a site clears the field, a petition says nothing.
    pub first_name: &'static str,
    pub opt_in: Option<bool>,
    pub with_consent: bool,
    pub status: Option<&'static str>,
    /// A word of the API, or the value of a platform's list field.
    pub word: &'static str,
    pub is_about_phone: bool,
    /// The value of the box about calls, on the form or in the list field.
    pub phone: Option<&'static str>,
    /// When the consent was given, or the message arrived, in seconds.
    pub at: i64,
    /// When the status changed, or the action was taken, in seconds.
    pub later: i64,
}

pub const WORDS: [&str; 8] = [
    "opt_in",
    "double_opt_in",
    "declined",
    "unsubscribed",
    "complained",
    "bounced",
    "blocked",
    "inactive",
];

/// The history of a seed: 1 to 50 messages.
pub fn history(random: &mut Random) -> Vec<Message> {
    let length = 1 + random.below(50);
    // Only a few ways to name people. With all of them, everybody would soon be merged into one person.
    let ways: Vec<PersonIds> = (0..=random.below(6)).map(|_| who(random)).collect();
    let seconds = random.pick(&[2, 6, 40]);
    let mut messages: Vec<Message> = Vec::with_capacity(length);
    for _ in 0..length {
        let message = match messages.len() {
            // Redelivered by the broker.
            1.. if random.one_in(8) => random.pick(&messages),
            _ => message(random, &ways, seconds),
        };
        messages.push(message);
    }
    messages
}

fn who(random: &mut Random) -> PersonIds {
    PersonIds {
        email: Some(random.below(EMAILS.len())),
        reference: random.one_in(2).then(|| random.below(REFERENCES.len())),
        platform_id: random.one_in(3).then(|| random.below(PLATFORM_IDS.len())),
    }
}

/// Often only a part of the names, so that two contacts turn out to be one person only later.
fn part_of(who: PersonIds, random: &mut Random) -> PersonIds {
    match random.below(4) {
        0 => PersonIds { email: None, ..who },
        1 => PersonIds {
            email: who.email,
            ..PersonIds::default()
        },
        _ => who,
    }
}

fn message(random: &mut Random, ways: &[PersonIds], seconds: usize) -> Message {
    let mut second = || i64::try_from(random.below(seconds)).unwrap();
    let (at, later) = (second(), second());
    let way = random.pick(ways);
    let status = match random.below(12) {
        0..4 => None,
        4..8 => Some("double_opt_in"),
        8..10 => Some(random.pick(&PLAIN_STATUSES)),
        10 => Some("unsub"),
        _ => Some(random.pick(&["active", "no_such_status"])),
    };
    Message {
        kind: random.pick(&KINDS),
        who: part_of(way, random),
        waits_for_click: random.one_in(4),
        action: random.below(12),
        page: random.pick(&PAGES),
        first_name: random.pick(&["Bruce", "Bat", "Selina", ""]),
        opt_in: random.pick(&[None, Some(false), Some(true), Some(true)]),
        with_consent: !random.one_in(4),
        status,
        word: random.pick(&WORDS),
        is_about_phone: random.one_in(3),
        phone: random.pick(&[None, None, Some("yes"), Some("no")]),
        at,
        later,
    }
}
