//! Starts [`tutor::cli`]; or, called by another name, the program of that name ([`tutor::programs`]); or a part
//! of a container runtime.

/// Half of what a control plane does is to make and to drop small pieces of JSON.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3 (`mimalloc.h`), which has no name in its crate.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Memory that is free goes back to the system at once, not with the next allocation after a second: after a list
/// of 10,000 Pods there may be no next one. It costs no processor time that could be measured.
#[allow(unsafe_code, reason = "a number in a table of the allocator's own; no thread runs yet that could read it")]
fn give_memory_back_at_once() {
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

fn main() -> std::process::ExitCode {
    give_memory_back_at_once();
    // Before anything else: such a process may have one thread only.
    if let Some(code) = tutor::kubelet::runtime::native::inside::enter() {
        return code;
    }
    tutor::programs::called().unwrap_or_else(tutor::cli::main)
}
