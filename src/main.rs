//! Starts tutor.

fn main() {}
