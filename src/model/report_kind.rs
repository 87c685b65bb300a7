//! The reports that a run can write to files.

/// What such a report is called, as a flag and as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportKind {
    Junit,
    Markdown,
    Html,
    Trace,
}

pub const REPORT_KINDS: [(&str, ReportKind); 4] = [
    ("junit", ReportKind::Junit),
    ("markdown", ReportKind::Markdown),
    ("html", ReportKind::Html),
    ("trace", ReportKind::Trace),
];
