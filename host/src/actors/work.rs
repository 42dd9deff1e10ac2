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
    Pauses {
        /// What was put aside.
        aside: Vec<T>,
        /// It had panicked before, and is lost still.
        is_lost: bool,
    },
}

impl<T> Work<T> {
    /// What is to be done with an input now: it itself, or nothing.
    pub fn take(&mut self, input: T) -> Option<T> {
        match self {
            Self::Goes => Some(input),
            Self::IsLost => None,
            Self::Pauses { aside, .. } => {
                aside.push(input);
                None
            }
        }
    }

    /// Its machine can't be trusted.
    pub fn lose(&mut self) {
        *self = Self::IsLost;
    }

    /// Whether it can't.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::IsLost | Self::Pauses { is_lost: true, .. })
    }

    /// It has another one.
    pub fn find(&mut self) {
        match self {
            Self::Pauses { is_lost, .. } => *is_lost = false,
            Self::IsLost => *self = Self::Goes,
            Self::Goes => {}
        }
    }

    /// From now on what comes is put aside.
    pub fn pause(&mut self) {
        if !self.is_put_aside() {
            *self = Self::Pauses { aside: Vec::new(), is_lost: self.is_lost() };
        }
    }

    /// Whether it is.
    pub fn is_put_aside(&self) -> bool {
        matches!(self, Self::Pauses { .. })
    }

    /// Of what was put aside only this matters still.
    pub fn keep(&mut self, is_kept: impl Fn(&T) -> bool) {
        if let Self::Pauses { aside, .. } = self {
            aside.retain(is_kept);
        }
    }

    /// Puts aside before everything else.
    pub fn first(&mut self, inputs: impl IntoIterator<Item = T>) {
        if let Self::Pauses { aside, .. } = self {
            aside.splice(0..0, inputs);
        }
    }

    /// Goes on, unless its machine is lost; what was put aside.
    pub fn go_on(&mut self) -> Vec<T> {
        match std::mem::take(self) {
            Self::Pauses { aside, is_lost: false } => aside,
            Self::Goes => Vec::new(),
            Self::IsLost | Self::Pauses { is_lost: true, .. } => {
                *self = Self::IsLost;
                Vec::new()
            }
        }
    }
}
