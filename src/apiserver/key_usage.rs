//! What a certificate's key may do, in Kubernetes' names and in X.509's.
//!
//! Source: certificates/v1 KeyUsage; pkg/controller/certificates/authority/policies.go. Pure.

use rcgen::{ExtendedKeyUsagePurpose as Extended, KeyUsagePurpose as Usage};

/// Key usages (RFC 5280 section 4.2.1.3).
const USAGES: &[(&str, Usage)] = &[
    ("signing", Usage::DigitalSignature),
    ("digital signature", Usage::DigitalSignature),
    ("content commitment", Usage::ContentCommitment),
    ("key encipherment", Usage::KeyEncipherment),
    ("key agreement", Usage::KeyAgreement),
    ("data encipherment", Usage::DataEncipherment),
    ("cert sign", Usage::KeyCertSign),
    ("crl sign", Usage::CrlSign),
    ("encipher only", Usage::EncipherOnly),
    ("decipher only", Usage::DecipherOnly),
];

/// Extended key usages (section 4.2.1.12).
const EXTENDED: &[(&str, Extended)] = &[
    ("any", Extended::Any),
    ("server auth", Extended::ServerAuth),
    ("client auth", Extended::ClientAuth),
    ("code signing", Extended::CodeSigning),
    ("email protection", Extended::EmailProtection),
    ("s/mime", Extended::EmailProtection),
    ("timestamping", Extended::TimeStamping),
    ("ocsp signing", Extended::OcspSigning),
];

/// Extended key usages that are known by their number alone.
const NUMBERED: &[(&str, &[u64])] = &[
    ("ipsec end system", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("microsoft sgc", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscape sgc", &[2, 16, 840, 1, 113_730, 4, 1]),
];

/// Both kinds of usage for Kubernetes' names.
///
/// # Errors
/// The names that mean nothing.
pub fn of(names: &[String]) -> Result<(Vec<Usage>, Vec<Extended>), String> {
    let (mut usages, mut extended, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let plain = USAGES.iter().find(|(known, _)| known == name).map(|(_, usage)| *usage);
        let named = EXTENDED.iter().find(|(known, _)| known == name).map(|(_, usage)| usage.clone());
        let numbered = || NUMBERED.iter().find(|(known, _)| known == name).map(|(_, id)| Extended::Other(id.to_vec()));
        match (plain, named.or_else(numbered)) {
            (Some(usage), _) if !usages.contains(&usage) => usages.push(usage),
            (None, Some(usage)) if !extended.contains(&usage) => extended.push(usage),
            (None, None) => unknown.push(format!("{name:?}")),
            _ => {}
        }
    }
    if unknown.is_empty() {
        Ok((usages, extended))
    } else {
        Err(format!("unrecognized usage values: [{}]", unknown.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_usages_and_unknown_ones_are_named() {
        let of = |names: &[&str]| of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let (usages, extended) = of(&["digital signature", "signing", "client auth"]).unwrap();
        assert_eq!((usages, extended), (vec![Usage::DigitalSignature], vec![Extended::ClientAuth]));
        assert_eq!(of(&["client auth", "levitation"]).unwrap_err(), "unrecognized usage values: [\"levitation\"]");
    }
}
