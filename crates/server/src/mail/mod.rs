//! Furnished soon.
