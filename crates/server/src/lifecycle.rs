//! Start, signals and stop.
