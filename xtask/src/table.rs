//! Tables for the page.

use std::fmt::{self, Display};

/// A table of GitHub's Markdown; all columns but the first few words are as wide as they need to be.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With a heading for each column.
    pub fn new<T: Into<String>>(heading: impl IntoIterator<Item = T>) -> Table {
        Table { rows: vec![heading.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        // A bar would begin another cell.
        self.rows.push(cells.into_iter().map(|cell| cell.into().replace('|', "\\|")).collect());
    }

    /// Whether there is nothing but the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, row) in self.rows.iter().enumerate() {
            let cells = row.iter().enumerate();
            let padded: Vec<_> =
                cells.map(|(column, cell)| format!("{cell:0$}", self.width(column))).collect();
            writeln!(out, "| {} |", padded.join(" | "))?;
            if nth == 0 {
                let rules: Vec<_> = (0..row.len()).map(|column| "-".repeat(self.width(column))).collect();
                writeln!(out, "| {} |", rules.join(" | "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_bars_in_cells_are_no_columns() {
        let mut table = Table::new(["a", "model"]);
        assert!(table.is_empty());
        table.row(["x|y", "–"]);
        let expected = "| a    | model |\n| ---- | ----- |\n| x\\|y | –     |\n";
        assert_eq!(table.to_string(), expected);
    }
}
