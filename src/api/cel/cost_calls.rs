//! What a call of each function may cost, by the sizes of what it is given.
//!
//! Source: `k8s.io/apiserver/pkg/cel/library/cost.go`; cel-go, `checker/cost.go`, `ext/lists.go`, `ext/sets.go`.

use cel::common::ast::{Expr, LiteralValue};

use super::cost::{Asked, Coster, Part, Price, Range};
use super::types::Type;

/// What reading a text costs for each of its letters.
const READ: f64 = 0.1;
/// What a pattern costs for each of its letters.
const PATTERN: f64 = 0.25;
const ONE: Range = Range::exactly(1);

/// The price of a call without that of its arguments; `None`: it costs 1.
pub(super) fn price(asked: &Asked, coster: &Coster) -> Option<Price> {
    of_lists(asked).or_else(|| of_kubernetes(asked, coster)).or_else(|| of_cel(asked))
}

fn scaled(part: &Part, factor: f64) -> Price {
    Price::of(part.size().by(factor))
}

/// `lists` and `sets`.
fn of_lists(asked: &Asked) -> Option<Price> {
    let made = |factor: f64, size: Range| {
        Some(Price { cost: size.by(factor).plus(ONE).plus(Range::exactly(10)), size: Some(size) })
    };
    let squared = |part: &Part| part.size().times(part.size());
    match (asked.way, asked.target, asked.args) {
        ("list_slice", Some(list), [from, to]) => {
            let size = number(to, list.size().max).wrapping_sub(number(from, 0));
            made(1.0, Range::exactly(size))
        }
        ("lists_range", None, [to]) => made(1.0, Range::exactly(number(to, u64::MAX))),
        ("list_reverse", Some(list), []) => made(1.0, list.size()),
        ("list_flatten", Some(list), []) => made(1.0, list.size()),
        ("list_flatten_int", Some(list), [depth]) => made(number(depth, u64::MAX) as f64, list.size()),
        ("list_distinct", Some(list), []) => made(2.0, squared(list)),
        (way, Some(list), []) if way.ends_with("_sort") => made(sort_factor(way), squared(list)),
        (way, Some(_), [keys]) if way.ends_with("_sortBy") => made(sort_factor(way), squared(keys)),
        ("sets_contains" | "sets_intersects", None, [one, other]) => {
            Some(Price::of(one.size().times(other.size()).plus(ONE)))
        }
        ("sets_equivalent", None, [one, other]) => Some(Price::of(one.size().times(other.size()).by(2.0).plus(ONE))),
        _ => None,
    }
}

fn sort_factor(way: &str) -> f64 {
    if way.contains("string") || way.contains("bytes") { 2.0 + READ } else { 2.0 }
}

/// A number that is written down; a negative one counts as 0.
fn number(part: &Part, otherwise: u64) -> u64 {
    match &part.expr.expr {
        Expr::Literal(LiteralValue::Int(number)) => u64::try_from(*number.inner()).unwrap_or(0),
        _ => otherwise,
    }
}

