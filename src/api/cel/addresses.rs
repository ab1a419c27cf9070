//! IP addresses as Go's `net/netip` reads them, and its words for what is none.
//!
//! In: a text. Out: the address, or `ParseAddr("1.2.3"): IPv4 address too short`. Zones are not read here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads an address.
pub(super) fn parse(text: &str) -> Result<IpAddr, String> {
    let told = |(why, at): Fault| match at {
        "" => format!("ParseAddr({text:?}): {why}"),
        at => format!("ParseAddr({text:?}): {why} (at {at:?})"),
    };
    match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => four(text).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))).map_err(told),
        Some(b':') => six(text).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))).map_err(told),
        Some(_) => Err(told(("missing IPv6 address", ""))),
        None => Err(told(("unable to parse IP", ""))),
    }
}

/// What is wrong, and what is left of the text there.
type Fault<'a> = (&'static str, &'a str);

fn four(text: &str) -> Result<[u8; 4], Fault<'_>> {
    let mut fields = [0; 4];
    let (mut value, mut place, mut digits) = (0_u32, 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '0'..='9' => {
                if digits == 1 && value == 0 {
                    return Err(("IPv4 field has octet with leading zero", ""));
                }
                value = value * 10 + u32::from(letter) - u32::from('0');
                digits += 1;
                if value > 255 {
                    return Err(("IPv4 field has value >255", ""));
                }
            }
            '.' if at == 0 || at + 1 == text.len() || text.as_bytes()[at - 1] == b'.' => {
                return Err(("IPv4 field must have at least one digit", &text[at..]));
            }
            '.' if place == 3 => return Err(("IPv4 address too long", "")),
            '.' => {
                fields[place] = value as u8;
                (value, digits, place) = (0, 0, place + 1);
            }
            _ => return Err(("unexpected character", &text[at..])),
        }
    }
    if place < 3 {
        return Err(("IPv4 address too short", ""));
    }
    fields[3] = value as u8;
    Ok(fields)
}

fn six(text: &str) -> Result<[u8; 16], Fault<'_>> {
    let (mut rest, mut gap, mut bytes) = (text, None, Vec::new());
    if let Some(after) = rest.strip_prefix("::") {
        (rest, gap) = (after, Some(0));
    }
    while bytes.len() < 16 && !(rest.is_empty() && gap == Some(bytes.len())) {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        match digits {
            0 => return Err(("each colon-separated field must have at least one digit", rest)),
            1..=4 => {}
            _ => return Err(("each group must have 4 or less digits", rest)),
        }
        if rest[digits..].starts_with('.') {
            if gap.is_none() && bytes.len() != 12 {
                return Err(("embedded IPv4 address must replace the final 2 fields of the address", rest));
            }
            if bytes.len() > 12 {
                return Err(("too many hex fields to fit an embedded IPv4 at the end of the address", rest));
            }
            bytes.extend(four(rest)?);
            rest = "";
            break;
        }
        let field = u16::from_str_radix(&rest[..digits], 16).unwrap_or_default();
        bytes.extend(field.to_be_bytes());
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else { return Err(("unexpected character, want colon", rest)) };
        if after.is_empty() {
            return Err(("colon must be followed by more characters", rest));
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if gap.is_some() {
                return Err(("multiple :: in address", rest));
            }
            (rest, gap) = (after, Some(bytes.len()));
        }
    }
    if !rest.is_empty() {
        return Err(("trailing garbage after address", rest));
    }
    match (gap, 16 - bytes.len()) {
        (None, 0) => {}
        (None, _) => return Err(("address string too short", "")),
        (Some(_), 0) => return Err(("the :: must expand to at least one field of zeros", "")),
        (Some(at), missing) => drop(bytes.splice(at..at, std::iter::repeat_n(0, missing))),
    }
    bytes.try_into().map_err(|_| ("address string too short", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        for text in
            ["1.2.3.4", "::", "::1", "fe80::1:2", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::", "64:ff9b::1.2.3.4"]
        {
            assert_eq!(parse(text).ok(), text.parse().ok(), "{text}");
        }
        for (text, words) in [
            ("x", "unable to parse IP"),
            ("1.2.3", "IPv4 address too short"),
            ("1.2.3.4.5", "IPv4 address too long"),
            ("1..3.4", "IPv4 field must have at least one digit (at \".3.4\")"),
            ("01.2.3.4", "IPv4 field has octet with leading zero"),
            ("300.1.1.1", "IPv4 field has value >255"),
            ("10.0.0.0/8", "unexpected character (at \"/8\")"),
            ("::g", "each colon-separated field must have at least one digit (at \"g\")"),
            ("1:2", "address string too short"),
            ("12345::", "each group must have 4 or less digits (at \"12345::\")"),
        ] {
            assert_eq!(parse(text), Err(format!("ParseAddr({text:?}): {words}")), "{text}");
        }
    }
}
