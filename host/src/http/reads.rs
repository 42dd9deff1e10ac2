//! Reads that may take long are done beside the HTTP workers, and only so many at a time: a worker serves
//! webhooks and screens, and a search may look through everything.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cordboard_core::ids::AgentId;
use dashmap::DashMap;
use tokio::sync::{AcquireError, Semaphore};

use crate::http::error::ApiError;
use crate::journal::{JournalError, Reader};

/// Searches at a time: the others wait, and a machine with two processors still has one for customers.
const SEARCHES: usize = 1;
/// Other reads at a time.
const OTHERS: usize = 8;
/// Screens that connect, at a time: they stand behind nobody's pages.
const SCREENS: usize = 4;
/// Reads of one person at a time: whoever asks for more waits behind themselves.
const OF_ONE: usize = 2;
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
    data: PathBuf,
    searches: Arc<Semaphore>,
    others: Arc<Semaphore>,
    screens: Arc<Semaphore>,
    /// By who asks, and whether through everything.
    own: DashMap<(AgentId, bool), Arc<Semaphore>>,
    /// Readers that nobody uses just now.
    idle: Arc<Mutex<Vec<Reader>>>,
}

impl Reads {
    /// Of the journal in this folder.
    pub fn new(data: PathBuf) -> Self {
        let place = |count| Arc::new(Semaphore::new(count));
        Self {
            data,
            searches: place(SEARCHES),
            others: place(OTHERS),
            screens: place(SCREENS),
            own: DashMap::new(),
            idle: Arc::default(),
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
        let (data, idle) = (self.data.clone(), self.idle.clone());
        let reading = tokio::task::spawn_blocking(move || {
            // Until it is done: whoever asked may hang up, and what they asked for goes on.
            let _place = place;
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match known {
                Some(reader) => reader,
                None => Reader::open_small(&data)?,
            };
            let found = read(&reader);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            Ok::<_, JournalError>(found)
        });
        let gone =
            |_| ApiError::Unavailable("the read came to grief; the log says more".to_owned());
        reading.await.map_err(gone)??.map_err(Into::into)
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
