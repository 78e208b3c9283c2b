//! Counters for Prometheus. Own ones: a handful of numbers needs no registry.

use std::sync::atomic::AtomicU64;

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that are open now.
    pub connections: AtomicU64,
}
