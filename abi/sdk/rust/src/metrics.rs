//! Counters, gauges and histograms, with the operator's grant `metrics`. Make
//! them once, in `init`; a name matches `[a-z][a-z0-9_]{0,63}`.

use crate::abi;
use crate::error::{self, Error};
use crate::host;

fn metric(kind: i32, name: &str) -> Result<i32, Error> {
    error::number(host::metric(kind, name.as_bytes()) as i64).map(|id| id as i32)
}

/// A number that only goes up.
#[derive(Clone, Copy, Debug)]
pub struct Counter(i32);

impl Counter {
    /// The counter of this name.
    pub fn new(name: &str) -> Result<Counter, Error> {
        metric(abi::METRIC_COUNTER, name).map(Counter)
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        host::metric_add(self.0, n.min(i64::MAX as u64) as i64);
    }
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(i32);

impl Gauge {
    /// The gauge of this name.
    pub fn new(name: &str) -> Result<Gauge, Error> {
        metric(abi::METRIC_GAUGE, name).map(Gauge)
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: f64) {
        host::metric_set(self.0, value);
    }
}

/// How values are distributed.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(i32);

impl Histogram {
    /// The histogram of this name.
    pub fn new(name: &str) -> Result<Histogram, Error> {
        metric(abi::METRIC_HISTOGRAM, name).map(Histogram)
    }

    /// Records a value.
    #[inline]
    pub fn observe(&self, value: f64) {
        host::metric_observe(self.0, value);
    }
}
