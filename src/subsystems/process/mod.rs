//! Programs that subsystems run: each under a guard, a process of its own that ends everything the
//! program started, whatever becomes of the daemon. When a guard has reported, nothing of its
//! program is left; what outlived daemon and guard is found by its marks and ended before anything
//! of the same folder is tried again.

mod guard;
pub use guard::guard;
pub(super) use guard::{DOUBT, End, Guard, Report, ReportStream, Ward};

mod leftovers;
pub(super) use leftovers::{FOLDER_VARIABLE, FolderMark, end_leftovers};

/// Tells the guard from the program, which does not inherit it.
pub(super) const GUARD_VARIABLE: &str = "OPSTEAD_GUARD";

/// The variables by which a program knows what it runs for.
pub(super) const OPERATION_VARIABLE: &str = "OPSTEAD_OPERATION_ID";
pub(super) const ATTEMPT_VARIABLE: &str = "OPSTEAD_ATTEMPT";
