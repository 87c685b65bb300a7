//! Names as TOML writes them, for lines that are pasted or written into a manifest.

/// A quoted string. TOML knows the escapes of JSON, and none of Rust's own; besides what JSON escapes,
/// only U+007F must not stand in it.
pub fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["web::db", "cafe\u{301}", "जाँच", "a \"b\" 'c'", "C:\\d", "\u{1b}[1m\n\u{7f}"]
        {
            let line = format!("{} = [{}]", toml_string(text), toml_string(text));
            let read: toml::Table = line.parse().unwrap();
            assert_eq!(read[text].as_array().unwrap()[0].as_str(), Some(text), "{line}");
        }
        assert_eq!(toml_string("web::db"), "\"web::db\"");
    }
}
