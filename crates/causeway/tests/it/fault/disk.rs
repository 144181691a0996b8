//! The disk of the store is full: no message is accepted or lost, memory stays flat, and afterwards the hub continues.
//!
//! A separate small disk needs root. A limit on the size of files needs no rights and has the same effect.

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

/// Number of posts while there is space.
const BEFORE: u64 = 100;
/// Number of consecutive refused posts after which the disk counts as full. Until then, some fit into allocated pages.
const REFUSED_IN_A_ROW: usize = 50;
/// While the disk is full: 40 MB of posts and 10 MB in the queue, which must not accumulate in memory.
const POSTS: u64 = 2_000;
const IN_QUEUE: u64 = 500;
const BYTES: usize = 20_000;
const MOST_GROWTH_KB: u64 = 40_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Disk {
    /// A file system in memory, mounted at the store's folder.
    Small,
    /// A limit on the size of files.
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
        // A lazy unmount, because the program of a failed test may still have open files.
        drop(Blocking::new("umount").arg("-l").arg(&self.0).status());
    }
}

impl Disk {
    async fn spawn(self, live: &mut Live) {
        let config = live.folder().join("causeway.toml");
        let mut command = Command::new("sh");
        // The system kills a program that exceeds the limit, unless it ignores SIGXFSZ: then the write fails.
        command.args([
            "-c",
            r#"trap "" XFSZ; exec "$0" --config "$1" serve"#,
            env!("CARGO_BIN_EXE_causeway"),
        ]);
        command.arg(config);
        live.spawn_as(command);
        live.is_live().await;
    }

    /// Fills the disk except for this amount, if there is a separate disk.
    fn fill(self, live: &Live, left_mb: u64) {
        let data = live.folder().join("data");
        match self {
            Self::Small => {
                let mut ballast = std::fs::File::create(data.join("ballast")).expect("a file");
                // In smaller and smaller pieces, until the last page is used.
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

/// The number of committed messages of the queue. Read from the file, because a command of the program may need to write.
fn committed(live: &Live) -> u64 {
    let path = live.folder().join("data/causeway.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the database");
    let count = "SELECT count(*) FROM inbox JOIN name ON name.id = source_id WHERE name.name = 'queue' AND state <> 'duplicate'";
    let count: i64 = store.query_row(count, [], |row| row.get(0)).expect("a count");
    count.try_into().expect("a count")
}

/// The number of messages left at the broker.
async fn kept_by_broker(topology: &Topology) -> u64 {
    let queue = topology.queue("deliver");
    let rows = blocking(|| causeway_testkit::rig::rabbit::shared().list_queues()).await;
    let row = rows.into_iter().find(|row| row.0 == queue).expect("the queue");
    row.1 + row.2
}

/// Posts new messages until none is accepted any more. Returns the first unused number.
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
            // The same message again, as a platform repeats it.
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
        // Always the same message, because none is accepted.
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
    live.becomes("uncommitted messages are at the broker", async |live| {
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
