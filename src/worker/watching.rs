//! The binaries of a run that watches what tests change in their processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::discovery::listing::Listing;
use crate::discovery::watched_statics::{self, WatchedStatic};
use crate::leaks::static_types::StaticTypes;
use crate::process::platform::WatchList;

/// The statics of a binary, and the list of them that its workers get.
#[derive(Debug)]
pub struct Watched {
    pub statics: Arc<[WatchedStatic]>,
    pub types: Arc<StaticTypes>,
    pub list: WatchList,
}

/// What is watched of which listing; none where that is impossible.
#[derive(Debug, Default)]
pub struct WatchedBinaries(Mutex<HashMap<usize, Option<Arc<Watched>>>>);

impl WatchedBinaries {
    /// Reads the symbol table when a binary is first asked for.
    pub fn of(&self, index: usize, listing: &Listing) -> Option<Arc<Watched>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(index).or_insert_with(|| watched(listing)).clone()
    }
}

fn watched(listing: &Listing) -> Option<Arc<Watched>> {
    let statics = watched_statics::read(&listing.binary.executable, &listing.statics);
    let places = statics.iter().map(|watched| (watched.address, watched.length));
    let list = WatchList::new(places).ok()?;
    let types = Arc::new(StaticTypes::new(listing.binary.executable.clone()));
    Some(Arc::new(Watched { statics: statics.into(), types, list }))
}
