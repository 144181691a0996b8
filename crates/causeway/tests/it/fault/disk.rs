//! The disk of the store is full: nothing is taken, nothing is lost, memory stays flat, and afterwards everything
//! goes on.
//!
//! A small disk of its own needs root. A limit on the size of files needs nobody's leave, and is as hard.

use std::{
    collections::BTreeSet,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command as Blocking,
};

use causeway_testkit::{fake_api::FakeApi, rig::topology::Topology};
use rusqlite::{Connection, OpenFlags};
use tokio::process::Command;

use crate::live::{
    LIMIT, Live, Sender,
    books::Proof,
    messages::{long_message, message},
    setting::{api_and_file, blocking, queue},
};

/// Posts while there is room.
const BEFORE: u64 = 100;
/// Posts refused in a row, after which the disk counts as full: until then some find room in what the files have.
const REFUSED_IN_A_ROW: usize = 50;
/// While it is full: 40 MB of posts and 10 MB in the queue, which must not gather in memory.
const POSTS: u64 = 2_000;
const IN_QUEUE: u64 = 500;
const BYTES: usize = 20_000;
const MOST_GROWTH_KB: u64 = 40_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Disk {
    /// A file system in memory, mounted where the store is.
    Small,
    /// No file may grow beyond what it is.
    Limited,
}

/// Mounted at `at`; unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let mut mount = Blocking::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs"])
            .arg(at);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a program that a failed test left behind may still have files on it.
        drop(Blocking::new("umount").arg("-l").arg(&self.0).status());
    }
}

impl Disk {
    async fn spawn(self, live: &mut Live) {
        let config = live.folder().join("causeway.toml");
        let mut command = Command::new("sh");
        // A program that exceeds its limit is killed, unless it was told to ignore that: then the write fails.
        command.args([
            "-c",
            r#"trap "" XFSZ; exec "$0" --config "$1" serve"#,
            env!("CARGO_BIN_EXE_causeway"),
        ]);
        command.arg(config);
        live.spawn_as(command);
        live.is_live().await;
    }

    /// Leaves so much room, where there is a disk to leave it on.
    fn fill(self, live: &Live, left_mb: u64) {
        let data = live.folder().join("data");
        match self {
            Self::Small => {
                let mut ballast = std::fs::File::create(data.join("ballast")).expect("a file");
                // Smaller and smaller pieces, until the last page is taken.
                for bytes in [1 << 20, 1 << 12] {
                    while ballast.write_all(&vec![0; bytes]).is_ok() {}
                }
                let bytes = ballast.metadata().expect("a size").len();
                ballast.set_len(bytes - (left_mb << 20)).expect("some room again");
            }
            Self::Limited => {
                let files = std::fs::read_dir(&data).expect("the folder");
                let sizes = files.map(|file| file.expect("a file").metadata().expect("a size").size());
                limit(live, &sizes.max().expect("files").to_string());
            }
        }
    }

    fn make_room(self, live: &Live) {
        match self {
            Self::Small => std::fs::remove_file(live.folder().join("data/ballast")).expect("it was there"),
            Self::Limited => limit(live, "unlimited"),
        }
    }
}

fn limit(live: &Live, bytes: &str) {
    let mut prlimit = Blocking::new("prlimit");
    prlimit.args([
        "--pid",
        &live.id().to_string(),
        &format!("--fsize={bytes}:unlimited"),
    ]);
    assert!(prlimit.status().expect("prlimit runs").success());
}

fn memory_kb(live: &Live) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", live.id())).expect("it runs");
    let found = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = found
        .and_then(|line| line.split_whitespace().next())
        .expect("a line");
    number.parse().expect("a number")
}

/// Rows of the queue's messages that were committed. Asked of the file: a command of the program may want to write.
fn committed(live: &Live) -> u64 {
    let path = live.folder().join("data/causeway.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the database");
    let count = "SELECT count(*) FROM inbox JOIN name ON name.id = source_id WHERE name.name = 'queue' AND state <> 'duplicate'";
    let count: i64 = store.query_row(count, [], |row| row.get(0)).expect("a count");
    count.try_into().expect("a count")
}

