//! The filter of system calls: what a container has no business asking the kernel.
//!
//! Without it: a process that lost its capabilities can still make a user namespace, hold them all
//! inside, and from there reach parts of the kernel that only administrators used to reach; most ways
//! out of containers began like that. In: nothing; out: this process, and all it starts, filtered for
//! good. It is a list of what is refused; everything else passes, as capabilities allow. (Docker's
//! default is the other way round, a list of what passes; what both refuse is nearly the same.)
//! Source: seccomp(2), and the notes of Docker's default profile. Chapter: `book/src/inside/runtime.md`.

use std::io;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Calls that are refused, by what they would reach.
const REFUSED: &[&[c_long]] = &[
    // The tree of files.
    &[libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_move_mount, libc::SYS_open_tree],
    &[libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr],
    // Files by number instead of by path.
    &[libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at],
    // Other namespaces.
    &[libc::SYS_setns],
    // The kernel itself: modules, another kernel, its programs and its keys.
    &[libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module],
    &[libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_reboot],
    &[libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd],
    &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl],
    // A second way to make system calls, past this filter.
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    // The machine: its clock, its memory on disk, its log, its accounts.
    &[libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex],
    &[libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_syslog, libc::SYS_acct, libc::SYS_quotactl],
    &[libc::SYS_vhangup, libc::SYS_personality, libc::SYS_kcmp, libc::SYS_lookup_dcookie],
    #[cfg(target_arch = "x86_64")]
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib, libc::SYS_ustat, libc::SYS_sysfs, libc::SYS_modify_ldt],
];

/// Flags of clone(2) and unshare(2) that make namespaces.
const NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWCGROUP,
    0x80, // CLONE_NEWTIME
];

/// Filters this process from now on. It also gains no new privileges any more.
pub fn filter() -> io::Result<()> {
    // clone3 takes its flags from memory, where a filter cannot look. "No such call" makes C libraries
    // fall back to clone, whose flags it can see.
    install(vec![(libc::SYS_clone3, Vec::new())], libc::ENOSYS)?;
    let any = REFUSED.iter().flat_map(|calls| calls.iter()).map(|call| (*call, Vec::new()));
    let with_flags = [libc::SYS_clone, libc::SYS_unshare].map(|call| {
        let rules: Result<Vec<_>, _> = NAMESPACES.iter().map(|flag| has_flag(*flag as u64)).collect();
        rules.map(|rules| (call, rules))
    });
    let with_flags = with_flags.into_iter().collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    install(any.chain(with_flags).collect(), libc::EPERM)
}

fn has_flag(flag: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let operator = SeccompCmpOp::MaskedEq(flag);
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, operator, flag)?])
}

fn install(rules: Vec<(c_long, Vec<SeccompRule>)>, refusal: i32) -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(refusal as u32);
    let filter = SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, refuse, arch);
    let program: BpfProgram = filter.and_then(BpfProgram::try_from).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}
