//! ServiceAccount: who a Pod is when it asks the API.

use crate::apiserver::kinds::Strategy;

/// Of ServiceAccounts: nothing particular.
pub const STRATEGY: Strategy = Strategy::PLAIN;
