//! Kubernetes' own CEL functions: quantities, URLs, addresses, regular expressions, lists.
//!
//! Each is one row: a name and what it does with its receiver (or first argument) and the rest.
//! Source: `k8s.io/apiserver/pkg/cel/library`.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use cel::extractors::{Arguments, This};
use cel::objects::{Opaque, OptionalValue};
use cel::{Context, ExecutionError, FunctionContext, Value as Cel};
use regex::Regex;

use super::addresses;
use super::formats;
use super::map;
use super::pairs;
use super::semver::{self, Semver};
use super::text as texts;
use super::url::{self as urls, Url};
use crate::api::go_regex;
use crate::api::quantity::Quantity;

/// Values that CEL itself does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// `quantity('1Gi')`
    Quantity(Quantity),
    /// `url('https://a.io/x')`
    Url(Url),
    /// `ip('::1')`
    Ip(IpAddr),
    /// `cidr('10.0.0.0/8')`
    Cidr(IpAddr, u8),
    /// `semver('1.2.3')`
    Semver(Semver),
    /// `format.dns1123Label()`, by its place among the formats
    Format(usize),
}

impl Opaque for Own {
    fn runtime_type_name(&self) -> &str {
        match self {
            Own::Quantity(_) => "kubernetes.Quantity",
            Own::Url(_) => "kubernetes.URL",
            Own::Ip(_) => "net.IP",
            Own::Cidr(..) => "net.CIDR",
            Own::Semver(_) => "kubernetes.Semver",
            Own::Format(_) => "kubernetes.NamedFormat",
        }
    }
}

/// What a function gives, or its words about why it does not.
pub(super) type Answer = Result<Cel, String>;
type Function = fn(&Cel, &[Cel]) -> Answer;

