//! Starts [`tutor::cli`], unless this process is to be part of a container runtime.

fn main() -> std::process::ExitCode {
    // Before anything else: such a process may have one thread only.
    if let Some(code) = tutor::kubelet::runtime::native::inside::enter() {
        return code;
    }
    tutor::cli::main()
}
