//! SIGHUP: the configuration is read again. The copy's rate changes at once, everything else with the next session of the
//! stream, which then begins; what a task is bound to stays.

use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::Config;
use crate::error::{Error, Result};

/// Brings edited configurations.
#[derive(Debug, Clone)]
pub struct Reload {
    edited: watch::Receiver<Option<Arc<Config>>>,
}

impl Reload {
    /// Listens from now on. `at_once` gets every configuration that is read, for what may change at any time.
    pub fn on_signal(
        path: PathBuf,
        config: &Config,
        at_once: impl Fn(&Config) + Send + 'static,
    ) -> Result<Self> {
        let mut hangup = signal(SignalKind::hangup())
            .map_err(|error| Error::refused(format!("signals cannot be received: {error}")))?;
        let (edit, edited) = watch::channel(None);
        let mut current = Arc::new(config.clone());
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                match read(&path, &current) {
                    Ok(config) => {
                        at_once(&config);
                        tracing::info!("the configuration was read again");
                        if config.apart_from_copy() != current.apart_from_copy() {
                            edit.send_replace(Some(config.clone()));
                        }
                        current = config;
                    }
                    Err(error) => tracing::error!("the configuration stays as it was: {error}"),
                }
            }
        });
        Ok(Self { edited })
    }

    /// Waits until a configuration has come that differs in more than the copy; see [`Reload::take`].
    pub async fn edited(&self) {
        let mut edited = self.edited.clone();
        // The listener lives as long as the process.
        if edited.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The configuration that has come since the last one was taken.
    pub fn take(&mut self) -> Option<Arc<Config>> {
        if self.edited.has_changed().unwrap_or(false) {
            self.edited.borrow_and_update().clone()
        } else {
            None
        }
    }
}

fn read(path: &std::path::Path, current: &Config) -> Result<Arc<Config>> {
    let config = Config::load(path)?;
    if config.task.name.as_str() != current.task.name.as_str()
        || config.task.mode != current.task.mode
        || config.slot() != current.slot()
    {
        return Err(Error::usage(
            "name, mode and slot of a running task cannot be changed; stop it first, or make a new task",
        ));
    }
    Ok(Arc::new(config))
}
