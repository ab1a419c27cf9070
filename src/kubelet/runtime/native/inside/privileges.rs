//! What a container's process may still do once it is behind its walls: little.
//!
//! Root's power is cut into capabilities (capabilities(7)): most are dropped, and `no_new_privs` makes
//! sure that no program brings them back. Resource limits and the out-of-memory score are set here too.
//! In: the plan; out: this process with less. The filter of system calls is in `seccomp.rs`.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::messages::Plan;
use super::namespaces::user;
use super::users::Identity;

/// Becomes `who` and keeps only the plan's capabilities.
pub fn become_user(who: &Identity, plan: &Plan) -> io::Result<()> {
    let keep = plan.capabilities.iter().filter_map(|name| capability(name));
    let keep =
        if plan.privileged { CapabilitySet::all() } else { keep.fold(CapabilitySet::empty(), |all, one| all | one) };
    bound(keep);
    if user::has(who.uid, who.gid) {
        let groups: Vec<Gid> = who.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        // Who has one user number may not choose groups either.
        let _ = rustix::thread::set_thread_groups(&groups);
        let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        // What a user other than root keeps at this step, the kernel takes at exec.
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    } else {
        user::rename(who.uid, who.gid)?;
        // A new user namespace begins with everything.
        bound(keep);
    }
    let mine = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: mine.effective & keep,
        permitted: mine.permitted & keep,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    Ok(rustix::thread::clear_ambient_capability_set()?)
}

/// Sets resource limits; one that is above what we may give becomes as much as we may.
pub fn limit(limits: &BTreeMap<String, (u64, u64)>) -> io::Result<()> {
    let kinds = [("NOFILE", Resource::Nofile), ("NPROC", Resource::Nproc), ("CORE", Resource::Core)];
    for (name, (soft, hard)) in limits {
        let Some((_, kind)) = kinds.iter().find(|(known, _)| known == name) else { continue };
        let most = rustix::process::getrlimit(*kind).maximum.unwrap_or(u64::MAX);
        let new = Rlimit { current: Some((*soft).min(most)), maximum: Some((*hard).min(most)) };
        rustix::process::setrlimit(*kind, new)?;
    }
    Ok(())
}

/// Tells the kernel whom to kill first. Lowering it takes a right that rootless has not.
pub fn set_oom_score(score: i32) {
    let _ = fs::write("/proc/self/oom_score_adj", score.to_string());
}

/// Every capability by name.
pub fn all_capabilities() -> Vec<String> {
    CapabilitySet::all().iter_names().map(|(name, _)| name.to_owned()).collect()
}

/// A capability by Kubernetes' name for it, with or without `CAP_`.
fn capability(name: &str) -> Option<CapabilitySet> {
    let upper = name.to_uppercase();
    CapabilitySet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper))
}

/// Gives up, for this process and all it starts, every capability but these.
fn bound(keep: CapabilitySet) {
    for (_, capability) in CapabilitySet::all().difference(keep).iter_names() {
        // The kernel may know fewer than there are names.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
}
