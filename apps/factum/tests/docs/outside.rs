//! A folder outside of the checkout, in which projects are built against it.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
};
use tempfile::TempDir;

/// Cargo puts what it builds for either page to the same place.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How the pages name this checkout.
const CHECKOUT_ON_THE_PAGE: &str = "path = \"../factum\"";

/// A folder with projects that depend on this checkout.
pub(crate) struct Outside {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Outside {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let outside = Outside { folder: TempDir::new().unwrap(), _alone: alone };
        outside.write(".cargo/config.toml", &cargo_settings());
        outside
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of a page. A project gets the versions that this checkout has, so that none is fetched.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if file.ends_with("Cargo.toml") {
            assert!(text.contains(CHECKOUT_ON_THE_PAGE), "{text}");
            fs::copy(checkout().join("Cargo.lock"), path.with_file_name("Cargo.lock")).unwrap();
        }
        let checkout = format!("path = {:?}", checkout().display().to_string());
        fs::write(path, text.replace(CHECKOUT_ON_THE_PAGE, &checkout)).unwrap();
    }

    /// What a file holds.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    /// A program that runs here, without what the developer has set.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let set = env::vars_os().map(|(name, _)| name);
        set.filter(|name| name.to_string_lossy().starts_with("FACTUM_")).for_each(|name| {
            command.env_remove(name);
        });
        // This test's program lies in `<target>/debug/deps`.
        let program = env::current_exe().unwrap();
        command
            .current_dir(self.path())
            .env_remove("RUST_BACKTRACE")
            .env("CARGO_TARGET_DIR", program.ancestors().nth(3).unwrap());
        command
    }
}

/// The root of this checkout.
pub(crate) fn checkout() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// The first of `count` ports in a row that are free, below the range from which
/// systems give ports to clients.
pub(crate) fn free_ports(count: u16) -> u16 {
    let own = u16::try_from(std::process::id() % 100).unwrap() * 10;
    let free = |first: &u16| (*first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    (0..300).map(|step| 19_000 + (own + step * count) % 990).find(free).unwrap()
}

/// The profile of this workspace, so that what is built for it is used again,
/// and its own crates built as fast as here.
fn cargo_settings() -> String {
    let manifest = fs::read_to_string(checkout().join("Cargo.toml")).unwrap();
    let profile = &manifest[manifest.find("[profile.dev]").unwrap()..];
    let crates = manifest.lines().filter(|line| line.starts_with("factum") && line.contains("path = "));
    let crates =
        crates.map(|line| format!("[profile.dev.package.{}]\nopt-level = 0\n", line.split(' ').next().unwrap()));
    format!("[net]\noffline = true\n\n{profile}\n{}", crates.collect::<String>())
}
