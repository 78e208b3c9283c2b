//! Scenarios through the whole product, with the real programs, and the rules of the house.
//!
//! What it is: the promises that only hold if all parts work together (`faults`, `fleet`, `updates`), and what keeps the
//! repository in shape (`walls`, `hygiene`, `documents`). What it is not: the place for one part's own
//! behaviour, which is tested beside that part. Scenarios in a browser are in `browser/`.
//!
//! How to add to it: a module per subject. What takes longer than some seconds goes into a module named
//! `long`, which only `make test-full` runs; what promises a time goes into one named `timed`, which
//! runs alone.

mod documents;
mod faults;
mod fleet;
mod hygiene;
mod organisation;
mod provisioning;
mod updates;
mod walls;
