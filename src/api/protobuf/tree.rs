//! An object on its way from JSON to protobuf: a tree that borrows its texts and looks fields up by going
//! through them.
//!
//! In: JSON bytes, or a JSON value. Out: [`Tree`]. It is built once, read once in another order, and dropped:
//! where `serde_json::Value` copies every text and hashes every key, this does neither, which is two thirds of
//! the time of a list of 10,000 Pods.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

/// A JSON value.
#[derive(Clone, Debug, Default)]
pub(super) enum Tree<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    /// In the order they came; no name twice.
    Map(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// What is not there.
static NULL: Tree<'static> = Tree::Null;

impl<'a> Tree<'a> {
    /// The same as a value that is held elsewhere.
    pub fn of(value: &'a Value) -> Tree<'a> {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(*value),
            Value::Number(number) => Tree::Number(number.clone()),
            Value::String(text) => Tree::Text(Cow::Borrowed(text)),
            Value::Array(items) => Tree::List(items.iter().map(Tree::of).collect()),
            Value::Object(map) => {
                Tree::Map(map.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Tree::of(value))).collect())
            }
        }
    }

    /// A field of an object; `Null` for one that is not there.
    pub fn get(&self, name: &str) -> &Tree<'a> {
        self.entries().iter().find(|(key, _)| key == name).map_or(&NULL, |(_, value)| value)
    }

    /// An object's fields; none for anything else.
    pub fn entries(&self) -> &[(Cow<'a, str>, Tree<'a>)] {
        if let Tree::Map(map) = self { map } else { &[] }
    }

    /// A list's elements; none for anything else.
    pub fn items(&self) -> &[Tree<'a>] {
        if let Tree::List(items) = self { items } else { &[] }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Tree::Null)
    }

    /// A text; empty for anything else.
    pub fn text(&self) -> &str {
        if let Tree::Text(text) = self { text } else { "" }
    }

    pub fn number(&self) -> Option<&Number> {
        if let Tree::Number(number) = self { Some(number) } else { None }
    }

    pub fn bool(&self) -> Option<bool> {
        if let Tree::Bool(value) = self { Some(*value) } else { None }
    }

    /// Itself as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Its keys are texts and its numbers finite, so nothing in it cannot be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Null => serializer.serialize_unit(),
            Tree::Bool(value) => serializer.serialize_bool(*value),
            Tree::Number(number) => number.serialize(serializer),
            Tree::Text(text) => serializer.serialize_str(text),
            Tree::List(items) => serializer.collect_seq(items),
            Tree::Map(map) => serializer.collect_map(map.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree<'de>, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'de>, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        Ok(Tree::Map(entries))
    }
}

/// A field's name, borrowed where it is written without escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_a_value_reads_and_writes_it_the_same_way() {
        for text in [
            r#"{"a":{"b":[1,-2,1.5,18446744073709551615,true,null,"x","ü\n\"",{}]},"e\"s":"c","z":""}"#,
            "[]",
            "\"text\"",
            "null",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            let tree: Tree = serde_json::from_str(text).unwrap();
            assert_eq!(String::from_utf8(tree.to_json()).unwrap(), value.to_string());
            assert_eq!(Tree::of(&value).to_json(), tree.to_json());
        }
        let tree: Tree = serde_json::from_str(r#"{"a":{"b":"c"}}"#).unwrap();
        assert_eq!((tree.get("a").get("b").text(), tree.get("a").get("x").is_null()), ("c", true));
        assert!(matches!(tree.get("a").get("b"), Tree::Text(Cow::Borrowed("c"))), "its texts are borrowed");
    }
}
