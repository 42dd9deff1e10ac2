//! A run's figures as a table, as CSV, and as a page with charts.

use std::fmt::Write;

use crate::simulate::figures::{AgentFigures, Figures, QueueFigures};

/// A run and what it is called.
pub struct Named<'a> {
    /// The configuration's folder, say.
    pub name: &'a str,
    /// What was measured.
    pub figures: &'a Figures,
}

/// A column of a table: its name, its value, and how it is written.
type Column<T> = (&'static str, fn(&T) -> f64, fn(f64) -> String);
type QueueColumn = Column<QueueFigures>;
type AgentColumn = Column<AgentFigures>;

const QUEUE_COLUMNS: [QueueColumn; 10] = [
    ("came", |q| q.came as f64, whole),
    ("served", |q| q.served as f64, whole),
    ("mean wait", |q| q.mean_wait(), seconds),
    ("p50", |q| q.wait_percentile(50.0), seconds),
    ("p95", |q| q.wait_percentile(95.0), seconds),
    ("in time", |q| q.service_level(), percent),
    ("gave up", |q| q.abandonment(), percent),
    ("overflow", |q| q.overflowed as f64, whole),
    ("occupancy", |q| q.occupancy, percent),
    ("estimate off by", |q| q.estimate_error().map_or(f64::NAN, |(error, _)| error), seconds),
];

const AGENT_COLUMNS: [AgentColumn; 4] = [
    ("taken", |a| a.taken as f64, whole),
    ("refused", |a| a.refused as f64, whole),
    ("missed", |a| a.missed as f64, whole),
    ("occupancy", AgentFigures::occupancy, percent),
];

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn seconds(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.1} s") }
}

fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// The table for a terminal; with two runs, the second and the difference stand below each figure.
pub fn table(runs: &[Named<'_>]) -> String {
    let mut out = String::new();
    let first = &runs[0];
    let _ = writeln!(
        out,
        "{} customers in {:.1} h of simulated time\n",
        first.figures.came,
        first.figures.simulated / 3600.0
    );
    let mut rows = vec![head("queue", QUEUE_COLUMNS.iter().map(|(name, ..)| *name))];
    for (id, queue) in &first.figures.queues {
        rows.push(line(id, &QUEUE_COLUMNS, queue));
        for other in &runs[1..] {
            let compared = other.figures.queues.get(id).cloned().unwrap_or_default();
            rows.push(line(&format!("  {}", other.name), &QUEUE_COLUMNS, &compared));
            rows.push(difference(&QUEUE_COLUMNS, queue, &compared));
        }
    }
    out += &aligned(&rows);
    out.push('\n');
    let mut rows = vec![head("agent", AGENT_COLUMNS.iter().map(|(name, ..)| *name))];
    for (id, agent) in first.figures.agents.iter().take(MOST_AGENTS) {
        rows.push(line(id, &AGENT_COLUMNS, agent));
        for other in &runs[1..] {
            let compared = other.figures.agents.get(id).cloned().unwrap_or_default();
            rows.push(line(&format!("  {}", other.name), &AGENT_COLUMNS, &compared));
        }
    }
    out += &aligned(&rows);
    let more = first.figures.agents.len().saturating_sub(MOST_AGENTS);
    if more > 0 {
        let _ = writeln!(out, "and {more} more agents: --csv has them all");
    }
    out
}

/// Agents shown in a terminal.
const MOST_AGENTS: usize = 20;

fn head<'a>(first: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(names.map(str::to_owned)).collect()
}

fn line<T>(id: &str, columns: &[Column<T>], of: &T) -> Vec<String> {
    let values = columns.iter().map(|(_, value, write)| write(value(of)));
    std::iter::once(id.to_owned()).chain(values).collect()
}

fn difference(columns: &[QueueColumn], a: &QueueFigures, b: &QueueFigures) -> Vec<String> {
    let values = columns.iter().map(|(_, value, write)| {
        let change = value(b) - value(a);
        let sign = if change > 0.0 { "+" } else { "" };
        format!("{sign}{}", write(change))
    });
    std::iter::once("  difference".to_owned()).chain(values).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let _ = write!(out, "{:<w$}", row[0], w = widths[0]);
        for (cell, w) in row.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {cell:>w$}");
        }
        out.push('\n');
    }
    out
}

