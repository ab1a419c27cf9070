//! Starts [`tutor::cli`]; or, called by another name, the program of that name ([`tutor::programs`]); or a part
//! of a container runtime.

/// Half of what a control plane does is to make and to drop small pieces of JSON.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Before anything else: such a process may have one thread only.
    if let Some(code) = tutor::kubelet::runtime::native::inside::enter() {
        return code;
    }
    tutor::programs::called().unwrap_or_else(tutor::cli::main)
}
