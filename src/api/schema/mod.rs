//! Schemas: what fields an object has, and what Kubernetes does with each of them.
//!
//! One [`Schema`] is one node: a struct, a list, a map or a scalar. Nodes of built-in kinds come from
//! `facts/schema.tsv`; nodes of custom resources from their CustomResourceDefinition
//! ([`Schema::from_openapi`]). Everything generic is driven by them: strict decoding, the Go round
//! trip, pruning, list-map merging, apply, strategic merge, protobuf, OpenAPI.
//! Schemas may be recursive (`JSONSchemaProps`), so a node points to another through a [`Link`].
//! Never here: anything about one kind.

mod builtin;
mod structural;

use serde_json::Value;
use std::sync::Arc;

/// A schema node, shared.
pub type SchemaRef = Arc<Schema>;

/// What JSON a node accepts, and the Go type behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any JSON at all (custom resources: `x-kubernetes-preserve-unknown-fields` without a type).
    Any,
    /// `bool`
    Boolean,
    /// `int32`
    Int32,
    /// `int64`; also `integer` of a custom resource.
    Int64,
    /// `float64`
    Number,
    /// `string`
    String,
    /// `[]byte`: base64 in JSON.
    Bytes,
    /// `metav1.Time`: RFC 3339, seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339, six decimals.
    MicroTime,
    /// `resource.Quantity`: a string or a number in JSON.
    Quantity,
    /// `intstr.IntOrString`
    IntOrString,
    /// `metav1.Duration`: text such as `1m0s`.
    Duration,
    /// `runtime.RawExtension`: an object of any kind, kept as sent.
    RawExtension,
    /// `metav1.FieldsV1`: the field set of `managedFields`.
    FieldsV1,
    /// `apiextensions.JSON`: any JSON, kept as sent.
    Json,
    /// `JSONSchemaPropsOrBool`; its schema is [`Schema::items`].
    SchemaOrBool,
    /// `JSONSchemaPropsOrArray`; its schema is [`Schema::items`].
    SchemaOrArray,
    /// `JSONSchemaPropsOrStringArray`; its schema is [`Schema::items`].
    SchemaOrStrings,
    /// A struct: [`Schema::fields`].
    Object,
    /// A map from strings to [`Schema::values`].
    Map,
    /// A list of [`Schema::items`].
    List,
}

/// `x-kubernetes-list-type`: how two writers' lists are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// As a whole; the default.
    #[default]
    Atomic,
    /// Elements are scalars, each once.
    Set,
    /// Elements are objects, told apart by these fields.
    Map(Arc<[Arc<str>]>),
}

/// How to reach another node.
#[derive(Clone, Debug)]
enum Link {
    /// A node of its own.
    Own(SchemaRef),
    /// A named definition of the built-in schemas, by its place among them.
    Definition(usize),
}

impl Link {
    fn get(&self) -> &Schema {
        match self {
            Link::Own(schema) => schema,
            Link::Definition(index) => &builtin::definitions()[*index],
        }
    }

    fn share(&self) -> SchemaRef {
        match self {
            Link::Own(schema) => schema.clone(),
            Link::Definition(index) => builtin::definitions()[*index].clone(),
        }
    }
}

/// One node of a schema.
#[derive(Clone, Debug)]
pub struct Schema {
    name: Option<Arc<str>>,
    kind: Type,
    fields: Arc<Fields>,
    items: Option<Link>,
    list_type: ListType,
    atomic_map: bool,
    wrapped: bool,
    preserve_unknown: bool,
    embedded: bool,
    nullable: bool,
    default: Option<Value>,
    kinds: Arc<str>,
    other: Arc<str>,
    source: Option<Arc<Value>>,
}

/// The fields of a struct in the order Go writes them, with an index by name.
#[derive(Clone, Debug, Default)]
struct Fields {
    list: Vec<Field>,
    by_name: Vec<u16>,
    by_wire: Vec<u16>,
}