/// Every figure, one per line: `run,of,name,figure,value`.
pub fn csv(runs: &[Named<'_>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut put = |cells: [&str; 5]| {
        writer.write_record(cells).expect("writing to memory can't fail");
    };
    put(["run", "of", "name", "figure", "value"]);
    for run in runs {
        for (id, queue) in &run.figures.queues {
            for (name, value, _) in &QUEUE_COLUMNS {
                put([run.name, "queue", id, name, &plain(value(queue))]);
            }
            let bias = queue.estimate_error().map_or(f64::NAN, |(_, bias)| bias);
            put([run.name, "queue", id, "estimate bias", &plain(bias)]);
        }
        for (id, agent) in &run.figures.agents {
            for (name, value, _) in &AGENT_COLUMNS {
                put([run.name, "agent", id, name, &plain(value(agent))]);
            }
        }
    }
    String::from_utf8(writer.into_inner().expect("memory")).expect("it was text")
}

fn plain(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:.4}") }
}

/// A page of its own: tables, and charts of waits and of the lines' lengths.
pub fn html(runs: &[Named<'_>]) -> String {
    let mut body = String::new();
    for run in runs {
        let name = escaped(run.name);
        let figures = run.figures;
        let hours = figures.simulated / 3600.0;
        let _ = write!(
            body,
            "<h2>{name}</h2><p>{} customers in {hours:.1} h of simulated time.</p>",
            figures.came
        );
        body += &html_table("queue", &QUEUE_COLUMNS, figures.queues.iter());
        for (id, queue) in figures.queues.iter().filter(|(_, queue)| queue.served > 0) {
            let _ = write!(body, "<h3>{}</h3><div class=charts>", escaped(id));
            body += &chart("How long customers waited (seconds, of a hundred)", &wait_curve(queue));
            body +=
                &chart("Customers in the queue (hours since the beginning)", &length_curve(queue));
            body += "</div>";
        }
        body += &html_table("agent", &AGENT_COLUMNS, figures.agents.iter());
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulation</title><style>{STYLE}</style><h1>Simulation</h1>{body}</html>"
    )
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}.charts{display:flex;gap:1rem;flex-wrap:wrap}figure{margin:0}figcaption{font-size:13px;color:#555}
svg{background:#f8f9fa;border-radius:6px}text{font-size:11px;fill:#555}";

fn html_table<'a, T: 'a>(
    what: &str,
    columns: &[Column<T>],
    rows: impl Iterator<Item = (&'a String, &'a T)>,
) -> String {
    let names: String = columns.iter().map(|(name, ..)| format!("<th>{name}</th>")).collect();
    let rows: String = rows
        .map(|(id, of)| {
            let cells =
                columns.iter().map(|(_, value, write)| format!("<td>{}</td>", write(value(of))));
            format!("<tr><td>{}</td>{}</tr>", escaped(id), cells.collect::<String>())
        })
        .collect();
    format!("<table><tr><th>{what}</th>{names}</tr>{rows}</table>")
}

/// The wait that so many of a hundred didn't exceed.
fn wait_curve(queue: &QueueFigures) -> Vec<(f64, f64)> {
    (0..=100).map(|n| (f64::from(n), queue.wait_percentile(f64::from(n)))).collect()
}

fn length_curve(queue: &QueueFigures) -> Vec<(f64, f64)> {
    const MOST_POINTS: usize = 400;
    let every = queue.lengths.len().div_ceil(MOST_POINTS).max(1);
    let hours = |minute: usize| minute as f64 / 60.0;
    queue
        .lengths
        .iter()
        .enumerate()
        .step_by(every)
        .map(|(minute, length)| (hours(minute), f64::from(*length)))
        .collect()
}

fn chart(title: &str, points: &[(f64, f64)]) -> String {
    const WIDTH: f64 = 440.0;
    const HEIGHT: f64 = 200.0;
    const EDGE: f64 = 36.0;
    let most = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(0.0, f64::max);
    let (most_x, most_y) = (most(|p| p.0).max(1e-9), most(|p| p.1).max(1e-9));
    let x = |value: f64| EDGE + value / most_x * (WIDTH - EDGE - 8.0);
    let y = |value: f64| HEIGHT - 24.0 - value / most_y * (HEIGHT - 36.0);
    let line: String = points.iter().map(|(a, b)| format!("{:.1},{:.1} ", x(*a), y(*b))).collect();
    format!(
        "<figure><svg width={WIDTH} height={HEIGHT} role=img><polyline fill=none stroke=#4263eb stroke-width=1.5 points=\"{line}\"/><text x=4 y={:.0}>{most_y:.1}</text><text x=4 y={:.0}>0</text><text x={EDGE} y={:.0}>0</text><text x={:.0} y={:.0} text-anchor=end>{most_x:.1}</text></svg><figcaption>{}</figcaption></figure>",
        y(most_y) + 4.0,
        y(0.0),
        HEIGHT - 6.0,
        WIDTH - 8.0,
        HEIGHT - 6.0,
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
