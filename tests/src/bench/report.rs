//! The table, and `target/bench.json`.

use std::path::Path;

use serde::Serialize;

/// One measured figure beside its reference from the same run.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// Measured.
    pub value: f64,
    /// Of value and reference.
    pub unit: &'static str,
    /// Measured in the same run.
    pub reference: f64,
    /// Value by reference.
    pub ratio: f64,
    /// What the reference is.
    pub beside: &'static str,
    /// What is asked for.
    pub aim: &'static str,
}

/// All figures of a run.
#[derive(Default)]
pub struct Report(Vec<Figure>);

impl Report {
    /// Adds a figure and prints it at once.
    pub fn add(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        (reference, beside): (f64, &'static str),
        aim: &'static str,
    ) {
        let ratio = value / reference;
        println!(
            "{name:<30} {value:>12.2} {unit:<8} {reference:>12.2} {ratio:>8.3}   {aim}   ({beside})"
        );
        let name = name.to_owned();
        self.0.push(Figure { name, value, unit, reference, ratio, beside, aim });
    }

    /// Adds a figure that stands for itself.
    pub fn note(&mut self, name: &str, value: f64, unit: &'static str) {
        self.add(name, value, unit, (value, "itself"), "");
    }

    /// Prints the table's head.
    pub fn head() {
        println!(
            "{:<30} {:>12} {:<8} {:>12} {:>8}   aim",
            "figure", "value", "unit", "reference", "ratio"
        );
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let map: serde_json::Map<String, serde_json::Value> = self
            .0
            .iter()
            .map(|figure| {
                let value = serde_json::to_value(figure).expect("numbers and names");
                (figure.name.clone(), value)
            })
            .collect();
        std::fs::write(path, serde_json::to_string_pretty(&map).expect("plain JSON"))
    }
}
