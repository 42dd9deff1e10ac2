//! Attacks on a running host: what must not happen is tried to be made to happen.
//!
//! `make test` runs them in a short form; `make attack` in a long one, and prints what was tried, what
//! was measured, and that it held.

mod bodies;
mod clock;
mod content;
mod disk;
mod folder;
mod frames;
mod gaps;
mod grief;
mod leavers;
mod load;
mod promises;
mod readers;
mod recovery;
mod screens;
mod sign_in;
mod sockets;
mod stalls;
mod stores;
mod tls;
mod tools;
