//! Runs the tests: once without a mutant, to learn which test reaches which mutant, then for each mutant.

use std::{
    collections::{HashMap, HashSet},
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
        let key = (stage.package.to_owned(), stage.binary.to_owned());
        let Some(binary) = self.binaries.get(&key) else {
            bail!("there is no test binary `{}` of {}", stage.binary, stage.package);
        };
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

    /// Runs each test of the stages alone.
    pub fn learn(&mut self, workers: usize) -> anyhow::Result<()> {
        let mut stages: Vec<Stage> = Vec::new();
        for stage in PARTS.iter().flat_map(|part| part.stages) {
            if !stages.contains(stage) {
                stages.push(*stage);
            }
        }
        for stage in stages {
            let names = self.list(&stage)?;
            let tests = Mutex::new(Vec::new());
            each(workers, &names, |worker, name| {
                match self.learn_one(&stage, worker, name)? {
                    Some(test) => lock(&tests).push(test),
                    None => eprintln!("warning: {name} fails without a mutant and is left out"),
                }
                Ok(())
            })?;
            let mut tests = tests.into_inner().unwrap_or_default();
            tests.sort_by_key(|test: &Test| test.took);
            let took: Duration = tests.iter().map(|test| test.took).sum();
            eprintln!(
                "{}: {} tests, {:.1} s",
                stage.name,
                tests.len(),
                took.as_secs_f32()
            );
            self.tests.insert(stage, tests);
        }
        Ok(())
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
        let until = Instant::now() + usual * 10 + LEAST;
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
            match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.ends_with("FAILED") && line.starts_with("test ") => {
                    failed = line.split(' ').nth(1).map(str::to_owned);
                    break;
                }
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    end(&mut child)?;
                    return Ok(Some((
                        Outcome::TimedOut,
                        format!("after {:.0} s", (usual * 10 + LEAST).as_secs_f32()),
                    )));
                }
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
