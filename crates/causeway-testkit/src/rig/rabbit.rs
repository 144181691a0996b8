//! A private RabbitMQ node: its own name, ports, epmd, cookie and folders; no plug-ins; loopback only.
//!
//! A node takes some seconds to start. So tests share one ([`shared`]), and each uses an organisation of its
//! own ([`super::topology`]). A test that stops the broker or changes its settings starts its own node
//! ([`start`]).

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::{self, Process};
use super::{START_LIMIT, port, setting};

/// The virtual host, and the user with all rights, with the names of Proca's development set-up.
pub const VHOST: &str = "proca";
const ADMIN: &str = "proca";
const ADMIN_PASSWORD: &str = "proca";
/// The password of every customer user that [`Rabbit::add_customer`] makes.
pub const CUSTOMER_PASSWORD: &str = "c/u:s@1";
const CUSTOMER_PASSWORD_IN_URL: &str = "c%2Fu%3As%401";

/// The packages' folders with the scripts that do not insist on one user.
const SCRIPTS: [&str; 3] = ["/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/usr/sbin"];

/// A RabbitMQ node, own or shared. Dropping an own node kills it and removes its data.
pub struct Rabbit {
    folder: PathBuf,
    node: String,
    port: u16,
    epmd_port: u16,
    own: Option<Own>,
}

/// What only the process that started the node has. Fields are dropped in this order.
struct Own {
    server: Process,
    _epmd: Process,
    folder: TempDir,
    dist_port: u16,
}

/// The node that `./test` started; without it, one per process, started at the first call.
pub fn shared() -> &'static Rabbit {
    static SHARED: OnceLock<Rabbit> = OnceLock::new();
    SHARED.get_or_init(|| from_environment().unwrap_or_else(start))
}

fn from_environment() -> Option<Rabbit> {
    let url = setting("CAUSEWAY_TEST_AMQP")?;
    let port = url.split(['/', ':']).find_map(|part| part.parse().ok());
    Some(Rabbit {
        folder: setting("CAUSEWAY_TEST_RABBIT_DIR")?.into(),
        node: setting("CAUSEWAY_TEST_RABBIT_NODE")?,
        port: port.unwrap_or_else(|| panic!("CAUSEWAY_TEST_AMQP names no port")),
        epmd_port: setting("CAUSEWAY_TEST_RABBIT_EPMD")?.parse().ok()?,
        own: None,
    })
}

/// Starts a node and waits until it serves.
pub fn start() -> Rabbit {
    start_with("")
}

/// Starts a node with additional lines for its `rabbitmq.conf`, such as `consumer_timeout = 5000`.
pub fn start_with(settings: &str) -> Rabbit {
    let (port, epmd_port, dist_port) = (port::free(), port::free(), port::free());
    let temporary = process::folder("rabbit", None);
    let folder = temporary.path().to_owned();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        path
    };
    write(
        "rabbitmq.conf",
        &format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\ndefault_vhost = {VHOST}\n\
             default_user = {ADMIN}\ndefault_pass = {ADMIN_PASSWORD}\ndisk_free_limit.absolute = 50MB\n\
             vm_memory_high_watermark.absolute = 1GB\ntcp_listen_options.nodelay = true\n{settings}\n"
        ),
    );
    write("enabled_plugins", "[].\n");
    write("rabbitmq-env.conf", "");
    let cookie = write(".erlang.cookie", &format!("CAUSEWAY{}{port}", std::process::id()));
    std::fs::set_permissions(&cookie, Permissions::from_mode(0o400))
        .unwrap_or_else(|error| panic!("protecting {}: {error}", cookie.display()));

    // epmd is started here and not by the node, so that it ends with this process.
    let mut epmd = Command::new(process::program("epmd", &["/usr/bin"]));
    epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
    let mut epmd = Process::spawn("epmd", epmd, &folder.join("epmd.log"), None);
    epmd.wait_for_port(epmd_port, START_LIMIT);

    let node = format!("causeway{port}@localhost");
    let server = spawn_server(&folder, &node, epmd_port, dist_port);
    Rabbit {
        folder,
        node,
        port,
        epmd_port,
        own: Some(Own {
            server,
            _epmd: epmd,
            folder: temporary,
            dist_port,
        }),
    }
}

fn spawn_server(folder: &Path, node: &str, epmd_port: u16, dist_port: u16) -> Process {
    let mut command = script("rabbitmq-server", folder, node, epmd_port);
    command
        .env("RABBITMQ_DIST_PORT", dist_port.to_string())
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", folder.join("none"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_LOGS", "-")
        // With this the script becomes the server instead of its parent, so that its end can be awaited.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        // Idle schedulers sleep instead of spinning, because the tests need the processors.
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        );
    let mut server = Process::spawn(
        "rabbitmq-server",
        command,
        &folder.join("server.log"),
        Some(folder),
    );
    server.wait_for_line("Server startup complete", START_LIMIT);
    server
}

