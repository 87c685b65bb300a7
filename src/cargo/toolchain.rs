//! What the toolchain says about running a test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use cargo_platform::Cfg;

use crate::cli::cargo_config::CargoConfig;
use crate::cli::settings::Settings;
use crate::error::{Error, Result};

#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The value of `CARGO` for tests.
    pub cargo: OsString,
    /// The configured targets, then the host: macros and their tests are built for that.
    platforms: Vec<Platform>,
}

/// A target that tests are built for.
#[derive(Debug, Clone)]
pub struct Platform {
    pub triple: String,
    /// The directory of its standard library, for tests that are linked to it dynamically.
    pub libdir: PathBuf,
    /// The program that runs its executables, with its arguments; usually empty.
    pub runner: Vec<OsString>,
}

/// cargo's name for the triple of the host.
const HOST: &str = "host-tuple";

impl Toolchain {
    pub fn load(settings: &Settings) -> Result<Toolchain> {
        let Settings { cargo: args, cargo_config, .. } = settings;
        let named = if args.target.is_empty() { &cargo_config.targets } else { &args.target };
        let rustc = rustc(cargo_config);
        let mut platforms = Vec::new();
        for triple in named.iter().filter(|triple| *triple != HOST) {
            platforms.push(Platform::load(cargo_config, &rustc, Some(triple))?);
        }
        platforms.push(Platform::load(cargo_config, &rustc, None)?);
        Ok(Toolchain { cargo: cargo(&platforms), platforms })
    }

    /// That of an archive, whose tests were built elsewhere; the host's platform is the last.
    pub fn archived(platforms: Vec<Platform>) -> Toolchain {
        Toolchain { cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), platforms }
    }

    pub fn platforms(&self) -> &[Platform] {
        &self.platforms
    }

    /// The directories of the libraries that it links programs with.
    pub fn library_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.platforms.iter().map(|platform| &platform.libdir);
        dirs.flat_map(|dir| [dir.clone(), dir.join("self-contained")]).collect()
    }

    /// The platform of an executable: the one whose triple is the last in its path, or else the
    /// host.
    pub fn platform_of(&self, executable: &Path) -> &Platform {
        let named = |part: &std::ffi::OsStr| {
            let stem = Path::new(part).file_stem();
            let is_named = |platform: &&Platform| stem == Path::new(&platform.triple).file_stem();
            self.platforms.iter().find(is_named)
        };
        // `load` always adds the host.
        executable.iter().rev().find_map(named).unwrap_or(&self.platforms[self.platforms.len() - 1])
    }
}

/// The compiler that cargo calls, as far as that can be known without calling rustup.
fn rustc(cargo_config: &CargoConfig) -> PathBuf {
    cargo_config.rustc.clone().or_else(|| beside_cargo("rustc")).unwrap_or_else(|| "rustc".into())
}

/// The rustdoc that cargo would call.
pub fn rustdoc(cargo_config: &CargoConfig) -> PathBuf {
    cargo_config.rustdoc.clone().or_else(|| beside_cargo("rustdoc")).unwrap_or("rustdoc".into())
}

/// A tool of the toolchain that cargo belongs to.
fn beside_cargo(tool: &str) -> Option<PathBuf> {
    let cargo = PathBuf::from(std::env::var_os("CARGO")?);
    let path = cargo.with_file_name(format!("{tool}{}", std::env::consts::EXE_SUFFIX));
    path.is_file().then_some(path)
}

impl Platform {
    /// The host's unless a triple is `named`.
    fn load(cargo_config: &CargoConfig, rustc: &Path, named: Option<&String>) -> Result<Platform> {
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
        let name = match triple.ends_with(".json") {
            true => Path::new(&triple).file_stem().unwrap_or_default().to_string_lossy(),
            false => triple.as_str().into(),
        };
        let cfgs = || cfgs(rustc, named, &cargo_config.rustflags);
        let runner = cargo_config.runner(&name, cfgs);
        Ok(Platform { runner, triple, libdir })
    }
}

/// The `cfg`s of a target; none if rustc fails, as then the build fails, too.
fn cfgs(rustc: &Path, triple: Option<&String>, rustflags: &[String]) -> Vec<Cfg> {
    let mut command = Command::new(rustc);
    command.args(["--print", "cfg"]).args(rustflags).stdin(Stdio::null());
    if let Some(triple) = triple {
        command.args(["--target", triple]);
    }
    let printed = command.output().map(|output| output.stdout).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed);
    printed.lines().filter_map(|line| Cfg::from_str(line).ok()).collect()
}

/// The standard library of a toolchain that rustup manages, without calling rustc, which would take
/// as long as a `cargo build` that has nothing to do.
///
/// rustup ends the name of a toolchain's directory with its triple. None if the user chose another
/// rustc, or the directories look otherwise.
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

/// cargo sets `CARGO` for its subcommands. Without it cargo is searched for next to the standard
/// library, since the one in PATH may be rustup's proxy.
fn cargo(platforms: &[Platform]) -> OsString {
    if let Some(cargo) = std::env::var_os("CARGO") {
        return cargo;
    }
    let sysroot = platforms.first().and_then(|platform| platform.libdir.ancestors().nth(4));
    let beside =
        sysroot.map(|dir| dir.join("bin").join(format!("cargo{}", std::env::consts::EXE_SUFFIX)));
    beside.filter(|path| path.is_file()).map_or_else(|| "cargo".into(), PathBuf::into_os_string)
}
