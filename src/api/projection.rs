//! Reading only some fields of an object's JSON.
//!
//! In: JSON bytes, and which fields are wanted or not. Out: a tree of the wanted ones; the rest is
//! passed over without being built, which costs a tenth. For whoever looks at a few fields of
//! thousands of objects: tables, selectors.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Which fields are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// What is said of single fields. They are few: looking through them beats hashing every key.
    fields: Vec<(String, Projection)>,
    /// What holds for all others.
    others: Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Wanted,
    Skipped,
}

/// An object without the record of who owns its fields, which is a third of it and which only
/// writers read.
pub static CONTENT: LazyLock<Projection> = LazyLock::new(|| Projection::all_but(&["metadata.managedFields"]));

static ALL: Projection = Projection { fields: Vec::new(), others: Others::Wanted };

impl Projection {
    /// These fields with everything below them: `spec.containers.name`. A list has no step of its
    /// own: the path goes on in each element.
    pub fn only(paths: &[&str]) -> Projection {
        Projection::from(paths, Others::Skipped)
    }

    /// Everything but these fields.
    pub fn all_but(paths: &[&str]) -> Projection {
        Projection::from(paths, Others::Wanted)
    }

    fn from(paths: &[&str], others: Others) -> Projection {
        let mut whole = Projection { fields: Vec::new(), others };
        for path in paths {
            let leaf = path.split('.').fold(&mut whole, |node, field| node.field(field));
            leaf.others = if others == Others::Wanted { Others::Skipped } else { Others::Wanted };
        }
        whole
    }

    fn field(&mut self, name: &str) -> &mut Projection {
        let at = self.fields.iter().position(|(field, _)| field == name).unwrap_or_else(|| {
            self.fields.push((name.to_owned(), Projection { fields: Vec::new(), others: self.others }));
            self.fields.len() - 1
        });
        &mut self.fields[at].1
    }

    /// What holds below a field; `None` when nothing there is wanted.
    fn below(&self, field: &str) -> Option<&Projection> {
        let named = self.fields.iter().find(|(name, _)| name == field).map(|(_, below)| below);
        let below = match (named, self.others) {
            (Some(below), _) => below,
            (None, Others::Wanted) => &ALL,
            (None, Others::Skipped) => return None,
        };
        (!below.fields.is_empty() || below.others == Others::Wanted).then_some(below)
    }

    /// Reads the wanted fields.
    ///
    /// # Errors
    /// When the bytes are not JSON.
    pub fn read(&self, json: &[u8]) -> serde_json::Result<Value> {
        self.deserialize(&mut serde_json::Deserializer::from_slice(json))
    }
}

impl<'de> DeserializeSeed<'de> for &Projection {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.fields.is_empty() {
            return serde::Deserialize::deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Projection {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(wanted) = access.next_key_seed(Key(self))? {
            match wanted {
                Some((key, below)) => _ = map.insert(key, access.next_value_seed(below)?),
                None => _ = access.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = access.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Reads a key, and what holds below it if something there is wanted.
struct Key<'a>(&'a Projection);

impl<'a, 'de> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<(String, &'a Projection)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<(String, &'a Projection)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.below(key).map(|below| (key.to_owned(), below)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_there_and_nothing_else() {
        let object = json!({
            "kind": "Pod", "metadata": {"name": "a\n", "labels": {"x": "y"}, "managedFields": [{"f": {}}]},
            "spec": {"containers": [{"name": "c", "image": "i"}, {"image": "j"}, null], "nodeName": "n", "odd": 1.5},
            "status": {"phase": "Running", "list": [1, {"deep": [true]}]},
        });
        let bytes = object.to_string().into_bytes();
        let only = Projection::only(&["metadata.name", "spec.containers.name", "status", "spec.absent", "spec.odd.x"]);
        let expected = json!({
            "metadata": {"name": "a\n"}, "spec": {"containers": [{"name": "c"}, {}, null], "odd": 1.5},
            "status": {"phase": "Running", "list": [1, {"deep": [true]}]},
        });
        assert_eq!(only.read(&bytes).unwrap(), expected);
        assert!(only.read(b"{\"metadata\":").is_err());

        let but = Projection::all_but(&["metadata.managedFields", "spec.containers.image"]);
        let mut expected = object;
        expected["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        expected["spec"]["containers"] = json!([{"name": "c"}, {}, null]);
        assert_eq!(but.read(&bytes).unwrap(), expected);
    }
}