/// A RabbitMQ script with all settings that could lead it to another node or to another user's files.
fn script(name: &str, folder: &Path, node: &str, epmd_port: u16) -> Command {
    let scripts = process::program(name, &SCRIPTS);
    // Debian's wrapper in sbin changes the user and drops the environment; the script behind it does neither.
    let direct = Path::new("/usr/lib/rabbitmq/bin").join(name);
    let mut command = Command::new(if direct.is_file() { direct } else { scripts });
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("RABBITMQ_CONF_ENV_FILE", folder.join("rabbitmq-env.conf"))
        .env("RABBITMQ_NODENAME", node)
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("LC_ALL", "C.UTF-8");
    command
}

impl Rabbit {
    /// The URL of the user with all rights.
    pub fn url(&self) -> String {
        self.url_of(ADMIN, ADMIN_PASSWORD)
    }

    /// The URL of any user; the password must be percent-encoded already.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/{VHOST}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables that make [`shared`] in another process use this node.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CAUSEWAY_TEST_AMQP", self.url()),
            ("CAUSEWAY_TEST_RABBIT_DIR", self.folder.display().to_string()),
            ("CAUSEWAY_TEST_RABBIT_NODE", self.node.clone()),
            ("CAUSEWAY_TEST_RABBIT_EPMD", self.epmd_port.to_string()),
        ]
    }

    /// Runs `rabbitmqctl` and returns its output. Takes about a second.
    pub fn ctl(&self, args: &[&str]) -> String {
        let mut command = script("rabbitmqctl", &self.folder, &self.node, self.epmd_port);
        command.args(["--quiet"]).args(args);
        process::run(command)
    }

    /// Creates the user `customer-N` with the least rights that consuming organisation N's queues needs, and
    /// returns its URL. A second call changes nothing.
    pub fn add_customer(&self, org: u32) -> String {
        let user = format!("customer-{org}");
        let password = CUSTOMER_PASSWORD;
        // One call instead of two, because starting rabbitmqctl takes most of the time.
        let eval = format!(
            "rabbit_auth_backend_internal:put_user(#{{name => <<\"{user}\">>, password => <<\"{password}\">>, \
             tags => <<>>}}, <<\"rig\">>), rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, \
             <<\"{VHOST}\">>, <<\"^$\">>, <<\"^$\">>, <<\"^cus\\\\.{org}\\\\..*$\">>, <<\"rig\">>)."
        );
        self.ctl(&["eval", &eval]);
        self.url_of(&user, CUSTOMER_PASSWORD_IN_URL)
    }

    /// Removes all rights of a user, like an operator who revokes credentials.
    pub fn revoke(&self, user: &str) {
        self.ctl(&["clear_permissions", "-p", VHOST, user]);
    }

    /// Returns the messages of organisation N's parking queue to its queues after `ttl_ms`. Without it
    /// messages stay parked, and so do those that were parked before this call.
    pub fn set_fail_ttl(&self, org: u32, ttl_ms: u32) {
        self.ctl(&[
            "set_policy",
            "-p",
            VHOST,
            &format!("fail-ttl-{org}"),
            &format!("^org\\.{org}\\.fail$"),
            &format!("{{\"message-ttl\":{ttl_ms}}}"),
            "--apply-to",
            "queues",
        ]);
    }

    pub fn delete_queue(&self, queue: &str) {
        self.ctl(&["delete_queue", "-p", VHOST, queue]);
    }

    /// Closes all connections of one user from the broker's side.
    pub fn close_connections_of(&self, user: &str) {
        self.ctl(&["close_all_user_connections", user, "closed by a test"]);
    }

    /// Closes all connections of the node. Only for an own node; on the shared one it would affect other
    /// tests.
    pub fn close_all_connections(&self) {
        self.ctl(&["close_all_connections", "closed by a test"]);
    }

    /// All queues, as (name, messages ready, messages delivered but not acknowledged, consumers).
    pub fn list_queues(&self) -> Vec<(String, u64, u64, u64)> {
        let columns = ["name", "messages_ready", "messages_unacknowledged", "consumers"];
        let mut args = vec!["list_queues", "-p", VHOST, "--no-table-headers"];
        args.extend(columns);
        let parse = |line: &str| {
            let mut parts = line.split('\t');
            let name = parts.next()?.to_owned();
            let mut number = || parts.next()?.trim().parse().ok();
            Some((name, number()?, number()?, number()?))
        };
        self.ctl(&args).lines().filter_map(parse).collect()
    }

    /// Kills the node like a power cut. Its data stays. Only for an own node.
    pub fn kill(&mut self) {
        self.own().server.kill();
    }

    /// Stops the node gracefully. Its data stays. Only for an own node.
    pub fn stop(&mut self) {
        self.own().server.stop(START_LIMIT);
    }

    /// Starts the node again after [`Self::kill`] or [`Self::stop`], on the same port with the same data.
    pub fn start_again(&mut self) {
        let (node, epmd_port) = (self.node.clone(), self.epmd_port);
        let own = self.own();
        own.server = spawn_server(own.folder.path(), &node, epmd_port, own.dist_port);
    }

    /// Kills the node and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Freezes the node (`STOP`) or continues it (`CONT`): a broker that hangs instead of refusing
    /// connections.
    pub fn freeze(&mut self, is_frozen: bool) {
        self.own().server.signal(if is_frozen { "STOP" } else { "CONT" });
    }

    fn own(&mut self) -> &mut Own {
        self.own
            .as_mut()
            .unwrap_or_else(|| panic!("the shared node is not ours to stop: use rabbit::start()"))
    }
}
