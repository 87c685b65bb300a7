//! The rules of many tests, looked up once for each module.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Policy, Rules};

/// The rules of a package's tests, looked up once for each module: 10,000 tests have few modules.
pub struct RulesByModule<'p> {
    policy: &'p Policy,
    package: usize,
    known: RefCell<HashMap<String, Rc<Rules>>>,
    keys_of_tests: Vec<&'p str>,
}

impl<'p> RulesByModule<'p> {
    pub fn new(policy: &'p Policy, package: usize) -> Self {
        let keys_of_tests = policy.paths(package).collect();
        RulesByModule { policy, package, known: RefCell::default(), keys_of_tests }
    }

    /// Whether a key is the path of this very test.
    pub fn names(&self, id: &str) -> bool {
        self.keys_of_tests.contains(&id)
    }

    /// The rules of the test with this id (`BINARY::path::name`).
    pub fn get(&self, id: &str) -> Rc<Rules> {
        let module = id.rsplit_once("::").map_or(id, |(module, _)| module);
        // A key may be the path of a single test.
        let node = if self.names(id) { id } else { module };
        if let Some(rules) = self.known.borrow().get(node) {
            return Rc::clone(rules);
        }
        let rules = Rc::new(self.policy.rules(self.package, node));
        self.known.borrow_mut().insert(node.to_owned(), Rc::clone(&rules));
        rules
    }
}