const FUNCTIONS: &[(&str, Function)] = &[
    ("quantity", |this, _| Ok(wrap(Own::Quantity(quantity(text(this)?)?)))),
    ("isQuantity", |this, _| Ok(Cel::Bool(quantity(text(this)?).is_ok()))),
    ("isLessThan", |this, rest| Ok(Cel::Bool(order(this, one(rest)?)? == Ordering::Less))),
    ("isGreaterThan", |this, rest| Ok(Cel::Bool(order(this, one(rest)?)? == Ordering::Greater))),
    ("compareTo", |this, rest| Ok(Cel::Int(order(this, one(rest)?)? as i64))),
    ("add", |this, rest| Ok(wrap(Own::Quantity(as_quantity(this)?.plus(operand(one(rest)?)?))))),
    ("sub", |this, rest| Ok(wrap(Own::Quantity(as_quantity(this)?.minus(operand(one(rest)?)?))))),
    ("sign", |this, _| Ok(Cel::Int(as_quantity(this)?.signum().into()))),
    ("isInteger", |this, _| Ok(Cel::Bool(whole(as_quantity(this)?).is_some()))),
    ("asInteger", |this, _| {
        whole(as_quantity(this)?).map(Cel::Int).ok_or_else(|| "cannot convert value to integer".to_owned())
    }),
    ("asApproximateFloat", |this, _| Ok(Cel::Float(as_quantity(this)?.as_f64()))),
    ("url", |this, _| Ok(wrap(Own::Url(url(text(this)?)?)))),
    ("isURL", |this, _| Ok(Cel::Bool(url(text(this)?).is_ok()))),
    ("getScheme", |this, _| Ok(string(&as_url(this)?.scheme))),
    ("getHost", |this, _| Ok(string(&as_url(this)?.host))),
    ("getHostname", |this, _| Ok(string(as_url(this)?.host_name()))),
    ("getPort", |this, _| Ok(string(as_url(this)?.port()))),
    ("getEscapedPath", |this, _| Ok(string(&as_url(this)?.escaped_path()))),
    ("getQuery", |this, _| {
        let all = |values: Vec<String>| Cel::List(Arc::new(values.iter().map(|value| string(value)).collect()));
        Ok(map(as_url(this)?.parameters().into_iter().map(|(key, values)| (key, all(values)))))
    }),
    ("isIP", |this, _| Ok(Cel::Bool(address(text(this)?).is_ok()))),
    ("ip", |this, _| match this {
        Cel::String(_) => Ok(wrap(Own::Ip(address(text(this)?)?))),
        _ => Ok(wrap(Own::Ip(as_cidr(this)?.0))),
    }),
    ("ip.isCanonical", |this, _| Ok(Cel::Bool(address(text(this)?)?.to_string() == text(this)?))),
    ("family", |this, _| Ok(Cel::Int(if as_ip(this)?.is_ipv4() { 4 } else { 6 }))),
    ("isUnspecified", |this, _| Ok(Cel::Bool(as_ip(this)?.is_unspecified()))),
    ("isLoopback", |this, _| Ok(Cel::Bool(as_ip(this)?.is_loopback()))),
    ("isLinkLocalUnicast", |this, _| Ok(Cel::Bool(is_link_local(as_ip(this)?)))),
    ("isLinkLocalMulticast", |this, _| {
        Ok(Cel::Bool(match as_ip(this)? {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
        }))
    }),
    ("isGlobalUnicast", |this, _| {
        let ip = as_ip(this)?;
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        let other = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip) || broadcast;
        Ok(Cel::Bool(!other))
    }),
    ("isCIDR", |this, _| Ok(Cel::Bool(cidr(text(this)?).is_ok()))),
    ("cidr", |this, _| made_cidr(text(this)?).map(|(ip, bits)| wrap(Own::Cidr(ip, bits)))),
    ("containsIP", |this, rest| {
        let ip = match one(rest)? {
            // What is no address has no words of its own here.
            Cel::String(text) => address(text).map_err(|_| none())?,
            other => as_ip(other)?,
        };
        Ok(Cel::Bool(contains(as_cidr(this)?, ip)))
    }),
    ("containsCIDR", |this, rest| {
        let inner = match one(rest)? {
            Cel::String(text) => made_cidr(text)?,
            other => as_cidr(other)?,
        };
        let outer = as_cidr(this)?;
        Ok(Cel::Bool(inner.1 >= outer.1 && contains(outer, inner.0)))
    }),
    ("prefixLength", |this, _| Ok(Cel::Int(as_cidr(this)?.1.into()))),
    ("masked", |this, _| as_cidr(this).map(|(ip, bits)| wrap(Own::Cidr(masked(ip, bits), bits)))),
    ("find", |this, rest| {
        let pattern = pattern(one(rest)?)?;
        Ok(string(pattern.find(text(this)?).map_or("", |found| found.as_str())))
    }),
    ("findAll", |this, rest| {
        let pattern = pattern(one(rest)?)?;
        let most = match rest.get(1) {
            Some(Cel::Int(most)) if *most >= 0 => *most as usize,
            _ => usize::MAX,
        };
        let found = pattern.find_iter(text(this)?).take(most).map(|found| string(found.as_str()));
        Ok(Cel::List(Arc::new(found.collect())))
    }),
    ("@matches", |this, rest| {
        let whole = text(this)?;
        Ok(Cel::Bool(go_regex::compile(text(one(rest)?)?)?.is_match(whole)))
    }),
    ("@format", |this, rest| texts::format(text(this)?, list(one(rest)?)?)),
    ("@string", |this, _| texts::string(this)),
    ("@join", |this, rest| {
        let wrong = || format!("no such overload: join(list{})", if rest.is_empty() { "" } else { ", string" });
        let parts: Option<Vec<&str>> = list(this)?.iter().map(|part| text(part).ok()).collect();
        let between = rest.first().map_or(Ok(""), text)?;
        Ok(string(&parts.ok_or_else(wrong)?.join(between)))
    }),
    ("isSorted", |this, _| {
        Ok(Cel::Bool(list(this)?.is_sorted_by(|one, other| compare(one, other).is_none_or(Ordering::is_le))))
    }),
    ("sum", |this, _| sum(list(this)?)),
    ("first", |this, _| Ok(maybe(list(this)?.first()))),
    ("last", |this, _| Ok(maybe(list(this)?.last()))),
    ("indexOf", |this, rest| place(list(this)?, one(rest)?, false)),
    ("lastIndexOf", |this, rest| place(list(this)?, one(rest)?, true)),
    ("@indexOf", |this, rest| index(this, rest, false)),
    ("@lastIndexOf", |this, rest| index(this, rest, true)),
    ("sets.contains", |this, rest| Ok(Cel::Bool(covers(list(this)?, list(one(rest)?)?)))),
    ("sets.equivalent", |this, rest| {
        let (one, other) = (list(this)?, list(one(rest)?)?);
        Ok(Cel::Bool(covers(one, other) && covers(other, one)))
    }),
    ("sets.intersects", |this, rest| {
        let other = list(one(rest)?)?;
        Ok(Cel::Bool(list(this)?.iter().any(|item| other.contains(item))))
    }),
    ("isSemver", |this, rest| Ok(Cel::Bool(semver::read(text(this)?, is_lax(rest)).is_ok()))),
    ("semver", |this, rest| semver::read(text(this)?, is_lax(rest)).map(|version| wrap(Own::Semver(version)))),
    ("major", |this, _| Ok(Cel::Int(as_semver(this)?.numbers[0]))),
    ("minor", |this, _| Ok(Cel::Int(as_semver(this)?.numbers[1]))),
    ("patch", |this, _| Ok(Cel::Int(as_semver(this)?.numbers[2]))),
    ("format.named", |this, _| {
        let place = formats::place(text(this)?);
        Ok(maybe(place.map(|place| wrap(Own::Format(place))).as_ref()))
    }),
    ("validate", |this, rest| match own(this)? {
        Own::Format(place) => {
            let faults = formats::faults(*place, text(one(rest)?)?);
            let list = Cel::List(Arc::new(faults.iter().map(|fault| string(fault)).collect()));
            Ok(maybe(Some(&list).filter(|_| !faults.is_empty())))
        }
        _ => Err(none()),
    }),
    (pairs::PAIRS, |this, _| pairs::of(this)),
    (pairs::INSERT, pairs::insert),
    ("min", |this, rest| extreme(this, rest, Ordering::Less)),
    ("max", |this, rest| extreme(this, rest, Ordering::Greater)),
];

