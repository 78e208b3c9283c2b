//! A running relay, talked to over real sockets of this machine.
//!
//! Tests read as sentences: [`bench::Bench`] starts a relay with a clock that a test moves, [`client::Client`] is a TURN
//! client of our own, and `coturn` brings one that others wrote. To show that something was *not* relayed, a test waits
//! for the relay's counter of it; nobody sleeps.

mod addresses;
mod allocating;
mod bench;
mod client;
mod coturn;
mod garbage;
mod limits;
mod relaying;
mod sessions;
mod streams;
