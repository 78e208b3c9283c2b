//! The server from outside: in this process on free ports, asked without a network in between, or as
//! the real program. On real databases.

mod accounts;
mod actions;
mod countries;
mod deployments;
mod desk;
mod devices;
mod event_stream;
mod files;
mod first_page;
mod harness;
mod jobs;
mod linking;
mod mail;
mod management;
mod names;
mod nul;
mod organisations;
mod program;
mod routes;
mod sessions;
mod signals;
mod strangers;
