//! Continue tokens: the moment all pages of a list show, and the key the last one ended at.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::api::go_json;
use crate::api::status::Status;
use crate::apiserver::engine::bad_request;

/// As Go reads it: bits left over at the end are let pass.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Where a page ended.
pub struct Token {
    /// The moment; -1 when the pages need not show one moment.
    pub revision: i64,
    /// The first key of the next page.
    pub start: String,
}

impl Token {
    /// The text clients send back.
    pub fn to_text(&self) -> String {
        let body = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": self.start});
        URL_SAFE_NO_PAD.encode(body.to_string())
    }

    /// Reads it.
    ///
    /// # Errors
    /// 400 for what this server never wrote.
    pub fn parse(text: &str) -> Result<Token, Status> {
        let bad = |why: String| bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let illegal = |at: usize| bad(format!("illegal base64 data at input byte {at}"));
        let bytes = LENIENT.decode(text).map_err(|_| illegal(first_wrong(text)))?;
        let token: Value =
            serde_json::from_slice(&bytes).map_err(|error| bad(go_json::syntax_error(&bytes, &error)))?;
        let version = token["v"].as_str().unwrap_or("");
        if version != "meta.k8s.io/v1" {
            return Err(bad(format!("server does not recognize this encoded version {version}")));
        }
        if token["rv"].as_i64().unwrap_or(0) == 0 {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_string()));
        }
        let start = token["start"].as_str().unwrap_or("").to_string();
        if start.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)".to_string()));
        }
        let mut steps = start.strip_prefix('/').unwrap_or(&start).split('/');
        if steps.any(|step| matches!(step, "" | "." | "..")) {
            return Err(bad(start));
        }
        Ok(Token { revision: token["rv"].as_i64().unwrap_or(0), start })
    }
}

/// Where Go stops reading base64: at a letter that is none, or where one is left over.
fn first_wrong(text: &str) -> usize {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'\r' | b'\n');
    text.bytes().position(|byte| !is_letter(byte)).unwrap_or_else(|| text.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_moment_and_the_place() {
        let token = Token { revision: 838, start: "default/rich\0".into() };
        let text = token.to_text();
        assert_eq!(text, "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6ODM4LCJzdGFydCI6ImRlZmF1bHQvcmljaFx1MDAwMCJ9");
        let read = Token::parse(&text).unwrap();
        assert_eq!((read.revision, read.start), (838, "default/rich\0".to_string()));
        assert!(Token::parse("garbage").is_err());
    }
}
