//! What a machine of routing is told: now, or, while routing is made anew, later.

/// Whether a machine takes what it is told.
#[derive(Debug, Default)]
pub(super) enum Work<T> {
    /// At once.
    #[default]
    Goes,
    /// It has panicked; what it is told is in the journal, or its sender hears nothing.
    IsLost,
    /// It is put aside, and dealt with in this order.
    Pauses(Vec<T>),
}

impl<T> Work<T> {
    /// What is to be done with an input now: it itself, or nothing.
    pub fn take(&mut self, input: T) -> Option<T> {
        match self {
            Self::Goes => Some(input),
            Self::IsLost => None,
            Self::Pauses(aside) => {
                aside.push(input);
                None
            }
        }
    }

    /// Its machine can't be trusted.
    pub fn lose(&mut self) {
        *self = Self::IsLost;
    }

    /// From now on what comes is put aside.
    pub fn pause(&mut self) {
        if !matches!(self, Self::Pauses(_)) {
            *self = Self::Pauses(Vec::new());
        }
    }

    /// Whether it is.
    pub fn is_put_aside(&self) -> bool {
        matches!(self, Self::Pauses(_))
    }

    /// Of what was put aside only this matters still.
    pub fn keep(&mut self, is_kept: impl Fn(&T) -> bool) {
        if let Self::Pauses(aside) = self {
            aside.retain(is_kept);
        }
    }

    /// Puts aside before everything else.
    pub fn first(&mut self, inputs: impl IntoIterator<Item = T>) {
        if let Self::Pauses(aside) = self {
            aside.splice(0..0, inputs);
        }
    }

    /// Goes on; what was put aside.
    pub fn go_on(&mut self) -> Vec<T> {
        match std::mem::take(self) {
            Self::Pauses(aside) => aside,
            Self::Goes | Self::IsLost => Vec::new(),
        }
    }
}
