//! Tests of `stores`: the exam, and what only some of them can do.

mod directory;
pub(crate) mod exam;
mod tar;
mod together;

use self::exam::exam;
pub(crate) use self::exam::{Candidate, archive, layout, memory};

// A store joins the exam here, with a function of its name that makes a `Candidate` (for a registry, one that also
// keeps the server). Where the server is started asynchronously, it is started on a runtime of its own.
exam!(memory, layout, archive, registry, front);
