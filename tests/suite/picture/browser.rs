//! A page in headless Chromium.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::fixture::skip;

const NAMES: [&str; 5] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().find_map(|name| {
        directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
    })
}

/// JSON within a script element with this id.
pub fn script(id: &str, json: &str) -> String {
    let json = json.replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>")
}

/// What the page leaves as JSON in its element `found`; none where there is no browser. It has
/// seconds of its own time, which do not pass while it is at work, however busy the machine is.
pub fn browse(page: &str) -> Option<Value> {
    let Some(browser) = browser() else {
        skip("Chromium is not installed (Debian: apt-get install chromium-headless-shell)");
        return None;
    };
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("page.html");
    std::fs::write(&path, page).unwrap();
    let ran = dump(&browser, scratch.path(), &path).output().unwrap();
    let (dom, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let found =
        dom.split_once("<pre id=\"found\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.unwrap_or_else(|| panic!("{}: {told}\n{dom}", ran.status));
    let found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}\n{told}")))
}

fn dump(browser: &Path, scratch: &Path, page: &Path) -> Command {
    // Whatever hangs, the test ends before the whole suite is given up.
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg("180").arg(browser).args([
        "--headless",
        // It needs rights that containers do not give, and opens nothing but our own page.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1700,1200",
        "--virtual-time-budget=60000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", scratch.join("profile").display()));
    command.arg(format!("file://{}", page.display()));
    command.env("HOME", scratch);
    command
}
