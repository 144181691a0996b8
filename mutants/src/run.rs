//! Runs the tests: once without a mutant, to learn which test reaches which mutant, then for each mutant.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{
    compile::Binaries,
    render::Id,
    results::Outcome,
    table::{PARTS, Stage},
};

/// A test that takes longer is run after the others of its stage.
const SLOW: Duration = Duration::from_millis(100);
/// What a run may take besides ten times its usual time: the machine may have other work.
const LEAST: Duration = Duration::from_secs(10);

#[derive(Clone, Serialize, Deserialize)]
struct Test {
    name: String,
    took: Duration,
    reaches: HashSet<Id>,
}

pub struct Runner {
    root: PathBuf,
    /// Databases of tests are kept here: in memory, if there is a place for it.
    temp: PathBuf,
    binaries: Binaries,
    tests: HashMap<Stage, Vec<Test>>,
}

impl Runner {
    pub fn new(root: &Path, binaries: Binaries) -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let temp = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let temp = temp.join(format!("causeway-mutants-{}", std::process::id()));
        std::fs::create_dir_all(&temp)?;
        Ok(Self {
            root: root.to_owned(),
            temp,
            binaries,
            tests: HashMap::new(),
        })
    }

    fn command(&self, stage: &Stage, worker: usize) -> anyhow::Result<Command> {
        let binary = self.binary(stage)?;
        let folder = self.root.join("crates").join(stage.package);
        let temp = self.temp.join(worker.to_string());
        std::fs::create_dir_all(&temp)?;
        let mut command = Command::new(binary);
        command
            .current_dir(&folder)
            .env("CARGO_MANIFEST_DIR", &folder)
            .env("TMPDIR", temp)
            .env("INSTA_WORKSPACE_ROOT", &self.root)
            .env("INSTA_UPDATE", "no")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("RUST_BACKTRACE", "0")
            .envs(stage.env.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        Ok(command)
    }

    /// Runs each test of the parts' stages alone, unless `known` holds what came of that for the same binary.
    pub fn learn(
        &mut self,
        parts: &BTreeSet<usize>,
        workers: usize,
        is_quick: bool,
        known: &Path,
    ) -> anyhow::Result<()> {
        let mut all: HashMap<String, Vec<Test>> = std::fs::read_to_string(known)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let stages = parts.iter().flat_map(|part| PARTS[*part].stages);
        for stage in stages.filter(|stage| !(is_quick && stage.is_slow)) {
            if self.tests.contains_key(stage) {
                continue;
            }
            let key = format!("{} {}", stage.name, self.build_of(stage)?);
            let tests = match all.get(&key) {
                Some(tests) => tests.clone(),
                None => self.learn_stage(stage, workers)?,
            };
            let took: Duration = tests.iter().map(|test| test.took).sum();
            eprintln!(
                "{}: {} tests, {:.1} s",
                stage.name,
                tests.len(),
                took.as_secs_f32()
            );
            all.retain(|key, _| !key.starts_with(&format!("{} /", stage.name)));
            all.insert(key, tests.clone());
            std::fs::write(known, serde_json::to_string(&all)?)?;
            self.tests.insert(*stage, tests);
        }
        Ok(())
    }

    fn learn_stage(&self, stage: &Stage, workers: usize) -> anyhow::Result<Vec<Test>> {
        let names = self.list(stage)?;
        let tests = Mutex::new(Vec::new());
        each(workers, &names, |worker, name| {
            match self.learn_one(stage, worker, name)? {
                Some(test) => lock(&tests).push(test),
                None => eprintln!("warning: {name} fails without a mutant and is left out"),
            }
            Ok(())
        })?;
        let mut tests = tests.into_inner().unwrap_or_default();
        tests.sort_by_key(|test: &Test| test.took);
        Ok(tests)
    }

    fn binary(&self, stage: &Stage) -> anyhow::Result<&Path> {
        let key = (stage.package.to_owned(), stage.binary.to_owned());
        match self.binaries.get(&key) {
            Some(binary) => Ok(binary),
            None => bail!("there is no test binary `{}` of {}", stage.binary, stage.package),
        }
    }

    /// Differs for each build of the binary.
    fn build_of(&self, stage: &Stage) -> anyhow::Result<String> {
        let binary = self.binary(stage)?;
        let made = binary
            .metadata()?
            .modified()?
            .duration_since(std::time::UNIX_EPOCH)?;
        Ok(format!("{} {}", binary.display(), made.as_nanos()))
    }

    fn list(&self, stage: &Stage) -> anyhow::Result<Vec<String>> {
        let output = self
            .command(stage, 0)?
            .args(["--list", "--format", "terse"])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let names = text
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .filter(|name| name.starts_with(stage.prefix))
            .filter(|name| !stage.without.iter().any(|without| name.ends_with(without)));
        Ok(names.map(str::to_owned).collect())
    }

    fn learn_one(&self, stage: &Stage, worker: usize, name: &str) -> anyhow::Result<Option<Test>> {
        let file = self.temp.join(format!("reached-{worker}"));
        let _ = std::fs::remove_file(&file);
        let start = Instant::now();
        let status = self
            .command(stage, worker)?
            .args(["--exact", name])
            .env("CAUSEWAY_MUTANT_REACH", &file)
            .stdout(Stdio::null())
            .status()?;
        let took = start.elapsed();
        let reached = std::fs::read_to_string(&file).unwrap_or_default();
        Ok(status.success().then(|| Test {
            name: name.to_owned(),
            took,
            reaches: reached.lines().filter_map(|id| id.parse().ok()).collect(),
        }))
    }

    /// Runs the tests that reach the mutant until one notices it; returns that test.
    pub fn try_one(&self, stages: &[Stage], id: Id, worker: usize) -> anyhow::Result<(Outcome, String)> {
        let mut outcome = Outcome::Unreached;
        for stage in stages {
            let all = self.tests.get(stage).map(Vec::as_slice).unwrap_or_default();
            let reaching = all.iter().filter(|test| test.reaches.contains(&id));
            let (quick, slow): (Vec<&Test>, Vec<&Test>) = reaching.partition(|test| test.took < SLOW);
            for tests in [quick, slow] {
                if tests.is_empty() {
                    continue;
                }
                outcome = Outcome::Survived;
                if let Some((outcome, by)) = self.notice(stage, &tests, id, worker)? {
                    let temp = self.temp.join(worker.to_string());
                    std::fs::remove_dir_all(&temp)?;
                    return Ok((outcome, format!("{}: {by}", stage.name)));
                }
            }
        }
        Ok((outcome, String::new()))
    }

    fn notice(
        &self,
        stage: &Stage,
        tests: &[&Test],
        id: Id,
        worker: usize,
    ) -> anyhow::Result<Option<(Outcome, String)>> {
        let usual: Duration = tests.iter().map(|test| test.took).sum();
        let limit = usual * 10 + LEAST;
        let start = Instant::now();
        let mut child = self
            .command(stage, worker)?
            .arg("--exact")
            .args(tests.iter().map(|test| &test.name))
            .arg("--test-threads=1")
            .env("CAUSEWAY_MUTANT", id.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the output of a test")?;
        let (send, receive) = mpsc::sync_channel(100);
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut failed = None;
        loop {
            match receive.recv_timeout(Duration::from_secs(1)) {
                Ok(line) if line.ends_with("FAILED") && line.starts_with("test ") => {
                    failed = line.split(' ').nth(1).map(str::to_owned);
                    break;
                }
                Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            // On a busy machine a test gets little processor time. What waits for ever uses none.
            if start.elapsed() > limit && (processor_time(&child) > limit || start.elapsed() > limit * 10) {
                end(&mut child)?;
                let after = format!("after {:.0} s", start.elapsed().as_secs_f32());
                return Ok(Some((Outcome::TimedOut, after)));
            }
        }
        if let Some(name) = failed {
            end(&mut child)?;
            return Ok(Some((Outcome::Killed, name)));
        }
        let status = child.wait()?;
        Ok((!status.success()).then(|| (Outcome::Killed, status.to_string())))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.temp);
    }
}

/// What a process has used so far. Without /proc, as much as it takes to be over any limit.
fn processor_time(child: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    // After the name, which may hold spaces: the state is field 3, and fields 14 and 15 are hundredths of a
    // second.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: Vec<u64> = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    if ticks.len() < 2 {
        return Duration::MAX;
    }
    Duration::from_millis(ticks.iter().sum::<u64>() * 10)
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Calls `work` for each item, by several workers at once, until one fails.
pub fn each<T: Sync>(
    workers: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let one = |worker: usize| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(worker, item) {
                next.store(items.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..workers)
            .map(|worker| scope.spawn(move || one(worker)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    })
}
