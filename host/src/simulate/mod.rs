//! `simulate`: the core's own machines in virtual time, against traffic that is made up or recorded
//! (OPS-07).

mod engine;
mod figures;
mod recorded;
mod report;
mod traffic;

#[cfg(test)]
mod theory;

pub use engine::{Simulation, run};
pub use figures::{AgentFigures, Figures, QueueFigures};
pub use report::{Named, csv, html, table};
pub use traffic::{Stream, Traffic, TrafficError};
