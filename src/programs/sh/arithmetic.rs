//! `$((…))`: whole numbers, C's operators. Pure but for the variables it reads.

/// Operators that join two values, loosest first.
const LEVELS: [&[&str]; 9] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];
const MOST_DEPTH: usize = 64;

/// The value of an expression.
///
/// # Errors
/// What is wrong with it.
pub fn evaluate(text: &str, variable: &dyn Fn(&str) -> String) -> Result<i64, String> {
    let mut reader = Reader { rest: text, variable, depth: 0 };
    let value = reader.choice()?;
    match reader.rest.trim() {
        "" => Ok(value),
        rest => Err(format!("arithmetic syntax error near \"{rest}\"")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    variable: &'a dyn Fn(&str) -> String,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, what: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(what);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn choice(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("arithmetic expression too deep".to_owned());
        }
        let condition = self.level(0)?;
        let mut value = condition;
        if self.take("?") {
            let yes = self.choice()?;
            if !self.take(":") {
                return Err("arithmetic syntax error: `:` is missing".to_owned());
            }
            let no = self.choice()?;
            value = if condition != 0 { yes } else { no };
        }
        self.depth -= 1;
        Ok(value)
    }

    fn level(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.single() };
        let mut left = self.level(level + 1)?;
        loop {
            let rest = self.rest.trim_start();
            let longer = |operator: &str| match operator {
                "|" | "&" => rest.starts_with("||") || rest.starts_with("&&"),
                "<" | ">" => rest.starts_with("<<") || rest.starts_with(">>"),
                _ => false,
            };
            let next = operators.iter().find(|operator| rest.starts_with(**operator) && !longer(operator));
            let Some(operator) = next else { return Ok(left) };
            self.take(operator);
            left = apply(operator, left, self.level(level + 1)?)?;
        }
    }

    fn single(&mut self) -> Result<i64, String> {
        if self.take("(") {
            let value = self.choice()?;
            return if self.take(")") { Ok(value) } else { Err("arithmetic syntax error: `)` is missing".to_owned()) };
        }
        type Sign = (&'static str, fn(i64) -> i64);
        let signs: [Sign; 4] = [
            ("-", i64::wrapping_neg),
            ("+", |value| value),
            ("!", |value| i64::from(value == 0)),
            ("~", |value| !value),
        ];
        for (sign, apply) in signs {
            if self.take(sign) {
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return Err("arithmetic expression too deep".to_owned());
                }
                let value = self.single()?;
                self.depth -= 1;
                return Ok(apply(value));
            }
        }
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        let given = (self.variable)(word);
        let text = match word.chars().next() {
            None => return Err(format!("arithmetic syntax error near \"{}\"", rest.trim_end())),
            Some(c) if c.is_ascii_digit() => word,
            Some(_) if given.trim().is_empty() => "0",
            Some(_) => given.trim(),
        };
        let number = match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        number.map_err(|_| format!("bad number \"{text}\""))
    }
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    let truth = |value: bool| Ok(i64::from(value));
    match operator {
        "||" => truth(left != 0 || right != 0),
        "&&" => truth(left != 0 && right != 0),
        "|" => Ok(left | right),
        "^" => Ok(left ^ right),
        "==" => truth(left == right),
        "!=" => truth(left != right),
        "<=" => truth(left <= right),
        ">=" => truth(left >= right),
        "<" => truth(left < right),
        ">" => truth(left > right),
        "<<" => Ok(left.wrapping_shl(right as u32)),
        ">>" => Ok(left.wrapping_shr(right as u32)),
        "+" => Ok(left.wrapping_add(right)),
        "-" => Ok(left.wrapping_sub(right)),
        "*" => Ok(left.wrapping_mul(right)),
        "/" => left.checked_div(right).ok_or_else(|| "division by zero".to_owned()),
        _ => left.checked_rem(right).ok_or_else(|| "division by zero".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_their_values() {
        let variable = |name: &str| if name == "n" { "7".to_owned() } else { String::new() };
        for (text, value) in [
            ("1 + 2 * 3", 7),
            ("(1+2)*3", 9),
            ("n % 4 == 3 && !0", 1),
            ("n > 3 ? n : 0", 7),
            ("-n - -1", -6),
            ("1 << 4 | 1", 17),
            ("missing", 0),
            ("0x10", 16),
        ] {
            assert_eq!(evaluate(text, &variable), Ok(value), "{text}");
        }
        for text in ["1 +", "1 / 0", "(1", "1 2", "08x", &"(".repeat(1000), &"-".repeat(1000)] {
            assert!(evaluate(text, &variable).is_err(), "{text}");
        }
    }
}
