//! The leaks of a worker's tests.

use super::Worker;
use crate::config::leak_rules::LeakRules;
use crate::leaks::classify::{Symbolizer, is_pool};
use crate::leaks::finding::Finding;
use crate::leaks::symbols::{Module, Symbols};
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::verdict::Verdict;
use crate::protocol::channel::ChannelSummary;
use crate::worker::context::LeakOwner;

impl<'r> Worker<'r> {
    /// Stops waiting for threads of a pool, which live as long as the process.
    pub(super) fn ignore_pools(&mut self) {
        let open = self.channel.pending_threads();
        if self.door.is_none() || open.is_empty() {
            return;
        }
        let pools = self.context.services.with_symbols(|symbols| {
            let mut names = self.names(symbols, self.channel.modules(), "");
            let pools = open.iter().filter(|(_, stack)| is_pool(&names.calls(stack)));
            pools.map(|(number, _)| *number).collect::<Vec<_>>()
        });
        self.channel.ignore_threads(&pools);
        self.release_process();
    }

    /// Adds the leaks of a test. A denied panic in one of its threads fails the test.
    pub(super) fn with_leaks(
        &self,
        test: usize,
        mut verdict: Verdict,
        findings: &[Finding],
        modules: &[Module],
    ) -> Verdict {
        let leaks = self.leaks_of(test, findings, modules);
        if let Some(panic) = denied_panic(&leaks).filter(|_| verdict.outcome == Outcome::Passed) {
            verdict.outcome = Outcome::Failed;
            verdict.reason = Some(Reason::DeniedPanic(panic));
        }
        verdict.leaks.extend(leaks);
        verdict
    }

    pub(super) fn leaks_of(
        &self,
        test: usize,
        findings: &[Finding],
        modules: &[Module],
    ) -> Vec<Leak> {
        let id = self.tests[test];
        match self.job.group.leak_rules(id) {
            Some(rules) if !findings.is_empty() => {
                let of_test = &self.listing.tests[id.test].name;
                let owner = &self.listing.binary.id(of_test);
                let subject = LeakOwner { listing: self.listing, of_test, owner, modules };
                self.context.classified(findings, rules, subject)
            }
            _ => Vec::new(),
        }
    }

    /// Leaks that cannot be attributed to one test: the strictest rules apply. Nothing is a leak
    /// that may belong to a test that was killed with its process.
    pub(super) fn leaks_of_unit(&self, left: &ChannelSummary) -> Vec<Leak> {
        if !self.running.is_empty() {
            return Vec::new();
        }
        let rules: Vec<&LeakRules> =
            self.tests.iter().filter_map(|test| self.job.group.leak_rules(*test)).collect();
        let judged = |finding: &Finding| {
            let findings = std::slice::from_ref(finding);
            let leaks = rules.iter().flat_map(|rules| {
                let (owner, modules) = (&*self.job.group.node, &*left.modules);
                let subject = LeakOwner { listing: self.listing, of_test: "", owner, modules };
                self.context.classified(findings, rules, subject)
            });
            leaks.max_by_key(|leak| leak.action)
        };
        left.unattributed.iter().filter_map(judged).collect()
    }

    pub(super) fn names<'n>(
        &'n self,
        symbols: &'n mut Symbols,
        modules: &'n [Module],
        of_test: &'n str,
    ) -> Symbolizer<'n> {
        self.context.names(symbols, self.listing, modules, of_test)
    }
}

fn denied_panic(leaks: &[Leak]) -> Option<String> {
    let is_denied = |leak: &&Leak| leak.kind == LeakKind::Panic && leak.action == LeakAction::Deny;
    let leak = leaks.iter().find(is_denied)?;
    let place = leak.place.as_ref().map(|place| format!(" ({place})"));
    Some(format!("{}{}", leak.what, place.unwrap_or_default()))
}
