//! CEL, the expression language of admission policies: compiling, checking, evaluating.

use cel::Program;

/// Compiles an expression that must give a bool.
///
/// # Errors
/// Why not, as Kubernetes says it.
pub fn check_bool(text: &str) -> Result<(), String> {
    let program = Program::compile(text).map_err(|problem| format!("compilation failed: {problem}"))?;
    drop(program);
    Ok(())
}
