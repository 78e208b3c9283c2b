//! What scenarios and measurements are made of: the real programs started on ports and folders of
//! their own, devices that speak only the wire protocol, a proxy that breaks connections on command.
//!
//! What it is not: a place for mocks. [`TestServer`] is the `bramble` program and [`TestDevice`] the
//! `rpi-connectd` program, as they are shipped; [`FakeDevice`] exists because 5,000 real ones do not fit
//! on one machine. Nothing shipped imports this crate.
//!
//! How to add to it: only what several crates need; what one test needs stays beside that test. A wait
//! is a call of [`eventually`], which names what it waits for.

mod canary;
mod chaos;
mod device;
mod eventually;
mod fake_device;
mod fleet;
mod programs;
mod server;
mod stock;
mod tls;
mod updatable;

pub use canary::find_canaries;
pub use chaos::ChaosProxy;
pub use device::TestDevice;
pub use eventually::{LONG, SHORT, eventually};
pub use fake_device::{Dialer, EventStream, FakeDevice};
pub use fleet::{Fleet, raise_open_files};
pub use programs::{Finished, Running, free_port, program, resident_kb};
pub use server::{Person, ServerBuilder, TestServer};
pub use stock::stock;
pub use tls::Authority;
pub use updatable::UpdatableDevice;
