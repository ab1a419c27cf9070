//! Starts [`tutor::cli`]; or, called by another name, the program of that name ([`tutor::programs`]); or a part
//! of a container runtime.

fn main() -> std::process::ExitCode {
    // Before anything else: such a process may have one thread only.
    if let Some(code) = tutor::kubelet::runtime::native::inside::enter() {
        return code;
    }
    tutor::programs::called().unwrap_or_else(tutor::cli::main)
}
