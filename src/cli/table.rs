//! Tables for people: padded columns, the last one cut at the edge of the terminal, and nothing in
//! them that could steer the terminal.

use std::io::IsTerminal;
use std::time::Duration;

use owo_colors::{OwoColorize, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Global;
use crate::runtime::text;

/// Below this the last column is of no use; other columns give way first.
const LAST_MIN: usize = 24;

/// Longest cell of a table of texts, in characters.
const LONGEST: usize = 200;

/// Between columns.
const GAP: usize = 2;

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text in a style.
    pub fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: printable(text.as_ref()),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// How a column is aligned, and whether it may be left out.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    /// Left out in order of this number when there is no room; 0 never.
    drop: u8,
}

impl Column {
    /// A column of texts.
    pub const fn left(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            drop: 0,
        }
    }

    /// A column of numbers.
    pub const fn right(title: &'static str) -> Self {
        Self {
            right: true,
            ..Self::left(title)
        }
    }

    /// Left out when there is no room; lower numbers go first.
    pub const fn droppable(self, order: u8) -> Self {
        Self {
            drop: order,
            ..self
        }
    }
}

/// A table.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; empty cells are shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        cells.resize_with(self.columns.len(), Cell::default);
        for cell in &mut cells {
            if cell.text.is_empty() {
                "-".clone_into(&mut cell.text);
            }
        }
        self.rows.push(cells);
    }

    /// As text; `width` is that of the terminal, `None` does not cut anything.
    pub fn render(&self, width: Option<usize>, colors: bool) -> String {
        let widths = self.widths();
        let shown = self.shown(&widths, width);
        let mut out = String::new();
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|c| Cell::styled(c.title, Style::new().bold()))
            .collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            self.line(&mut out, row, &shown, &widths, width, colors);
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        self.columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let cells = self.rows.iter().map(|row| row[i].text.width());
                cells.chain([column.title.width()]).max().unwrap_or(0)
            })
            .collect()
    }

    /// Indices of the columns that fit.
    fn shown(&self, widths: &[usize], width: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width else { return shown };
        loop {
            let Some((&last, others)) = shown.split_last() else {
                return shown;
            };
            let used: usize = others.iter().map(|&i| widths[i] + GAP).sum();
            let candidate = others
                .iter()
                .copied()
                .filter(|&i| self.columns[i].drop > 0)
                .min_by_key(|&i| self.columns[i].drop);
            match candidate {
                Some(i) if used + widths[last].min(LAST_MIN) > width => shown.retain(|&j| j != i),
                _ => return shown,
            }
        }
    }

    fn line(
        &self,
        out: &mut String,
        row: &[Cell],
        shown: &[usize],
        widths: &[usize],
        width: Option<usize>,
        colors: bool,
    ) {
        let mut used = 0;
        for (n, &i) in shown.iter().enumerate() {
            let last = n + 1 == shown.len();
            let text = match width {
                Some(width) if last => cut(&row[i].text, width.saturating_sub(used).max(8)),
                _ => row[i].text.clone(),
            };
            let pad = " ".repeat(widths[i].saturating_sub(text.width()));
            let styled = if colors {
                text.style(row[i].style).to_string()
            } else {
                text
            };
            match (self.columns[i].right, last) {
                (true, _) => out.extend([pad.as_str(), styled.as_str()]),
                (false, true) => out.push_str(&styled),
                (false, false) => out.extend([styled.as_str(), pad.as_str()]),
            }
            if !last {
                out.push_str("  ");
            }
            used += widths[i] + GAP;
        }
        out.push('\n');
    }
}

/// Cuts a text to so many columns of the terminal.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Width of the terminal on standard output, if it is one.
pub fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&stdout).ok()?.ws_col;
    (columns > 0).then_some(usize::from(columns))
}

/// A text from the network or an agent, made safe for a terminal.
pub fn printable(text: &str) -> String {
    text::display(text, usize::MAX)
}

/// The same, cut where a table would become unreadable.
pub fn display(text: &str) -> String {
    text::display(text, LONGEST)
}

/// A table of texts.
pub fn table<C: AsRef<str>>(global: &Global, head: &[&'static str], rows: Vec<Vec<C>>) -> String {
    let columns: Vec<Column> = head.iter().map(|title| Column::left(title)).collect();
    let mut table = Table::new(columns);
    for row in rows {
        table.row(row.iter().map(|text| display(text.as_ref()).into()));
    }
    table.render(terminal_width(), global.colors())
}

/// A length of time in its two largest units (`3d 4h`, `5m 12s`, `0.4s`).
pub fn duration(length: Duration) -> String {
    let s = length.as_secs();
    match s {
        0..10 => format!("{:.1}s", length.as_secs_f64()),
        10..60 => format!("{s}s"),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A number of bytes in binary units (`12.3M`).
#[allow(clippy::cast_precision_loss)] // three digits are shown
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1024.0 {
            return match unit {
                "B" => format!("{n}B"),
                _ => format!("{value:.1}{unit}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::left("NAME"),
            Column::right("N").droppable(1),
            Column::left("TEXT"),
        ]);
        table.row([
            "kaze".into(),
            "7".into(),
            "scanning 10.20.0.7 and a lot more".into(),
        ]);
        table.row(["風".into(), "1234".into(), "".into()]);
        table
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            table().render(None, false),
            "NAME     N  TEXT\n\
             kaze     7  scanning 10.20.0.7 and a lot more\n\
             風    1234  -\n"
        );
    }

    #[test]
    fn the_last_column_is_cut_and_others_give_way() {
        let text = table().render(Some(40), false);
        assert!(
            text.contains("kaze     7  scanning 10.20.0.7 and a lo…\n"),
            "{text}"
        );
        let text = table().render(Some(32), false);
        assert!(text.starts_with("NAME  TEXT\n"), "{text}");
        assert!(text.lines().all(|line| line.width() <= 32), "{text}");
    }

    #[test]
    fn figures() {
        assert_eq!(duration(Duration::from_millis(420)), "0.4s");
        assert_eq!(
            duration(Duration::from_secs(3 * 86_400 + 4 * 3600)),
            "3d 4h"
        );
        assert_eq!(duration(Duration::from_secs(312)), "5m 12s");
        assert_eq!(
            (bytes(512), bytes(13 << 20)),
            ("512B".to_owned(), "13.0M".to_owned())
        );
    }
}