impl Fields {
    fn new(list: Vec<Field>) -> Fields {
        let mut by_name: Vec<u16> = (0..list.len() as u16).collect();
        by_name.sort_by(|a, b| list[*a as usize].name.cmp(&list[*b as usize].name));
        let mut by_wire: Vec<u16> = (0..list.len() as u16).filter(|i| !list[*i as usize].wire.is_empty()).collect();
        by_wire.sort_by(|a, b| list[*a as usize].wire.cmp(&list[*b as usize].wire));
        Fields { list, by_name, by_wire }
    }

    fn get(&self, name: &str) -> Option<&Field> {
        let at = self.by_name.binary_search_by(|i| (*self.list[*i as usize].name).cmp(name)).ok()?;
        Some(&self.list[self.by_name[at] as usize])
    }
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: Arc<str>,
    /// OpenAPI's `required`.
    pub required: bool,
    /// Go: left out of JSON when it is the zero value (a struct is never left out by it).
    pub omitempty: bool,
    /// Go: left out of JSON when it is zero, structs too.
    pub omitzero: bool,
    /// Go: a pointer, so that unset and zero differ.
    pub pointer: bool,
    /// Defaults and rules tell a list that came empty from one that did not come.
    pub keeps_empty: bool,
    /// OpenAPI's `default`.
    pub default: Option<Value>,
    /// The values that are allowed; empty: any.
    pub values: Arc<[Arc<str>]>,
    /// Strategic merge patch: lists are merged by `patch_merge_key` instead of replaced.
    pub patch_merge: bool,
    /// Strategic merge patch: a patch may name the keys to keep (`$retainKeys`).
    pub patch_retain_keys: bool,
    /// Strategic merge patch: the whole object is replaced.
    pub patch_replace: bool,
    /// The key of a merged list of objects.
    pub patch_merge_key: Option<Arc<str>>,
    /// What OpenAPI says of how the field is owned, beyond what its type says: the extension and its value.
    pub owned: Option<(&'static str, &'static str)>,
    /// OpenAPI's `format` where the type does not imply it.
    pub format: Arc<str>,
    /// The Go type of the string, or of the strings in the list, where it is no plain `string`.
    pub go_type: Arc<str>,
    /// Protobuf field numbers from the message down: more than one where Go inlines a struct. Empty
    /// where protobuf does not carry the field (`kind` and `apiVersion`).
    pub wire: Arc<[u32]>,
    link: Link,
}

impl Field {
    /// The schema of the field's value.
    pub fn schema(&self) -> &Schema {
        self.link.get()
    }

    /// The schema of the field's value, shared.
    pub fn schema_ref(&self) -> SchemaRef {
        self.link.share()
    }
}

impl Schema {
    /// A built-in definition by its OpenAPI name: `io.k8s.api.core.v1.Pod`.
    pub fn builtin(name: &str) -> Option<SchemaRef> {
        builtin::by_name(name)
    }

