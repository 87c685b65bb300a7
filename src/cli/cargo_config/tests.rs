use super::*;

/// What is read in `DIR/project`, with `DIR/home` as the user's own.
fn read(files: &[(&str, &str)], options: &[&str], variables: &[(&str, &str)]) -> CargoConfig {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let home = ("CARGO_HOME", dir.path().join("home").into_os_string());
    let users = variables.iter().map(|(name, value)| (*name, value.into()));
    let variables = users.chain([home]).map(|(name, value)| (name.to_owned(), value));
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    CargoConfig::read(&options, variables.collect(), &dir.path().join("project"))
}

fn value(found: &CargoConfig, name: &str) -> String {
    found.env[name].value.to_string_lossy().into_owned()
}

#[test]
fn nearer_files_and_later_options_have_precedence() {
    let files = [
        ("project/.cargo/config.toml", "include = ['more.toml']\n[env]\nA = 'near'"),
        ("project/.cargo/more.toml", "include = ['config.toml']\n[env]\nA = 'more'\nB = 'more'"),
        (".cargo/config", "[env]\nA = 'far'\nC = 'far'"),
        (".cargo/config.toml", "[env]\nC = 'nobody reads it'"),
        ("home/config.toml", "[env]\nC = 'home'\nD = 'home'\nE = 'home'"),
    ];
    let found = read(&files, &["env.E='first'", "env.E='last'", "no toml", ""], &[]);
    let values = ["A", "B", "C", "D", "E"].map(|name| value(&found, name));
    assert_eq!(values, ["near", "more", "far", "home", "last"]);
    let names = |path: &Path| found.files.iter().any(|file| file.ends_with(path));
    for path in ["project/.cargo/config", "project/.cargo/more.toml", "project/no toml"] {
        assert!(names(Path::new(path)), "{path} in {:?}", found.files);
    }
}

#[test]
fn lists_are_concatenated_except_commands() {
    let files = [
        ("project/.cargo/config.toml", "[build]\nrustflags = ['near']\n[target.a]\nrunner = ['x']"),
        ("home/config.toml", "[build]\nrustflags = ['home']\n[target.a]\nrunner = ['y', 'z']"),
    ];
    let found = read(&files, &["build.rustflags=['last']"], &[]);
    assert_eq!(found.rustflags, ["home", "near", "last"]);
    assert_eq!(found.runner("a", Vec::new), ["x"]);
    assert_eq!(found.runner("b", Vec::new), Vec::<OsString>::new());
}

#[test]
fn a_runner_is_found_by_target_or_by_cfg() {
    let unix = || vec!["unix".parse().unwrap()];
    let by_cfg = "target.'cfg(unix)'.runner='by cfg'";
    let variable = ("CARGO_TARGET_A_B_RUNNER", "by variable");
    let runner = |options: &[&str], variables: &[(&str, &str)]| {
        read(&[], options, variables).runner("a-b", unix).join(" ".as_ref())
    };
    assert_eq!(runner(&[by_cfg], &[]), "by cfg");
    assert_eq!(runner(&["target.'cfg(windows)'.runner='by cfg'"], &[]), "");
    assert_eq!(runner(&[by_cfg], &[variable]), "by variable");
    assert_eq!(runner(&[by_cfg, "target.a-b.runner='own'"], &[variable]), "own");
    let files = [("home/config.toml", "[target.a-b]\nrunner = 'of file'")];
    assert_eq!(read(&files, &[], &[variable]).runner("a-b", unix), ["by", "variable"]);
    assert_eq!(read(&files, &[by_cfg], &[]).runner("a-b", unix), ["of", "file"]);
}

proptest::proptest! {
    #[test]
    fn no_option_makes_the_reader_panic(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "env", "target", "build", "a", ".", "=", "'", "\"", "[", "]", "{", "}", "1",
            "runner", "value", "relative", "true", "/", "\n", " ", "include", "cfg(",
        ]), 0..16),
    ) {
        let found = read(&[], &[&words.concat()], &[]);
        found.runner("a", Vec::new);
    }
}
