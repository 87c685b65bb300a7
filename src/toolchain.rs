//! What the toolchain and cargo's configuration say about running a test.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use cargo_config2::Config;
use cargo_config2::EnvConfigValue;

use crate::error::{Error, Result};
use crate::settings::Settings;

/// What the configuration files and their variables say.
pub fn configuration() -> Result<Config> {
    Ok(Config::load()?)
}

pub fn cargo_home(cwd: &Path) -> Option<PathBuf> {
    cargo_config2::cargo_home_with_cwd(cwd)
}

#[derive(Debug)]
pub struct Toolchain {
    /// The cargo that tests see in `CARGO`.
    pub cargo: OsString,
    /// `[env]` of the configuration files.
    pub env: BTreeMap<String, EnvConfigValue>,
    pub platforms: Vec<Platform>,
}

/// One target triple that tests are built for.
#[derive(Debug)]
pub struct Platform {
    pub triple: String,
    /// Where its standard library is: tests that are linked dynamically need it.
    pub libdir: PathBuf,
    /// The program that runs its executables, with its arguments; mostly empty.
    pub runner: Vec<OsString>,
}

impl Toolchain {
    pub fn load(settings: &Settings, config: Config) -> Result<Toolchain> {
        let named = config.build_target_for_cli(&settings.cargo.target)?;
        let rustc = config.rustc().path.clone();
        let rustc = rustc.as_path();
        let mut platforms = Vec::new();
        if named.is_empty() {
            platforms.push(Platform::load(&config, rustc, None)?);
        }
        for triple in &named {
            platforms.push(Platform::load(&config, rustc, Some(triple))?);
        }
        Ok(Toolchain { cargo: cargo(&platforms), env: config.env.clone(), platforms })
    }

    /// The platform of an executable: the one whose triple stands in its path.
    pub fn platform_of(&self, executable: &Path) -> &Platform {
        let stands_in_path = |platform: &&Platform| {
            executable
                .iter()
                .any(|part| Path::new(part).file_stem() == Path::new(&platform.triple).file_stem())
        };
        self.platforms.iter().find(stands_in_path).unwrap_or(&self.platforms[0])
    }
}

impl Platform {
    fn load(config: &Config, rustc: &Path, named: Option<&String>) -> Result<Platform> {
        let libdir = match libdir_beside_cargo(rustc, named) {
            Some(libdir) => libdir,
            None => target_libdir(rustc, named)?,
        };
        let host = || {
            // …/lib/rustlib/TRIPLE/lib
            let triple = libdir.parent().and_then(Path::file_name).unwrap_or_default();
            triple.to_string_lossy().into_owned()
        };
        let triple = named.cloned().unwrap_or_else(host);
        let runner = config.runner(triple.as_str())?;
        let runner = runner
            .into_iter()
            .flat_map(|runner| std::iter::once(runner.path.into_os_string()).chain(runner.args));
        Ok(Platform { runner: runner.collect(), triple, libdir })
    }
}

/// The standard library of a toolchain that rustup manages, without asking rustc: that would
/// take as long as cargo needs for its whole look at a fresh build.
///
/// rustup ends the name of a toolchain's directory with its triple. Where the user chose
/// another rustc, or anything looks otherwise, rustc is asked.
fn libdir_beside_cargo(rustc: &Path, named: Option<&String>) -> Option<PathBuf> {
    let cargo = PathBuf::from(std::env::var_os("CARGO")?);
    let sysroot = cargo.parent()?.parent()?;
    let is_default = rustc == Path::new("rustc") || rustc.parent() == cargo.parent();
    let triples = std::fs::read_dir(sysroot.join("lib/rustlib")).ok().filter(|_| is_default)?;
    let toolchain = sysroot.file_name()?.to_str()?;
    let is_host = |triple: &str| toolchain.ends_with(&format!("-{triple}"));
    let is_wanted = |triple: &str| named.map_or_else(|| is_host(triple), |named| named == triple);
    let found =
        triples.flatten().find(|entry| entry.file_name().to_str().is_some_and(is_wanted))?;
    let libdir = found.path().join("lib");
    libdir.is_dir().then_some(libdir)
}

fn target_libdir(rustc: &Path, triple: Option<&String>) -> Result<PathBuf> {
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir"]).stdin(Stdio::null());
    if let Some(triple) = triple {
        command.args(["--target", triple]);
    }
    let output = command
        .output()
        .map_err(|source| Error::Start { program: rustc.display().to_string(), source })?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// cargo tells its subcommands where it is; a direct call has to look beside the standard
/// library, since what stands in PATH may be rustup's proxy.
fn cargo(platforms: &[Platform]) -> OsString {
    if let Some(cargo) = std::env::var_os("CARGO") {
        return cargo;
    }
    let sysroot = platforms.first().and_then(|platform| platform.libdir.ancestors().nth(4));
    let beside =
        sysroot.map(|dir| dir.join("bin").join(format!("cargo{}", std::env::consts::EXE_SUFFIX)));
    beside.filter(|path| path.is_file()).map_or_else(|| "cargo".into(), PathBuf::into_os_string)
}
