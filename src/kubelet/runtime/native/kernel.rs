//! What the kernel is taken not to have, so that one can see how tutor does without, and tests can prove it.
//!
//! In: `TUTOR_KERNEL_LACKS=overlayfs,nf_tables`. Out: what is not asked of the kernel then, as if it had refused. Never:
//! a wall that is left out. Chapter: `book/src/inside/runtime.md`.

/// The variable.
const VARIABLE: &str = "TUTOR_KERNEL_LACKS";

/// What is not asked of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Layers over one another: they are copied instead.
    pub overlayfs: bool,
    /// Rules for packets: connections are carried instead.
    pub nf_tables: bool,
}

impl Lacks {
    /// What this process's environment says.
    pub fn of_environment() -> Lacks {
        Lacks::read(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn read(text: &str) -> Lacks {
        let has = |name: &str| text.split(',').any(|word| word.trim() == name);
        Lacks { overlayfs: has("overlayfs"), nf_tables: has("nf_tables") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_are_nothing() {
        assert_eq!(Lacks::read("overlayfs, nf_tables"), Lacks { overlayfs: true, nf_tables: true });
        assert_eq!(Lacks::read("nf_tables"), Lacks { overlayfs: false, nf_tables: true });
        assert_eq!(Lacks::read("namespaces"), Lacks::default());
    }
}
