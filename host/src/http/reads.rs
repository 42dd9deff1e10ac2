//! Reads that may take long are done beside the HTTP workers, and only so many at a time: a worker serves
//! webhooks and screens, and a search may look through everything.

use std::sync::Arc;
use std::time::Duration;

use cordboard_core::ids::AgentId;
use dashmap::DashMap;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;
use crate::journal::{Journal, Reader};

/// Searches at a time: the others wait, and a machine with two processors still has one for customers.
const SEARCHES: usize = 1;
/// Other reads at a time.
const OTHERS: usize = 8;
/// Screens that connect, at a time: they stand behind nobody's pages.
const SCREENS: usize = 4;
/// Reads of one person at a time: whoever asks for more waits behind themselves.
const OF_ONE: usize = 2;
/// Files that one person takes out at a time: each may be read slowly, and holds a page.
const EXPORTS_OF_ONE: usize = 4;
/// Whoever has waited for so long is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much a read may look through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Everything there is.
    All,
    /// A conversation, or a page of a list.
    Part,
    /// What a screen begins with.
    Screen,
}

/// Where reads are done.
pub struct Reads {
    journal: Journal,
    searches: Arc<Semaphore>,
    others: Arc<Semaphore>,
    screens: Arc<Semaphore>,
    /// Files that one person takes out.
    exports: DashMap<AgentId, Arc<Semaphore>>,
    /// By who asks, and whether through everything.
    own: DashMap<(AgentId, bool), Arc<Semaphore>>,
}

impl Reads {
    /// Of this journal.
    pub fn new(journal: Journal) -> Self {
        let place = |count| Arc::new(Semaphore::new(count));
        Self {
            journal,
            searches: place(SEARCHES),
            others: place(OTHERS),
            screens: place(SCREENS),
            exports: DashMap::new(),
            own: DashMap::new(),
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// Busy (429) if too many read at once; whatever the read says.
    pub async fn run<T, E>(
        &self,
        who: &AgentId,
        reach: Reach,
        read: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        let places = match reach {
            Reach::All => &self.searches,
            Reach::Part => &self.others,
            Reach::Screen => &self.screens,
        };
        let own = self.own_places(who, reach == Reach::All);
        let both = async {
            let own = own.acquire_owned().await?;
            Ok::<_, AcquireError>((own, places.clone().acquire_owned().await?))
        };
        let place = tokio::time::timeout(PATIENCE, both).await;
        let Ok(Ok(place)) = place else {
            return Err(ApiError::Busy("too many look things up at once; try again".to_owned()));
        };
        self.journal
            .read(move |reader| {
                // Until it is done: whoever asked may hang up, and what they asked for goes on.
                let _place = place;
                read(reader).map_err(Into::into)
            })
            .await
    }

    /// A place to take something out, as long as it is held.
    ///
    /// # Errors
    /// Busy (429): they have as many as one may.
    pub fn place_of_export(&self, who: &AgentId) -> Result<OwnedSemaphorePermit, ApiError> {
        let own = self
            .exports
            .entry(who.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(EXPORTS_OF_ONE)));
        own.clone().try_acquire_owned().map_err(|_| {
            ApiError::Busy(format!(
                "{who} takes out {EXPORTS_OF_ONE} files already: wait until one is done"
            ))
        })
    }

    /// No lock of the map is held when this returns: what follows is awaited.
    fn own_places(&self, who: &AgentId, is_search: bool) -> Arc<Semaphore> {
        let own = self
            .own
            .entry((who.clone(), is_search))
            .or_insert_with(|| Arc::new(Semaphore::new(if is_search { SEARCHES } else { OF_ONE })));
        own.clone()
    }
}
