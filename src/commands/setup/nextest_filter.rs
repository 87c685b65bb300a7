//! The filters of nextest's overrides that are what a node of the metadata is: all tests, a package, a
//! binary, or a module or test of a named binary.

#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    All,
    Package(String),
    /// A binary, or a module or test of one.
    Path(String),
}

/// The node for a filter, if there is a single one.
pub fn node_of(filter: &str) -> Option<Node> {
    let filter = filter.trim();
    if matches!(filter, "all()" | "") {
        return Some(Node::All);
    }
    let (mut package, mut binary, mut test) = (None, None, None);
    for part in filter.replace(" and ", " & ").split('&') {
        let (predicate, rest) = part.trim().split_once('(')?;
        let argument = rest.strip_suffix(')')?.trim();
        let place = match predicate.trim() {
            "package" => &mut package,
            "binary" => &mut binary,
            "test" => &mut test,
            _ => return None,
        };
        let name = if predicate.trim() == "test" { path_of(argument) } else { name_of(argument) };
        if place.replace(name?).is_some() {
            return None;
        }
    }
    match (package, binary, test) {
        (Some(package), None, None) => Some(Node::Package(package)),
        (_, Some(binary), None) => Some(Node::Path(binary)),
        (_, Some(binary), Some(test)) => Some(Node::Path(format!("{binary}::{test}"))),
        // The binary of a package's unit tests is named like its library.
        (Some(package), None, Some(test)) => {
            Some(Node::Path(format!("{}::{test}", package.replace('-', "_"))))
        }
        _ => None,
    }
}

/// `name` or `=name`, which match one package or binary.
fn name_of(argument: &str) -> Option<String> {
    let name = argument.strip_prefix('=').unwrap_or(argument);
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

/// `=path` is a test, `/^path::/` a module. Anything else matches parts of names.
fn path_of(argument: &str) -> Option<String> {
    let path = match argument.strip_prefix('=') {
        Some(exact) => exact,
        None => {
            let start = argument.strip_prefix("/^")?.strip_suffix('/')?;
            start.strip_suffix("::").or(start.strip_suffix('$'))?
        }
    };
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    (!path.is_empty() && path.chars().all(is_path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_node_where_it_names_one() {
        let path = |path: &str| Some(Node::Path(path.to_owned()));
        let table = [
            ("all()", Some(Node::All)),
            ("package(web)", Some(Node::Package("web".into()))),
            ("package(=web-api)", Some(Node::Package("web-api".into()))),
            ("binary(server)", path("server")),
            ("package(web-api) & test(=db::opens)", path("web_api::db::opens")),
            ("binary(=server) and test(/^db::/)", path("server::db")),
            ("binary(server) & test(/^db::opens$/)", path("server::db::opens")),
            ("test(=db::opens)", None),
            ("test(db)", None),
            ("package(web) | package(api)", None),
            ("not package(web)", None),
            ("package(web-*)", None),
            ("binary(server) & test(/db.*/)", None),
            ("test(/^a/) & test(/^b/)", None),
        ];
        for (filter, expected) in table {
            assert_eq!(node_of(filter), expected, "{filter}");
        }
    }
}