/// Kubernetes' own functions, and those of texts and lists that it prices itself.
fn of_kubernetes(asked: &Asked, coster: &Coster) -> Option<Price> {
    let sized = |part: &Part, factor: f64| Price { cost: part.size().by(factor), size: Some(part.size()) };
    Some(match (asked.name, asked.target, asked.args) {
        ("check", ..) => Price::of(Range::exactly(350_000)),
        ("fieldSelector" | "labelSelector", _, [text]) => {
            let parts = text.size().by(0.5).by(50.0);
            Price::of(Range::exactly(10).plus(text.size().by(READ)).plus(parts))
        }
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", Some(list), _) => match coster.item_of(list) {
            Some((Type::Text | Type::Bytes, item)) => Price::of(list.size().times(ONE.plus(item.by(READ)))),
            Some(_) => Price::of(list.size()),
            None => scaled(list, READ),
        },
        ("url" | "jsonpatch.escapeKey", _, [text]) => sized(text, READ),
        ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(text), _) => sized(text, READ),
        ("replace", Some(text), [old, new, ..]) => {
            let size = replaced(text.size(), old.size(), new.size());
            Price { cost: text.size().by(2.0 * READ), size: Some(size) }
        }
        ("split", Some(text), args) => {
            let most = args.get(1).map(|most| &most.expr.expr);
            let max = match most {
                Some(Expr::Literal(LiteralValue::Int(most))) => *most.inner() as u64,
                _ => text.size().max,
            };
            Price { cost: text.size().by(2.0 * READ), size: Some(Range { min: 0, max }) }
        }
        ("join", Some(list), args) => {
            let mut size = coster.item_of(list).map_or(Range::exactly(0), |(_, item)| list.size().times(item));
            if let [between, ..] = args {
                let gaps = Range { min: list.size().min.saturating_sub(1), max: list.size().max.saturating_sub(1) };
                size = size.plus(between.size().times(gaps));
            }
            Price { cost: size.by(READ), size: Some(size) }
        }
        ("find" | "findAll", Some(text), [pattern, ..]) => {
            let cost = text.size().plus(ONE).by(READ).times(pattern.size().by(PATTERN));
            Price { cost, size: Some(Range { min: 0, max: text.size().max }) }
        }
        ("ip", ..) if asked.way == "cidr_ip" => Price::of(ONE),
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", _, [text, ..]) => {
            scaled(text, READ)
        }
        ("ip.isCanonical", _, [text]) => scaled(text, 2.0 * READ),
        ("containsIP", _, [other]) => {
            let text = if asked.way == "cidr_contains_ip_string" { other.size().by(READ) } else { Range::exactly(0) };
            Price::of(bytes_twice().plus(text))
        }
        ("containsCIDR", _, [other]) => {
            let text = if asked.way == "cidr_contains_cidr_string" { other.size().by(READ) } else { Range::exactly(0) };
            Price::of(bytes_twice().plus(Range { min: 4, max: 16 }.by(READ)).plus(ONE).plus(text))
        }
        ("validate", _, [text]) => Price::of(text.size().by(READ).by(128.0 * PATTERN)),
        ("_==_", _, [one, other]) if one.kind == other.kind => return of_equal(one, other),
        _ => return None,
    })
}

/// Two addresses, byte by byte.
fn bytes_twice() -> Range {
    Range { min: 8, max: 32 }.by(READ)
}

fn of_equal(one: &Part, other: &Part) -> Option<Price> {
    let name = match &one.kind {
        Type::Opaque(name, _) => name,
        Type::Struct(of) => &of.name,
        _ => return None,
    };
    let cost = match &**name {
        "net.IP" | "net.CIDR" | "kubernetes.Quantity" | "kubernetes.Semver" => ONE,
        name if name.starts_with("kubernetes.authorization.") => ONE,
        "kubernetes.NamedFormat" => Range { min: 1, max: 64 }.by(READ),
        "kubernetes.URL" => Range { min: 1, max: other.size.map_or(1, |size| size.max) }.by(READ),
        _ => return None,
    };
    Some(Price::of(cost))
}

/// How long a text may be after a replacement.
fn replaced(text: Range, old: Range, new: Range) -> Range {
    let (mut count, mut kept) = (Range::exactly(0), Range::exactly(0));
    if old.min == 0 {
        (count.max, kept.max) = (text.max.saturating_add(1), text.max);
    } else if new.max <= old.min {
        kept.max = text.max;
    } else {
        count.max = (text.max as f64 / old.min as f64).ceil() as u64;
    }
    if old.max == 0 {
        (count.min, kept.min) = (text.min.saturating_add(1), text.min);
    } else if old.max <= new.min {
        kept.min = text.min;
    } else {
        count.min = (text.min as f64 / old.max as f64).ceil() as u64;
    }
    count.times(new).plus(kept)
}

