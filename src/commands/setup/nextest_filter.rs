//! The filters of nextest's overrides that are what a node of the metadata is: all tests, a package, a
//! binary, or a module or test of a named binary.

#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    All,
    Package(String),
    /// A binary, or a module or test of one. A binary may be that of a package, if its name may be
    /// another one's too.
    Path {
        path: String,
        package: Option<String>,
    },
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
        let former = match predicate.trim() {
            "package" => package.replace(name_of(argument)?),
            "binary" => binary.replace(crate_of(argument)?),
            "binary_id" => {
                let (of, name) = id_of(argument)?;
                package.replace(of).or(binary.replace(name))
            }
            "test" => test.replace(path_of(argument)?),
            _ => return None,
        };
        if former.is_some() {
            return None;
        }
    }
    let (path, package) = match (package, binary, test) {
        (Some(package), None, None) => return Some(Node::Package(package)),
        (package, Some(binary), None) => (binary, package),
        (package, Some(binary), Some(test)) => (format!("{binary}::{test}"), package),
        // The binary of a package's unit tests is named like its library.
        (Some(package), None, Some(test)) => {
            (format!("{}::{test}", package.replace('-', "_")), None)
        }
        _ => return None,
    };
    Some(Node::Path { path, package })
}

/// `package` is the binary of a library's unit tests, `package::name` one of an integration test, and
/// `package::bin/name` one of a program.
fn id_of(argument: &str) -> Option<(String, String)> {
    let Some((package, name)) = argument.split_once("::") else {
        let package = name_of(argument)?;
        let library = package.replace('-', "_");
        return Some((package, library));
    };
    let name = name.strip_prefix("bin/").unwrap_or(name);
    Some((name_of(package)?, crate_of(name)?))
}

/// The same of a binary, which is named as its crate is.
fn crate_of(argument: &str) -> Option<String> {
    Some(name_of(argument)?.replace('-', "_"))
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
        let path_in = |path: &str, package: Option<&str>| {
            Some(Node::Path { path: path.to_owned(), package: package.map(str::to_owned) })
        };
        let path = |path: &str| path_in(path, None);
        let table = [
            ("all()", Some(Node::All)),
            ("package(web)", Some(Node::Package("web".into()))),
            ("package(=web-api)", Some(Node::Package("web-api".into()))),
            ("binary(server)", path("server")),
            ("package(web-api) & test(=db::opens)", path("web_api::db::opens")),
            ("binary(=server) and test(/^db::/)", path("server::db")),
            ("binary(server) & test(/^db::opens$/)", path("server::db::opens")),
            ("package(web) and binary(it)", path_in("it", Some("web"))),
            ("binary(my-test)", path("my_test")),
            ("binary_id(web-api::my-test) & test(/^m::/)", path_in("my_test::m", Some("web-api"))),
            ("binary_id(web::it)", path_in("it", Some("web"))),
            ("binary_id(=web::bin/it) & test(/^db::/)", path_in("it::db", Some("web"))),
            ("binary_id(web-api)", path_in("web_api", Some("web-api"))),
            ("binary_id(web::it) & package(web)", None),
            ("binary_id(web::*)", None),
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