/// What the broker has not got rid of.
async fn kept_by_broker(topology: &Topology) -> u64 {
    let queue = topology.queue("deliver");
    let rows = blocking(|| causeway_testkit::rig::rabbit::shared().list_queues()).await;
    let row = rows.into_iter().find(|row| row.0 == queue).expect("the queue");
    row.1 + row.2
}

/// Posts new messages until nothing is taken any more; gives the first number that was not tried.
async fn post_until_full(sender: &Sender, sent: &mut BTreeSet<u64>) -> u64 {
    let started = std::time::Instant::now();
    let (mut number, mut refused) = (BEFORE + 1, 0);
    while refused < REFUSED_IN_A_ROW {
        assert!(
            started.elapsed() < LIMIT,
            "the disk is not full after {number} posts"
        );
        match sender.post(&message(number)).await {
            Some(200) => {
                sent.insert(number);
                number += 1;
                refused = 0;
            }
            // The same again, as a platform does.
            Some(503) => refused += 1,
            other => panic!("answered {other:?}"),
        }
    }
    number
}

#[expect(clippy::print_stdout, reason = "says why nothing was tried")]
async fn full_and_free_again(disk: Disk, min_free_mb: u64, left_mb: u64) {
    let api = FakeApi::start().await;
    let (topology, source) = queue().await;
    let mut live = Live::new(
        &format!("min_free_mb = {min_free_mb}"),
        &(source + &api_and_file(&api)),
    );
    let mount = (disk == Disk::Small).then(|| Mount::new(&live.folder().join("data")));
    if matches!(mount, Some(None)) {
        println!("not root: a small disk cannot be mounted; the limit on files is tried by another test");
        return;
    }
    disk.spawn(&mut live).await;
    let sender = live.sender();
    let mut sent: BTreeSet<u64> = (1..=BEFORE).collect();
    for &number in &sent {
        sender.post_until_taken(&message(number)).await;
    }
    disk.fill(&live, left_mb);
    let first = post_until_full(&sender, &mut sent).await;

    let before_kb = memory_kb(&live);
    let queued = first..first + IN_QUEUE;
    let bodies = queued.clone().map(|number| long_message(number, BYTES));
    topology
        .publish_many(&topology.exchange("deliver"), "petition.rivers", bodies)
        .await;
    for number in 0..POSTS {
        // All of them would be one message more: none is taken, so it does not matter which.
        let status = sender.post(&long_message(first + IN_QUEUE + number, BYTES)).await;
        assert_eq!(status, Some(503), "post {number} while the disk is full");
    }
    let (code, audit) = live.ask(&["audit"]).await;
    assert_eq!(
        code,
        Some(0),
        "the books can be looked at all the same: {audit:#}"
    );
    let growth_kb = memory_kb(&live).saturating_sub(before_kb);
    assert!(growth_kb < MOST_GROWTH_KB, "grown by {growth_kb} kB");
    live.becomes("what is not committed is with the broker", async |live| {
        committed(live) + kept_by_broker(&topology).await == IN_QUEUE
    })
    .await;
    assert!(
        kept_by_broker(&topology).await > IN_QUEUE / 2,
        "hardly any was refused"
    );

    disk.make_room(&live);
    sent.extend(queued);
    for number in first + IN_QUEUE..first + IN_QUEUE + 50 {
        sender.post_until_taken(&message(number)).await;
        sent.insert(number);
    }
    live.has_taken(sent.len()).await;
    live.is_drained(&[]).await;
    live.stop().await;
    let proof = Proof {
        live: &live,
        sent: &sent,
    };
    proof.books_balance().await;
    proof.everything_is_kept_once();
    proof.reached_api(&api, "crm", |_| true);
    proof.reached_file("archive");
    drop(live);
    drop(mount);
}

#[tokio::test]
async fn fault_a_full_disk_refuses_everything_and_loses_nothing() {
    full_and_free_again(Disk::Small, 0, 0).await;
}

#[tokio::test]
async fn fault_a_nearly_full_disk_refuses_everything_before_it_is_full() {
    full_and_free_again(Disk::Small, 8, 4).await;
}

#[tokio::test]
async fn fault_files_that_cannot_grow_refuse_everything_and_lose_nothing() {
    full_and_free_again(Disk::Limited, 0, 0).await;
}
