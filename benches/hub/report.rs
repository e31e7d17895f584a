//! The table and `DIR/NAME.json`, as the other benchmarks write them.

use std::path::Path;

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Nobody set one.
    None,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Value>,
}

impl Report {
    /// One figure: the median of the runs, with the least and the most of them.
    pub fn add(&mut self, work: &str, metric: &str, unit: &str, runs: &[f64], goal: Goal) {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let ours = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        let (sign, number, met) = match goal {
            Goal::AtMost(most) => ("≤", Some(most), ours <= most),
            Goal::AtLeast(least) => ("≥", Some(least), ours >= least),
            Goal::None => ("", None, true),
        };
        let wish = number.map_or(String::new(), |n| {
            format!("goal {sign} {n} {}", if met { "met" } else { "NOT MET" })
        });
        println!("{work:<44} {metric:<22} {ours:>10.2} {unit:<7} ({min:.2}–{max:.2})  {wish}");
        self.rows.push(json!({
            "work": work, "metric": metric, "unit": unit, "ours": ours, "min": min, "max": max,
            "peer_name": "", "peer": null, "peer_min": null, "peer_max": null, "ratio": null,
            "goal": number, "met": met,
        }));
    }

    /// Writes `NAME.json` where `BENCH_OUT` says.
    pub fn finish(self, name: &str) {
        if self.rows.iter().any(|row| row["met"] == false) {
            println!("some goals were not met");
        }
        if let Some(dir) = std::env::var_os("BENCH_OUT").filter(|dir| !dir.is_empty()) {
            std::fs::create_dir_all(&dir).unwrap();
            let file = Path::new(&dir).join(format!("{name}.json"));
            std::fs::write(file, format!("{:#}\n", Value::Array(self.rows))).unwrap();
        }
    }
}
