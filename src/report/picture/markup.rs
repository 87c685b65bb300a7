//! Text as a part of a page: nothing that anybody wrote becomes markup.

use console::AnsiCodeIterator;

/// Text between tags, or in an attribute with double quotes.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON within a script element, which nothing in it can end.
pub fn json(text: &str) -> String {
    // All of these can only stand in its strings.
    text.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Text with the styles of a terminal, as elements with classes.
pub fn styled(text: &str) -> String {
    let (mut markup, mut style) = (String::with_capacity(text.len() * 2), Style::default());
    for (piece, is_escape) in AnsiCodeIterator::new(text) {
        if is_escape {
            style.apply(piece);
            continue;
        }
        match style.classes() {
            classes if classes.is_empty() => markup.push_str(&escaped(piece)),
            classes => {
                let piece = escaped(piece);
                markup.push_str(&format!("<span class=\"{classes}\">{piece}</span>"));
            }
        }
    }
    markup
}

#[derive(Debug, Default)]
struct Style {
    is_bold: bool,
    is_faint: bool,
    is_underlined: bool,
    color: Option<&'static str>,
}

impl Style {
    /// Takes a sequence that sets styles. Those that a page has no class for change nothing.
    fn apply(&mut self, sequence: &str) {
        let codes = sequence.strip_prefix("\x1b[").and_then(|codes| codes.strip_suffix('m'));
        let Some(codes) = codes else { return };
        for code in codes.split(';') {
            match code {
                "" | "0" => *self = Style::default(),
                "1" => self.is_bold = true,
                "2" => self.is_faint = true,
                "4" => self.is_underlined = true,
                "22" => (self.is_bold, self.is_faint) = (false, false),
                "24" => self.is_underlined = false,
                "31" | "91" => self.color = Some("red"),
                "32" | "92" => self.color = Some("green"),
                "33" | "93" => self.color = Some("yellow"),
                "34" | "94" => self.color = Some("blue"),
                "35" | "95" => self.color = Some("magenta"),
                "36" | "96" => self.color = Some("cyan"),
                "30" | "37" | "39" | "90" | "97" => self.color = None,
                // One of 256 colors, or of all: what follows is a part of it.
                "38" | "48" => return,
                _ => {}
            }
        }
    }

    fn classes(&self) -> String {
        let named =
            [(self.is_bold, "bold"), (self.is_faint, "faint"), (self.is_underlined, "underlined")];
        let named = named.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name);
        named.chain(self.color).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let text = "</script><img src=x onerror=\"a('&')\">\0";
        let expected =
            "&lt;/script&gt;&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt;\u{fffd}";
        assert_eq!(escaped(text), expected);
        assert_eq!(styled("\x1b[31m<b>\x1b[0m"), "<span class=\"red\">&lt;b&gt;</span>");
    }

    #[test]
    fn a_data_island_cannot_be_ended_from_within() {
        let text = serde_json::to_string("</script><!--\u{2028}\u{2029}").unwrap();
        assert_eq!(json(&text), r#""\u003c/script>\u003c!--\u2028\u2029""#);
        let read: String = serde_json::from_str(&json(&text)).unwrap();
        assert_eq!(read, "</script><!--\u{2028}\u{2029}");
    }

    #[test]
    fn styles_of_a_terminal_are_classes() {
        let text = "a\x1b[31m\x1b[1mb\x1b[0mc\x1b[38;5;9md\x1b[2me";
        let expected = "a<span class=\"bold red\">b</span>cd<span class=\"faint\">e</span>";
        assert_eq!(styled(text), expected);
    }
}