    /// Every built-in definition, in the order of their names.
    pub fn definitions() -> &'static [SchemaRef] {
        builtin::definitions()
    }

    /// The built-in definition of a kind: `("apps", "v1", "Deployment")`. Kinds that every group has
    /// (`DeleteOptions`) are found in any group.
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<SchemaRef> {
        builtin::by_kind(group, version, kind)
    }

    /// The schema of a custom resource from its `openAPIV3Schema`; `metadata` becomes `ObjectMeta`.
    pub fn from_openapi(schema: &Value) -> Schema {
        structural::root(schema)
    }

    /// A node that accepts anything.
    pub fn any() -> Schema {
        Schema { preserve_unknown: true, ..Schema::leaf(Type::Any) }
    }

    fn leaf(kind: Type) -> Schema {
        Schema {
            name: None,
            kind,
            fields: Arc::default(),
            items: None,
            list_type: ListType::Atomic,
            atomic_map: false,
            wrapped: false,
            preserve_unknown: false,
            embedded: false,
            nullable: false,
            default: None,
            kinds: Arc::from(""),
            other: Arc::from(""),
            source: None,
        }
    }

    /// What JSON it accepts.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// The OpenAPI name of a named definition.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A struct's field by its JSON name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// A struct's fields in the order Go writes them.
    pub fn fields(&self) -> &[Field] {
        &self.fields.list
    }

    /// The order of a struct's fields by their protobuf numbers, as places in [`Schema::fields`].
    pub fn order_by_wire(&self) -> &[u16] {
        &self.fields.by_wire
    }

    /// The first field whose protobuf numbers start so: the field itself, or one of a struct that Go
    /// inlines there.
    pub fn field_on_wire(&self, start: &[u32]) -> Option<&Field> {
        let order = &self.fields.by_wire;
        let first = order.partition_point(|i| &*self.fields.list[*i as usize].wire < start);
        let field = &self.fields.list[*order.get(first)? as usize];
        field.wire.starts_with(start).then_some(field)
    }

    /// The schema of a list's elements.
    pub fn items(&self) -> Option<&Schema> {
        self.items.as_ref().map(Link::get)
    }

    /// The schema of a list's elements or of a map's values, shared.
    pub fn items_ref(&self) -> Option<SchemaRef> {
        self.items.as_ref().map(Link::share)
    }

    /// The schema of a map's values.
    pub fn values(&self) -> Option<&Schema> {
        self.items()
    }

    /// The schema of `key` inside this object or map.
    pub fn child(&self, key: &str) -> Option<&Schema> {
        match self.kind {
            Type::Map => self.values(),
            _ => self.field(key).map(Field::schema),
        }
    }

    /// How two writers' lists are joined.
    pub fn list_type(&self) -> &ListType {
        &self.list_type
    }

    /// Whether the object or map is owned and replaced as a whole.
    pub fn atomic_map(&self) -> bool {
        self.atomic_map
    }

    /// Protobuf: a list that is a message of its own (`ExtraValue`).
    pub fn wrapped(&self) -> bool {
        self.wrapped
    }

    /// Custom resources: fields that the schema does not name are kept.
    pub fn preserve_unknown(&self) -> bool {
        self.preserve_unknown
    }

    /// Custom resources: the value is a whole object with `kind`, `apiVersion` and `metadata`.
    pub fn embedded(&self) -> bool {
        self.embedded
    }

    /// Custom resources: `null` is a value.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Custom resources: the default of this node.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The kinds a definition stands for, as `group/version/kind` parted by spaces; `*`: every group has it.
    pub fn kinds(&self) -> &str {
        &self.kinds
    }

    /// Further OpenAPI extensions of a definition (unions), as JSON text; empty if none.
    pub fn extensions(&self) -> &str {
        &self.other
    }

    /// Custom resources: the `openAPIV3Schema` the root came from.
    pub fn source(&self) -> Option<&Value> {
        self.source.as_deref()
    }

    /// Whether the node is a scalar: no fields, elements or free JSON inside.
    pub fn is_scalar(&self) -> bool {
        !matches!(
            self.kind,
            Type::Any
                | Type::Object
                | Type::Map
                | Type::List
                | Type::RawExtension
                | Type::FieldsV1
                | Type::Json
                | Type::SchemaOrBool
                | Type::SchemaOrArray
                | Type::SchemaOrStrings
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_what_every_engine_needs() {
        let pod = Schema::builtin("io.k8s.api.core.v1.Pod").unwrap();
        let spec = pod.field("spec").unwrap().schema();
        let containers = spec.field("containers").unwrap();
        assert!(containers.patch_merge);
        assert_eq!(containers.patch_merge_key.as_deref(), Some("name"));
        assert_eq!(*containers.schema().list_type(), ListType::Map(Arc::from([Arc::from("name")])));
        let ports = containers.schema().items().unwrap().field("ports").unwrap();
        assert_eq!(
            *ports.schema().list_type(),
            ListType::Map(Arc::from([Arc::from("containerPort"), Arc::from("protocol")]))
        );
        assert!(spec.field("nodeSelector").unwrap().schema().atomic_map());
        assert!(pod.field("metadata").unwrap().schema().field("creationTimestamp").unwrap().omitzero);
        let volume = spec.field("volumes").unwrap().schema().items().unwrap();
        assert_eq!(&*volume.field("emptyDir").unwrap().wire, &[2, 2]);
        assert!(Schema::of_kind("apps", "v1", "DeleteOptions").is_some());
        assert!(pod.field("Spec").is_none());
    }
}
