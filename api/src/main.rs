//! The binary `annals`.

use std::process::ExitCode;

/// A command allocates some dozens of small objects on one thread and frees them on another: the system's allocator
/// spends a tenth of the machine on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::run()
}