/// Makes the functions callable in `context`.
pub fn register(context: &mut Context<'_, '_>) {
    for (name, function) in FUNCTIONS {
        let call = move |call: &FunctionContext, This(this): This<Cel>, Arguments(args): Arguments| {
            // Without a receiver the first argument is what the function is about.
            let rest = if call.this.is_some() { &args[..] } else { args.get(1..).unwrap_or_default() };
            function(&this, rest).map_err(|words| ExecutionError::function_error(name, words))
        };
        // A name that CEL itself has keeps CEL's meaning.
        let _ = context.add_function(name, call);
    }
    for (place, name) in formats::names().enumerate() {
        let _ = context.add_function(&format!("format.{name}"), move || wrap(Own::Format(place)));
    }
}

fn wrap(own: Own) -> Cel {
    Cel::Opaque(Arc::new(own))
}

fn string(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

fn none() -> String {
    "no such overload".to_owned()
}

fn own(value: &Cel) -> Result<&Own, String> {
    match value {
        Cel::Opaque(opaque) => opaque.downcast_ref::<Own>().ok_or_else(none),
        _ => Err(none()),
    }
}

fn text(value: &Cel) -> Result<&str, String> {
    match value {
        Cel::String(text) => Ok(text),
        _ => Err(none()),
    }
}

fn list(value: &Cel) -> Result<&[Cel], String> {
    match value {
        Cel::List(items) => Ok(items),
        _ => Err(none()),
    }
}

/// The argument after the receiver.
fn one(rest: &[Cel]) -> Result<&Cel, String> {
    rest.first().ok_or_else(none)
}

fn quantity(text: &str) -> Result<Quantity, String> {
    Quantity::parse(text).map_err(|error| error.to_string())
}

fn as_quantity(value: &Cel) -> Result<Quantity, String> {
    match own(value)? {
        Own::Quantity(quantity) => Ok(*quantity),
        _ => Err(none()),
    }
}

fn operand(value: &Cel) -> Result<Quantity, String> {
    match value {
        Cel::Int(units) => quantity(&units.to_string()),
        other => as_quantity(other),
    }
}

/// Of two quantities, or of two versions.
fn order(this: &Cel, other: &Cel) -> Result<Ordering, String> {
    match own(this)? {
        Own::Semver(version) => Ok(version.cmp(as_semver(other)?)),
        _ => Ok(as_quantity(this)?.cmp(&as_quantity(other)?)),
    }
}

fn as_semver(value: &Cel) -> Result<&Semver, String> {
    match own(value)? {
        Own::Semver(version) => Ok(version),
        _ => Err(none()),
    }
}

/// Whether a version may be written with a `v`, without zeros, without all its parts.
fn is_lax(rest: &[Cel]) -> bool {
    matches!(rest.first(), Some(Cel::Bool(true)))
}

fn maybe(item: Option<&Cel>) -> Cel {
    Cel::Opaque(Arc::new(item.map_or_else(OptionalValue::none, |item| OptionalValue::of(item.clone()))))
}

/// Where an item stands in a list, or a text in a text, from or up to a place.
fn index(this: &Cel, rest: &[Cel], last: bool) -> Answer {
    let Cel::String(whole) = this else { return place(list(this)?, one(rest)?, last) };
    let (letters, wanted): (Vec<char>, Vec<char>) = (whole.chars().collect(), text(one(rest)?)?.chars().collect());
    let offset = match rest.get(1) {
        Some(Cel::Int(offset)) => Some(*offset),
        Some(_) => return Err(none()),
        None => None,
    };
    if let Some(offset) = offset.filter(|offset| *offset < 0) {
        return Err(format!("index out of range: {offset}"));
    }
    let most = letters.len();
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    // Beyond the end there is nothing but the end itself.
    if offset.is_some_and(|offset| offset >= most) {
        return Ok(Cel::Int(if wanted.is_empty() { most as i64 } else { -1 }));
    }
    let fits = |at: &usize| letters[*at..].starts_with(&wanted);
    let found = match last {
        false => (offset.unwrap_or(0)..=most).find(fits),
        true => (0..=offset.unwrap_or(most)).rev().find(fits),
    };
    Ok(Cel::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

/// Where an item stands in a list; -1: nowhere.
fn place(items: &[Cel], wanted: &Cel, last: bool) -> Answer {
    let mut places = items.iter();
    let at = if last { places.rposition(|item| item == wanted) } else { places.position(|item| item == wanted) };
    Ok(Cel::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

fn covers(items: &[Cel], wanted: &[Cel]) -> bool {
    wanted.iter().all(|item| items.contains(item))
}

fn url(text: &str) -> Result<Url, String> {
    urls::parse(text).map_err(|why| format!("URL parse error during conversion from string: {why}"))
}

fn as_url(value: &Cel) -> Result<&Url, String> {
    match own(value)? {
        Own::Url(url) => Ok(url),
        _ => Err(none()),
    }
}

fn pattern(value: &Cel) -> Result<Regex, String> {
    go_regex::compile(text(value)?).map_err(|why| format!("Illegal regex: {why}"))
}

/// A quantity that is a whole number which fits.
fn whole(quantity: Quantity) -> Option<i64> {
    let number = quantity.as_f64();
    let fits = number.fract() == 0.0 && number.abs() < 9.3e18;
    fits.then(|| quantity.value()).filter(|value| value.signum() == i64::from(quantity.signum()))
}

/// The order of two values; bytes have one too.
fn compare(one: &Cel, other: &Cel) -> Option<Ordering> {
    match (one, other) {
        (Cel::Bytes(one), Cel::Bytes(other)) => Some(one.cmp(other)),
        (one, other) => one.partial_cmp(other),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let wrong = |why| format!("IP Address {text:?} parse error during conversion from string: {why}");
    if text.contains('%') && addresses::parse(text.split('%').next().unwrap_or_default()).is_ok() {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    match addresses::parse(text).map_err(wrong)? {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        ip => Ok(ip),
    }
}

fn as_ip(value: &Cel) -> Result<IpAddr, String> {
    match own(value)? {
        Own::Ip(ip) => Ok(*ip),
        _ => Err(none()),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = |why: String| {
        format!("network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}")
    };
    let (ip, bits) = text.rsplit_once('/').ok_or_else(|| wrong("no '/'".to_owned()))?;
    if ip.contains('%') && addresses::parse(ip.split('%').next().unwrap_or_default()).is_ok() {
        return Err(wrong("IPv6 zones cannot be present in a prefix".to_owned()));
    }
    let ip = addresses::parse(ip).map_err(wrong)?;
    let plain = bits.bytes().all(|digit| digit.is_ascii_digit()) && (bits.len() == 1 || !bits.starts_with('0'));
    let length: u64 =
        bits.parse().ok().filter(|_| plain).ok_or_else(|| wrong(format!("bad bits after slash: {bits:?}")))?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    match (u8::try_from(length), ip) {
        (Ok(bits), _) if bits > most => Err(wrong("prefix length out of range".to_owned())),
        (Ok(_), IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        (Ok(bits), ip) => Ok((ip, bits)),
        (Err(_), _) => Err(wrong("prefix length out of range".to_owned())),
    }
}

/// As [`cidr`]; Kubernetes says twice, once for each layer, why it is none.
fn made_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    cidr(text).map_err(|why| format!("network address parse error during conversion from string: {why}"))
}

fn as_cidr(value: &Cel) -> Result<(IpAddr, u8), String> {
    match own(value)? {
        Own::Cidr(ip, bits) => Ok((*ip, *bits)),
        _ => Err(none()),
    }
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into()),
        IpAddr::V6(ip) => {
            IpAddr::V6((u128::from(ip) & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into())
        }
    }
}

fn contains((network, bits): (IpAddr, u8), ip: IpAddr) -> bool {
    network.is_ipv4() == ip.is_ipv4() && masked(network, bits) == masked(ip, bits)
}

fn sum(items: &[Cel]) -> Answer {
    items.iter().try_fold(Cel::Int(0), |sum, item| match (sum, item) {
        (Cel::Int(a), Cel::Int(b)) => a.checked_add(*b).map(Cel::Int).ok_or_else(|| "integer overflow".to_owned()),
        (Cel::Float(a), Cel::Float(b)) => Ok(Cel::Float(a + b)),
        (Cel::Int(0), other) => Ok(other.clone()),
        (sum, item) => (sum + item.clone()).map_err(|error| super::in_words(&error)),
    })
}

fn extreme(this: &Cel, rest: &[Cel], wanted: Ordering) -> Answer {
    let mut all: Vec<&Cel> = match this {
        Cel::List(items) => items.iter().collect(),
        single => vec![single],
    };
    all.extend(rest);
    let best = all.iter().copied().reduce(|best, item| if compare(item, best) == Some(wanted) { item } else { best });
    let name = if wanted == Ordering::Less { "min" } else { "max" };
    best.cloned().ok_or_else(|| format!("{name} called on empty list"))
}