/// CEL's own functions.
fn of_cel(asked: &Asked) -> Option<Price> {
    let searched =
        |text: &Part, pattern: &Part| Price::of(text.size().plus(ONE).by(READ).times(pattern.size().by(PATTERN)));
    Some(match (asked.way, asked.target, asked.args) {
        ("string_format", Some(text), _) => scaled(text, READ),
        ("string_to_bytes", _, [text]) => {
            let size = Range { min: text.size().min, max: text.size().max.wrapping_mul(4) };
            Price { cost: text.size().by(READ), size: Some(size) }
        }
        ("bytes_to_string", _, [bytes]) => {
            let size = Range { min: bytes.size().min / 4, max: bytes.size().max };
            Price { cost: bytes.size().by(READ), size: Some(size) }
        }
        ("strings_quote", _, [text]) => {
            let size =
                Range { min: text.size().min.wrapping_add(2), max: text.size().max.wrapping_mul(2).wrapping_add(2) };
            Price { cost: text.size().by(READ), size: Some(size) }
        }
        ("starts_with_string" | "ends_with_string", _, [part]) => scaled(part, READ),
        ("in_list", _, [_, list]) => Price::of(list.size()),
        ("matches_string", Some(text), [pattern]) => searched(text, pattern),
        ("matches", None, [text, pattern]) => searched(text, pattern),
        ("contains_string", Some(text), [part]) => Price::of(text.size().by(READ).times(part.size().by(READ))),
        (way, None, [one, other]) if compares(way) => {
            let most = one.size().max.min(other.size().max);
            Price::of(Range { min: most.min(1), max: most }.by(READ))
        }
        _ => return None,
    })
}

/// Whether a comparison walks through both sides.
fn compares(way: &str) -> bool {
    let ordered = ["less_", "less_equals_", "greater_", "greater_equals_"].iter().any(|verb| way.starts_with(verb));
    matches!(way, "equals" | "not_equals") || ordered && (way.ends_with("string") || way.ends_with("bytes"))
}

#[cfg(test)]
mod tests {
    use crate::api::cel::check::{Declared, Known, Scope, Type, check};

    fn cost(text: &str) -> u64 {
        let letters = |most| Declared::sized(Type::Text, most);
        let fields = [
            ("l", Declared::list(letters(120), 2000)),
            ("n", Declared::list(Declared::plain(Type::Int), 3000)),
            ("m", Declared::map(letters(80), 2000)),
            ("s", letters(400)),
        ];
        let known = Known(fields.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect());
        check(text, &Scope::of(&[("self", Declared::object("selfType", known))])).unwrap().cost
    }

    #[test]
    fn estimates_are_those_of_cel_go() {
        // The numbers are the factors that the official server tells, times its limit.
        for (text, tenths) in [
            ("self.l.all(x, self.l.all(y, x == y))", 68),
            ("self.l.all(x, self.l.exists(y, x.startsWith(y)))", 72),
            ("self.l.all(x, self.l.exists(y, x.charAt(0) == y))", 76),
            ("self.l.all(x, self.l.exists(y, size(x) == size(y)))", 36),
            ("self.l.all(x, self.l.exists(y, x in [y, 'a']))", 72),
            ("self.l.all(x, self.l.exists(y, x in self.m))", 32),
            ("self.l.all(x, self.l.exists(y, self.m[x] == y))", 68),
            ("self.l.all(x, self.l.isSorted())", 52),
            ("self.l.all(x, self.l.join('-') == x)", 48),
            ("self.n.all(x, self.n.all(y, x == y))", 45),
            ("self.n.all(x, self.n.all(y, x + y == 3))", 63),
            ("self.n.all(x, self.n.all(y, x > y ? x == 1 : y == 2))", 63),
            ("self.n.all(x, self.n.exists_one(y, x == y))", 36),
            ("self.n.all(x, sets.intersects(self.n, [1, 2]))", 18),
            ("self.n.all(i, x, self.n.all(j, y, i + j == x + y))", 90),
            ("self.n.all(x, self.n.transformMap(i, v, i + v).size() == 1)", 54),
            ("self.m.all(k, self.m.all(j, k == j))", 20),
            ("self.m.all(k, self.m.all(j, self.m[k] == self.m[j]))", 76),
        ] {
            let found = cost(text);
            assert_eq!((found as f64 / 1e6).round() as u64, tenths, "{text}: {found}");
        }
    }
}
