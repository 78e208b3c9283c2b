//! The store on both engines.

mod opening;
mod searching;
