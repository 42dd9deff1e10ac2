//! Output for people: colours where the terminal has them, columns that line up.

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};

use crate::config::Problem;

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// An error.
pub fn failure(message: &str) {
    eprintln!("{RED}error{RED:#}: {message}");
}

/// A problem with its place.
pub fn problem(problem: &Problem) {
    let place = format!("{}:{}:{}", problem.file.display(), problem.line, problem.column);
    let path = match problem.path.as_str() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    eprintln!("{RED}error{RED:#}: {BOLD}{place}{BOLD:#}\n  {path}{}", problem.message);
}

/// Something went well.
pub fn success(message: &str) {
    println!("{GREEN}ok{GREEN:#} {message}");
}

/// Names and values, the values in one column.
pub fn pairs(pairs: &[(&str, String)]) {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in pairs {
        println!("  {DIM}{name:<width$}{DIM:#}  {value}");
    }
}

/// Rows under a header, columns lined up.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        let longest = cells.chain(header.get(column).copied()).map(|text| text.chars().count());
        longest.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header: Vec<String> = header.iter().map(|text| (*text).to_owned()).collect();
    println!("{BOLD}{}{BOLD:#}", line(&header));
    for row in rows {
        println!("{}", line(row));
    }
}
