//! The lower end of the terminal: a block of lines that is drawn over and over, below everything that is said.
//!
//! The cursor rests at the start of the block, not behind it: whatever a terminal does to the lines when its size
//! changes, all that was drawn is behind the cursor, and is erased with one command.

use std::{
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What is said and drawn on stderr; one at a time.
#[derive(Debug, Default)]
pub(crate) struct Screen(Mutex<Block>);

#[derive(Debug, Default)]
struct Block {
    /// Whether anything may be drawn.
    open: bool,
    /// Whether something is.
    drawn: bool,
}

/// From the cursor to the end of the screen: nothing.
const ERASE: &str = "\r\u{1b}[J";

impl Screen {
    /// Runs something that writes to the terminal, with nothing drawn in its way.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut block = self.block();
        block.erase();
        write()
    }

    /// Draws from now on.
    pub(super) fn open(&self) {
        self.block().open = true;
    }

    /// Takes away what is drawn, and draws no more.
    pub(super) fn close(&self) {
        let mut block = self.block();
        block.erase();
        block.open = false;
    }

    /// Draws these lines, which must fit, in the place of those before.
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

/// Lines, none of which a terminal breaks even if it is narrower than was thought, and the way back.
fn drawing(lines: &[String]) -> String {
    let up = match lines.len() {
        0 | 1 => String::new(),
        n => format!("\u{1b}[{}A", n - 1),
    };
    let body = lines.join("\u{1b}[K\r\n");
    format!("\u{1b}[?7l\r{body}\u{1b}[J{up}\r\u{1b}[?7h")
}

pub(crate) fn stderr(text: &str) {
    // When this fails, nowhere is left to complain to.
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns and rows of the terminal; those of a usual one when it does not say.
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
