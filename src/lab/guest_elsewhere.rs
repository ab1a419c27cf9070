//! Where the hypervisor of this computer is not KVM on an x86 processor: there is no machine to make.

use crate::error::{Error, Result};

/// Says that it cannot.
///
/// # Errors
/// Always.
pub fn run() -> Result<()> {
    Err(Error::new("this experiment makes its machine with KVM on an x86-64 processor", "this computer has none"))
}
