//! What sets each of a test's settings: a line of a Cargo.toml, a flag, or nothing.

use super::{FixtureName, Policy, PolicyOverride, Rules, Why};
use crate::config::diagnostic::Place;
use crate::config::keys::{Backoff, Flaky, Keys, Locks, Recycle, Threads};
use crate::config::value::At;
use crate::model::leak::{LeakAction, LeakKind};
use crate::model::{duration, size};

/// A setting as it is in force for a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `timeout`, `env.RUST_LOG`, `leaks.pool`
    pub key: String,
    /// As it would be written in Cargo.toml, without quotes around a word.
    pub value: String,
    /// `default`, `Cargo.toml:14`, `--timeout`, or a reason.
    pub origin: String,
    /// The node that has the key; none for the top of a table, and for what is in no table.
    pub node: Option<String>,
}

/// The keys that cover a test, nearest first.
struct Chain<'c>(Vec<(Option<&'c str>, &'c Keys)>);

/// Where a value comes from.
struct Origin {
    text: String,
    node: Option<String>,
}

impl Origin {
    fn of(text: impl ToString) -> Origin {
        Origin { text: text.to_string(), node: None }
    }
}

impl Chain<'_> {
    fn declared<T>(&self, key: impl Fn(&Keys) -> &Option<At<T>>) -> Option<(Origin, &At<T>)> {
        self.0.iter().find_map(|(node, keys)| {
            let at = key(keys).as_ref()?;
            Some((Origin { text: at.place.to_string(), node: node.map(str::to_owned) }, at))
        })
    }

    /// That of the nearest key, or the default.
    fn origin<T>(&self, key: impl Fn(&Keys) -> &Option<At<T>>) -> Origin {
        self.declared(key).map_or_else(|| Origin::of(Why::Default), |(origin, _)| origin)
    }
}

impl Policy {
    /// All settings of the test with this id (`BINARY::path::name`), in the order of the manual.
    pub fn settings(&self, package: usize, id: &str) -> Vec<Setting> {
        let rules = self.rules(package, id);
        let chain = Chain(self.chain(package, id));
        let mut settings = Vec::new();
        let mut add = |key: &str, value: String, origin: Origin| {
            let Origin { text, node } = origin;
            settings.push(Setting { key: key.to_owned(), value, origin: text, node });
        };
        let node = rules.node.clone().filter(|node| !node.is_empty());
        let policy = || Origin { text: rules.why.to_string(), node: node.clone() };
        add("policy", rules.kind.as_str().to_owned(), policy());
        add("isolate", rules.isolate.to_string(), self.isolation(&rules, &chain, policy()));
        add("threads", threads(rules.threads), chain.origin(|keys| &keys.threads));
        add("slots", rules.slots.to_string(), chain.origin(|keys| &keys.slots));
        self.add_locks(&rules, &chain, &mut add);
        add("exclusive", rules.exclusive.to_string(), chain.origin(|keys| &keys.exclusive));
        let timeout = rules.timeout.map_or("none".to_owned(), duration::written);
        let by_flag = self.timeout.map(|_| Origin::of("--timeout"));
        add("timeout", timeout, by_flag.unwrap_or_else(|| chain.origin(|keys| &keys.timeout)));
        add("slow", duration::written(rules.slow), chain.origin(|keys| &keys.slow));
        self.add_retries(&rules, &chain, &mut add);
        let memory = rules.memory.map_or("none".to_owned(), size::shown);
        add("memory", memory, chain.origin(|keys| &keys.memory));
        add("recycle", recycle(rules.recycle), chain.origin(|keys| &keys.recycle));
        for (name, value) in &rules.env {
            let sets = |(_, keys): &&(Option<&str>, &Keys)| {
                keys.env.as_ref().is_some_and(|env| env.value.contains_key(name))
            };
            let setter = chain.0.iter().find(sets).map(|entry| Chain(vec![*entry]));
            let origin = setter.map(|setter| setter.origin(|keys| &keys.env));
            add(&format!("env.{name}"), value.clone(), origin.unwrap_or(Origin::of(Why::Default)));
        }
        add_leaks(&rules, &chain, &mut add);
        add("linger", duration::written(rules.leaks.linger), chain.origin(|keys| &keys.linger));
        settings
    }

    fn isolation(&self, rules: &Rules, chain: &Chain<'_>, policy: Origin) -> Origin {
        match (&self.command_line, chain.declared(|keys| &keys.isolate)) {
            (PolicyOverride::Isolate, _) => Origin::of("--isolate"),
            (PolicyOverride::None, Some((origin, at))) if at.value == rules.isolate => origin,
            // What is declared belongs to a policy that another one has taken the place of.
            (_, Some((_, at))) if at.value != rules.isolate => policy,
            _ => Origin::of(Why::Default),
        }
    }

