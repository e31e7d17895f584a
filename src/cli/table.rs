//! Tables for people: no lines, colours only where they are wanted, nothing raw from the network.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::Global;
use crate::runtime::text;

/// Longest cell, characters.
const LONGEST: usize = 200;

/// One cell.
#[derive(Debug, Clone)]
pub struct Text {
    text: String,
    color: Option<Color>,
}

impl Text {
    /// A cell in this colour.
    pub fn colored(text: impl Into<String>, color: Option<Color>) -> Self {
        Self {
            text: text.into(),
            color,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::colored(text, None)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::colored(text, None)
    }
}

/// Text from the network, made safe for a terminal.
pub fn display(text: &str) -> String {
    text::display(text, LONGEST)
}

/// A table; the headings bold when colours are on. Cells are not broken, so that lines stay fit for
/// grep.
pub fn table<C: Into<Text>>(global: &Global, head: &[&str], rows: Vec<Vec<C>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if global.colors() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        head.iter()
            .map(|h| Cell::new(h).add_attribute(Attribute::Bold)),
    );
    for row in rows {
        table.add_row(row.into_iter().map(Into::into).map(cell));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(text: Text) -> Cell {
    let cell = Cell::new(display(&text.text));
    match text.color {
        Some(color) => cell.fg(color),
        None => cell,
    }
}
