//! The tokens of a Pod's ServiceAccount that are in its volumes, each kept until a new one is due.
//!
//! In: answers to TokenRequests. Out: the token to write, and when to ask for another. All containers of a Pod see the
//! same token; it is replaced while it is still good, and who has read it has time to read the file again. The real
//! kubelet adds up to ten seconds of chance to that time, so that the Pods of a large node do not ask at once.
//! Source: kubelet `pkg/kubelet/token`. Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenRequest;

/// A token is replaced at this age, however long it is good. Source: `token.maxTTL`.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// For whom a token is, and for how many seconds.
pub type Wanted = (Option<String>, i64);

/// A Pod's tokens.
#[derive(Debug, Default)]
pub struct PodTokens(BTreeMap<Wanted, Token>);

/// A token that was issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text.
    pub text: String,
    /// From when on another one is asked for: when a fifth of its time is left, or a day is over.
    pub renew: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Token {
    /// Without the text: who has it may act as the Pod.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(renew {}, expires {})", self.renew, self.expires)
    }
}

impl Token {
    /// From the answer to a request; `None` when it holds no token.
    pub fn of(answer: TokenRequest) -> Option<Token> {
        let status = answer.status?;
        let expires = status.expiration_timestamp?.0;
        let lifetime = SignedDuration::from_secs(answer.spec?.expiration_seconds?);
        let age = (lifetime * 4 / 5).min(OLDEST);
        let renew = expires.saturating_sub(lifetime).and_then(|issued| issued.saturating_add(age)).unwrap_or(expires);
        Some(Token { text: status.token?, renew, expires })
    }
}

impl PodTokens {
    /// The token that was issued for this.
    pub fn get(&self, wanted: &Wanted) -> Option<&Token> {
        self.0.get(wanted)
    }

    /// Keeps a token.
    pub fn put(&mut self, wanted: Wanted, token: Token) {
        self.0.insert(wanted, token);
    }

    /// When the first of them has to be replaced.
    pub fn renew(&self) -> Option<Timestamp> {
        self.0.values().map(|token| token.renew).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_replaced_when_a_fifth_of_its_time_is_left_or_a_day_is_over() {
        for (seconds, expires, renew) in [
            (3600, "2026-01-01T01:00:00Z", "2026-01-01T00:48:00Z"),
            (600, "2026-01-01T00:10:00Z", "2026-01-01T00:08:00Z"),
            (7 * 86400, "2026-01-08T00:00:00Z", "2026-01-02T00:00:00Z"),
        ] {
            let answer = json!({"spec": {"audiences": [], "expirationSeconds": seconds},
                "status": {"token": "t", "expirationTimestamp": expires}});
            let token = Token::of(serde_json::from_value(answer).unwrap()).unwrap();
            assert_eq!(token.renew, renew.parse().unwrap(), "{seconds}");
        }
        assert_eq!(Token::of(TokenRequest::default()), None);
    }
}