    fn add_locks(
        &self,
        rules: &Rules,
        chain: &Chain<'_>,
        add: &mut impl FnMut(&str, String, Origin),
    ) {
        let declared = chain.declared(|keys| &keys.locks);
        let own = declared.as_ref().map(|(_, at)| at.value.clone()).unwrap_or_default();
        let origin = declared.map_or_else(|| Origin::of(Why::Default), |(origin, _)| origin);
        let is_further = |name: &&String| !own.write.contains(name);
        let further: Vec<String> = rules.locks.write.iter().filter(is_further).cloned().collect();
        if further.is_empty() || own != Locks::default() {
            add("locks", locks(&own), origin);
        }
        if !further.is_empty() {
            let further = Locks { write: further, ..Locks::default() };
            add("locks", locks(&further), Origin::of(Why::SerialTest));
        }
    }

    /// The command line overrides the number and the outcome of flaky tests, each by itself.
    fn add_retries(
        &self,
        rules: &Rules,
        chain: &Chain<'_>,
        add: &mut impl FnMut(&str, String, Origin),
    ) {
        let retries = &rules.retries;
        let declared = || chain.origin(|keys| &keys.retries);
        let by_flag = |flag: Option<&str>| flag.map_or_else(declared, Origin::of);
        add("retries", retries.count.to_string(), by_flag(self.retries.map(|_| "--retries")));
        if retries.count == 0 {
            return;
        }
        add("retries.delay", duration::written(retries.delay), declared());
        let backoff = match retries.backoff {
            Backoff::Fixed => "fixed",
            Backoff::Exponential => "exponential",
        };
        add("retries.backoff", backoff.to_owned(), declared());
        let flaky = match retries.flaky {
            Flaky::Pass => "pass",
            Flaky::Fail => "fail",
        };
        add("retries.flaky", flaky.to_owned(), by_flag(self.flaky.map(|_| "--flaky")));
    }

    /// The fixtures that are up when the test begins, in the order in which they start, each with
    /// the line that defines it.
    pub fn fixtures_of(&self, package: usize, id: &str) -> Vec<(FixtureName, Option<Place>)> {
        let names = self.rules(package, id).fixtures.concat();
        names.into_iter().map(|name| (name.clone(), self.place_of(&name))).collect()
    }

    fn place_of(&self, fixture: &FixtureName) -> Option<Place> {
        let fixtures = match fixture.package {
            Some(package) => &self.packages.get(package)?.config.fixtures,
            None => &self.workspace.fixtures,
        };
        let found = fixtures.iter().find(|(name, _)| name.value == fixture.name);
        found.map(|(name, _)| name.place.clone())
    }
}

fn threads(threads: Threads) -> String {
    match threads {
        Threads::Auto => "auto".to_owned(),
        Threads::Exactly(threads) => threads.to_string(),
    }
}

fn recycle(recycle: Recycle) -> String {
    match recycle {
        Recycle::Never => "never".to_owned(),
        Recycle::OnFailure => "on-failure".to_owned(),
        Recycle::OnLeak => "on-leak".to_owned(),
        Recycle::After(tests) => tests.to_string(),
    }
}

fn locks(locks: &Locks) -> String {
    match (locks.read.is_empty(), locks.write.is_empty()) {
        (true, true) => "none".to_owned(),
        (true, false) => format!("{:?}", locks.write),
        (false, true) => format!("{{ read = {:?} }}", locks.read),
        (false, false) => format!("{{ read = {:?}, write = {:?} }}", locks.read, locks.write),
    }
}

/// The action that most kinds have is that of `leaks`; a kind with another one has its own line.
fn add_leaks(rules: &Rules, chain: &Chain<'_>, add: &mut impl FnMut(&str, String, Origin)) {
    let node_of = |rule: &str| {
        let declares = |(_, keys): &&(Option<&str>, &Keys)| {
            keys.leaks.as_ref().is_some_and(|leaks| leaks.place.to_string() == rule)
        };
        chain.0.iter().find(declares).and_then(|(node, _)| node.map(str::to_owned))
    };
    let origin = |rule: &str| Origin { text: rule.to_owned(), node: node_of(rule) };
    let actions = rules.leaks.actions();
    let like = |one: &(LeakKind, LeakAction, String)| {
        let is_like =
            |other: &&(LeakKind, LeakAction, String)| one.1 == other.1 && one.2 == other.2;
        actions.iter().filter(is_like).count()
    };
    let Some(usual) = actions.iter().rev().max_by_key(|one| like(one)) else { return };
    add("leaks", usual.1.as_str().to_owned(), origin(&usual.2));
    for (kind, action, rule) in actions {
        if (action, rule) != (&usual.1, &usual.2) {
            let key = format!("leaks.{}", kind.as_str());
            add(&key, action.as_str().to_owned(), origin(rule));
        }
    }
    for (kind, pattern, rule) in rules.leaks.ignored() {
        add("leaks.ignore", format!("{} = {pattern:?}", kind.as_str()), origin(rule));
    }
}
