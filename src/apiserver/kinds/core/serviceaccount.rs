//! ServiceAccount: who a Pod is when it asks the API.

use serde_json::{Value, json};

use crate::apiserver::kinds::Strategy;
use crate::apiserver::kinds::json::{Json, items_mut};

/// Of ServiceAccounts.
pub const STRATEGY: Strategy = Strategy {
    prepare_create: |account, _| clean(account),
    prepare_update: |new, _, _| clean(new),
    whole_again: true,
    ..Strategy::PLAIN
};

/// A Secret is in the account's namespace: of a reference only the name stays.
fn clean(account: &mut Value) {
    for secret in items_mut(account, "secrets") {
        let name = secret.text("name");
        *secret = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    }
}
