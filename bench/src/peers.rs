//! The alternatives to Causeway: `@proca/queue` on Node, and a PHP page behind nginx, as platforms advise.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use causeway_testkit::rig::{
    port,
    process::{self, Process},
};
use tempfile::TempDir;

use crate::usage::{self, Usage};

/// More than any measured run takes.
const LIMIT: Duration = Duration::from_mins(10);
/// Enough to keep two processors busy. Connections between nginx and PHP are not kept: a kept one holds a worker.
const PHP_WORKERS: u32 = 8;

/// What a Node consumer does with each message.
#[derive(Debug, Clone)]
pub enum Does {
    Nothing,
    WritesFiles(PathBuf),
    Fetches(u16),
    Posts(u16),
}

pub struct NodeConsumer {
    process: Process,
    goal: u64,
}

/// The work of a Node consumer.
pub struct Job<'a> {
    pub url: &'a str,
    pub queue: &'a str,
    pub concurrency: u32,
    /// Messages until it prints that it is done.
    pub goal: u64,
    pub does: &'a Does,
    pub keystore: Option<&'a Path>,
}

/// Starts it; it takes messages as soon as it has connected.
pub fn start_node(peers: &Path, log: &Path, job: &Job<'_>) -> NodeConsumer {
    let mut command = Command::new(process::program("node", &["/usr/bin"]));
    command.current_dir(peers).args([
        "consumer.mjs",
        job.url,
        job.queue,
        &job.concurrency.to_string(),
        &job.goal.to_string(),
    ]);
    match job.does {
        Does::Nothing => command.args(["none", "-"]),
        Does::WritesFiles(folder) => command.arg("file").arg(folder),
        Does::Fetches(port) => command.args(["fetch", &format!("http://127.0.0.1:{port}/contacts")]),
        Does::Posts(port) => command.args(["http", &format!("http://127.0.0.1:{port}/contacts")]),
    };
    command.args(job.keystore);
    NodeConsumer {
        process: Process::spawn("node", command, log, None),
        goal: job.goal,
    }
}

impl NodeConsumer {
    /// Blocks until it has had all messages.
    pub fn wait(&mut self) {
        self.process
            .wait_for_line(&format!("handled {}", self.goal), LIMIT);
    }

    pub fn usage(&self) -> Usage {
        usage::of(self.process.id())
    }

    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// nginx and PHP-FPM. Fields are dropped in this order.
pub struct Php {
    pub port: u16,
    nginx: Process,
    fpm: Process,
    folder: TempDir,
}

impl Php {
    pub fn start(listener: &Path, schema: &Path, work: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(work).context("making a folder for PHP")?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        // What it serves must be readable for it even where our own folder is not.
        std::fs::copy(listener, at("listener.php")).context("copying the PHP page")?;
        let schema = std::fs::read_to_string(schema).context("reading the PHP page's schema")?;
        rusqlite::Connection::open(at("php.db"))
            .and_then(|db| db.execute_batch(&schema))
            .context("making the PHP page's database")?;
        let port = port::free();
        let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self")?) == 0;
        let (user, nginx_user) = if is_root {
            ("user = root\ngroup = root\n", "user root;\n")
        } else {
            ("", "")
        };
        std::fs::write(
            at("fpm.conf"),
            format!(
                "[global]\ndaemonize = no\nerror_log = /dev/stderr\npid = {}\n[www]\n{user}listen = {}\nlisten.backlog = 1024\n\
                 pm = static\npm.max_children = {PHP_WORKERS}\n",
                at("fpm.pid"),
                at("fpm.sock")
            ),
        )?;
        let script = at("listener.php");
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", at(kind)))
            .concat();
        std::fs::write(
            at("nginx.conf"),
            format!(
                "{nginx_user}daemon off;\nworker_processes 2;\npid {};\nerror_log /dev/stderr warn;\nevents {{ worker_connections 1024; }}\n\
                 http {{\naccess_log off;\n{temp}keepalive_requests 100000000;\nclient_body_buffer_size 64k;\n\
                 upstream php {{ server unix:{}; }}\n\
                 server {{ listen 127.0.0.1:{port} backlog=1024;\nlocation / {{\nfastcgi_pass php;\n\
                 fastcgi_param SCRIPT_FILENAME {script};\nfastcgi_param BENCH_DB {};\n\
                 fastcgi_param REQUEST_METHOD $request_method;\nfastcgi_param CONTENT_TYPE $content_type;\n\
                 fastcgi_param CONTENT_LENGTH $content_length;\nfastcgi_param QUERY_STRING $query_string;\n}}\n}}\n}}\n",
                at("nginx.pid"),
                at("fpm.sock"),
                at("php.db")
            ),
        )?;
        let folders = ["/usr/sbin", "/usr/bin"];
        let fpm = ["php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm"]
            .into_iter()
            .find(|name| {
                folders
                    .iter()
                    .any(|folder| Path::new(folder).join(name).is_file())
            })
            .context("php-fpm is not installed: bench/run installs it when root")?;
        let mut command = Command::new(process::program(fpm, &folders));
        command
            .arg("--nodaemonize")
            .arg("--fpm-config")
            .arg(at("fpm.conf"));
        // PHP refuses to run workers as root without this flag.
        if is_root {
            command.arg("--allow-to-run-as-root");
        }
        let mut fpm = Process::spawn("php-fpm", command, &folder.path().join("fpm.log"), None);
        let socket = folder.path().join("fpm.sock");
        fpm.wait_for("its socket", Duration::from_secs(20), |_| socket.exists());
        let mut command = Command::new(process::program("nginx", &folders));
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(at("nginx.conf"));
        let mut nginx = Process::spawn("nginx", command, &folder.path().join("nginx.log"), None);
        nginx.wait_for_port(port, Duration::from_secs(20));
        Ok(Self {
            port,
            nginx,
            fpm,
            folder,
        })
    }

    pub fn usage(&self) -> Usage {
        let (nginx, fpm) = (usage::of(self.nginx.id()), usage::of(self.fpm.id()));
        Usage {
            cpu_s: nginx.cpu_s + fpm.cpu_s,
            resident_mb: nginx.resident_mb + fpm.resident_mb,
            peak_mb: nginx.peak_mb.max(fpm.peak_mb),
        }
    }

    /// How many contacts it has: proves that it did what it answered.
    pub fn contacts(&self) -> anyhow::Result<u64> {
        let db = rusqlite::Connection::open(self.folder.path().join("php.db"))?;
        let count: i64 = db.query_row("SELECT count(*) FROM contact", [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    }
}
