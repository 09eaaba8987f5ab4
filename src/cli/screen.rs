//! The bottom of the terminal: a block of lines that is redrawn below all other output.
//!
//! The cursor stays at the start of the block: however a terminal reflows lines when its size changes, the block is
//! after the cursor, and one command erases it.

use std::{
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Serialises messages and drawing on stderr.
#[derive(Debug, Default)]
pub(crate) struct Screen(Mutex<Block>);

#[derive(Debug, Default)]
struct Block {
    /// Whether drawing is allowed.
    open: bool,
    /// Whether a block is visible.
    drawn: bool,
}

/// Erases from the cursor to the end of the screen.
const ERASE: &str = "\r\u{1b}[J";

impl Screen {
    /// Erases the block and runs `write`, which writes to the terminal.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut block = self.block();
        block.erase();
        write()
    }

    /// Allows drawing.
    pub(super) fn open(&self) {
        self.block().open = true;
    }

    /// Erases the block and stops drawing.
    pub(super) fn close(&self) {
        let mut block = self.block();
        block.erase();
        block.open = false;
    }

    /// Replaces the block by these lines, which must fit the terminal.
    pub(super) fn draw(&self, lines: &[String]) {
        let mut block = self.block();
        if block.open {
            stderr(&drawing(lines));
            block.drawn = true;
        }
    }

    fn block(&self) -> MutexGuard<'_, Block> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block {
    fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            stderr(ERASE);
        }
    }
}

/// Escape sequences that draw the lines without wrapping, even on a narrower terminal, and return the cursor.
fn drawing(lines: &[String]) -> String {
    let up = match lines.len() {
        0 | 1 => String::new(),
        n => format!("\u{1b}[{}A", n - 1),
    };
    let body = lines.join("\u{1b}[K\r\n");
    format!("\u{1b}[?7l\r{body}\u{1b}[J{up}\r\u{1b}[?7h")
}

pub(crate) fn stderr(text: &str) {
    // If this fails, there is no other output for the error.
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns and rows of the terminal, or common defaults if unknown.
pub(super) fn dimensions() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_comes_back_to_where_the_block_starts() {
        let lines = |n: usize| vec!["x".to_owned(); n];
        assert_eq!(drawing(&lines(1)), "\u{1b}[?7l\rx\u{1b}[J\r\u{1b}[?7h");
        assert_eq!(drawing(&lines(3)), "\u{1b}[?7l\rx\u{1b}[K\r\nx\u{1b}[K\r\nx\u{1b}[J\u{1b}[2A\r\u{1b}[?7h");
    }
}
