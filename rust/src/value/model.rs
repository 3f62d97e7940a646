//! Models as values: which one, and what the program set for the calls that are made through the value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Value;

/// `ModelRef` and `ModelBuilder`.
#[derive(Clone, Debug)]
pub struct ModelValue {
    /// Index of the declaration.
    pub index: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is a builder; a builder may have no settings yet.
    pub is_builder: bool,
    settings: Vec<(Setting, Value)>,
    /// Shared by all that come from one `spawn`.
    handle: Option<Arc<AtomicBool>>,
}

/// What a builder can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after its method")]
pub enum Setting {
    Base,
    SystemPrompt,
    Temperature,
    TopP,
    MaxTokens,
    Stop,
    Seed,
    Timeout,
    Context,
    RetryMessage,
    Tools,
    WithoutTools,
}

impl ModelValue {
    /// A declared model.
    #[must_use]
    pub fn new(index: u32, name: &str) -> Self {
        Self { index, name: name.into(), is_builder: false, settings: Vec::new(), handle: None }
    }

    /// What was set last.
    #[must_use]
    pub fn setting(&self, wanted: Setting) -> Option<&Value> {
        self.settings.iter().find(|(own, _)| *own == wanted).map(|(_, value)| value)
    }

    /// Sets one thing; of two uses the later wins.
    pub fn set(&mut self, setting: Setting, value: Value) {
        self.is_builder = true;
        self.settings.retain(|(own, _)| *own != setting);
        self.settings.push((setting, value));
    }

    /// An independent reference to the same model.
    #[must_use]
    pub fn spawn(&self) -> Self {
        Self { handle: Some(Arc::default()), ..self.clone() }
    }

    /// Refuses later calls through this reference; `false` if it is none that can be shut down.
    #[must_use]
    pub fn shutdown(&self) -> bool {
        let Some(handle) = &self.handle else { return false };
        handle.store(true, Ordering::Relaxed);
        true
    }

    /// Whether calls are refused.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| handle.load(Ordering::Relaxed))
    }

    /// Whether two values are the same reference.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same_handle = match (&self.handle, &other.handle) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        };
        !self.is_builder && !other.is_builder && self.index == other.index && same_handle
    }
}
