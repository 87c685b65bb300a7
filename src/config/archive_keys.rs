//! What an archive of the tests has besides what was built.

use super::value::{At, Reader, Value};

impl Reader<'_> {
    pub(super) fn archive(&mut self, value: &Value<'_>) -> Vec<At<String>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "archive", "a table such as { include = [\"tests/data/**\"] }");
            return Vec::new();
        };
        let mut include = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "include" => include = self.patterns(value),
                word => self.unknown(key.span(), "key of archive", word, &["include"]),
            }
        }
        include
    }

    /// Patterns of files below the directory of the manifest.
    fn patterns(&mut self, value: &Value<'_>) -> Vec<At<String>> {
        let patterns = self.strings(value, "include");
        for pattern in &patterns {
            let is_outside =
                pattern.starts_with('/') || pattern.split('/').any(|part| part == "..");
            if is_outside || pattern.is_empty() {
                let title = format!("`{pattern}` is no path below the directory of the manifest");
                self.wrong(value.span(), title, "write a relative path without `..`");
            } else if let Err(error) = glob::Pattern::new(pattern) {
                self.wrong(value.span(), format!("invalid pattern `{pattern}`"), error.msg);
            }
        }
        let place = self.place(value.span());
        patterns.into_iter().map(|value| At { value, place: place.clone() }).collect()
    }
}
