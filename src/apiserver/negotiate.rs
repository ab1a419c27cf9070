//! Which form an answer takes: the `Accept` header against what can be made.
//!
//! In: the header. Out: a media type and a shape (the object itself, a Table, metadata alone), or
//! the 406 in Kubernetes' words. Kubernetes asks twice, with two different messages: its router
//! wants one of the route's media types, then its serializer wants one it can also transform.

use crate::api::decode::MediaType;
use crate::api::status::{Details, Reason, Status};

/// What is sent instead of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The object or list itself.
    Native,
    /// `meta.k8s.io` Table.
    Table,
    /// `PartialObjectMetadata`.
    Metadata,
    /// `PartialObjectMetadataList`.
    MetadataList,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How bytes are written.
    pub media: MediaType,
    /// What they say.
    pub shape: Shape,
    /// Version of `meta.k8s.io` for a shape: `v1` or `v1beta1`.
    pub meta_version: &'static str,
    /// Indented JSON.
    pub pretty: bool,
}

impl Accepted {
    /// Plain JSON, as errors are sent when nothing was agreed on.
    pub const JSON: Accepted =
        Accepted { media: MediaType::Json, shape: Shape::Native, meta_version: "v1", pretty: false };

    /// The `Content-Type` of an answer in this form.
    pub fn content_type(self) -> &'static str {
        content_type(self.media)
    }
}

/// The `Content-Type` of a media type.
pub fn content_type(media: MediaType) -> &'static str {
    match media {
        MediaType::Json => "application/json",
        MediaType::Yaml => "application/yaml",
        MediaType::Protobuf => "application/vnd.kubernetes.protobuf",
    }
}

/// What a route can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One object of a built-in kind.
    Object,
    /// A list or a watch of a built-in kind.
    List,
    /// A custom resource.
    Custom,
    /// A document that is no object of a kind: discovery.
    Document,
    /// The answer to a question, which no Table can show.
    Answer,
}

/// One clause of an `Accept` header.
pub struct Clause<'a> {
    /// `application/json`, `*/*`
    pub media: &'a str,
    quality: f32,
    /// What follows the media type, without the quality.
    pub params: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    /// Whether another object than the native one is wanted.
    fn is_of_another_kind(&self) -> bool {
        self.params.iter().any(|(key, _)| matches!(*key, "as" | "g" | "v"))
    }
}

/// The form of an error: as the client likes it, and never refused.
pub fn for_errors(header: Option<&str>, pretty: bool) -> Accepted {
    let header = header.unwrap_or("").trim();
    if header.is_empty() {
        return Accepted { pretty, ..Accepted::JSON };
    }
    let plain = clauses(header).into_iter().filter(|clause| !clause.is_of_another_kind());
    let chosen = plain.filter_map(|clause| choose(&clause, Route::Object, pretty)).next();
    chosen.unwrap_or(Accepted { pretty: true, ..Accepted::JSON })
}

/// Chooses the form of an answer.
///
/// # Errors
/// 406 when nothing that the client takes can be made.
pub fn negotiate(header: Option<&str>, route: Route, pretty: bool) -> Result<Accepted, Status> {
    let header = header.unwrap_or("").trim();
    if header.is_empty() {
        return Ok(Accepted { pretty, ..Accepted::JSON });
    }
    let clauses = clauses(header);
    if !matches!(route, Route::Custom | Route::Document) {
        let known = |media: &str| media == "*/*" || parse_media(media).is_some();
        if !clauses.iter().any(|clause| known(clause.media)) {
            return Err(not_routed(route));
        }
    }
    clauses.iter().find_map(|clause| choose(clause, route, pretty)).ok_or_else(|| {
        Status::new(Reason::NotAcceptable, format!("only the following media types are accepted: {ACCEPTED}"))
    })
}

/// The router's question alone: whether the client takes one of these media types at all.
///
/// # Errors
/// 406 when it takes none.
pub fn routed(header: Option<&str>, produced: &[&str]) -> Result<(), Status> {
    let header = header.unwrap_or("").trim();
    let takes = |clause: &Clause| clause.media == "*/*" || produced.contains(&clause.media);
    if header.is_empty() || clauses(header).iter().any(takes) {
        return Ok(());
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", produced.join(", "));
    Err(Status::new(Reason::NotAcceptable, message).details(Details::default()))
}

fn choose(clause: &Clause, route: Route, pretty: bool) -> Option<Accepted> {
    let media = match clause.media {
        "*" | "*/*" | "application/*" => MediaType::Json,
        other => parse_media(other)?,
    };
    if media == MediaType::Protobuf && route == Route::Custom && !clause.params.iter().any(|(key, _)| *key == "as") {
        return None;
    }
    let param = |name: &str| clause.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let pretty = match param("pretty") {
        Some(value) => value == "1",
        None => pretty,
    };
    let kind = match param("as") {
        Some(kind) => kind,
        None if clause.is_of_another_kind() => return None,
        None => return Some(Accepted { media, pretty, ..Accepted::JSON }),
    };
    if param("g") != Some("meta.k8s.io") || route == Route::Document {
        return None;
    }
    let meta_version = match param("v") {
        Some("v1") => "v1",
        Some("v1beta1") => "v1beta1",
        _ => return None,
    };
    let shape = match kind {
        "Table" => Shape::Table,
        "PartialObjectMetadata" => Shape::Metadata,
        "PartialObjectMetadataList" => Shape::MetadataList,
        _ => return None,
    };
    if shape == Shape::Table && (media == MediaType::Protobuf || route == Route::Answer) {
        return None;
    }
    Some(Accepted { media, shape, meta_version, pretty })
}

/// A media type by its name.
pub fn parse_media(text: &str) -> Option<MediaType> {
    [MediaType::Json, MediaType::Yaml, MediaType::Protobuf].into_iter().find(|media| text == content_type(*media))
}

/// By quality; equal ones as written.
pub fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause> = header
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let mut params: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = params.iter().find(|(key, _)| *key == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
            params.retain(|(key, _)| *key != "q");
            Clause { media, quality, params }
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

/// The forms of an answer.
const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

fn not_routed(route: Route) -> Status {
    let streams = if route == Route::List { format!(", {STREAMS}") } else { String::new() };
    Status::new(Reason::NotAcceptable, format!("406: Not Acceptable\n\nAvailable representations: {ACCEPTED}{streams}"))
        .details(Details::default())
}

/// Events have no form that the client takes.
pub fn no_stream() -> Status {
    Status::new(Reason::NotAcceptable, format!("only the following media types are accepted: {STREAMS}"))
}

/// The forms of a stream.
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The media type of a request's body; none given means JSON.
///
/// # Errors
/// 415 for one that is not read here.
pub fn body_media(header: Option<&str>, custom: bool) -> Result<MediaType, Status> {
    let text = header.unwrap_or("");
    let media = if text.is_empty() { Some(MediaType::Json) } else { media_type(text).and_then(|it| parse_media(&it)) };
    media.filter(|media| !custom || *media != MediaType::Protobuf).ok_or_else(|| {
        let list = if custom { "application/json, application/yaml" } else { ACCEPTED };
        Status::new(
            Reason::UnsupportedMediaType,
            format!("the body of the request was in an unknown format - accepted media types include: {list}"),
        )
    })
}

/// The media type of a header whose parameters are well formed. Source: Go, `mime.ParseMediaType`.
fn media_type(header: &str) -> Option<String> {
    let (media, mut rest) = header.split_at(header.find(';').unwrap_or(header.len()));
    let mut seen: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.trim() == ";" {
            return Some(media.trim().to_ascii_lowercase());
        }
        let (key, value, left) = parameter(rest)?;
        if seen.iter().any(|(other, is)| *other == key && *is != value) {
            return None;
        }
        seen.push((key, value));
        rest = left;
    }
}

/// `; key=value`, and what follows it.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (key, rest) = token(text.strip_prefix(';')?.trim_start())?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_text(quoted)?,
        None => token(rest).map(|(value, rest)| (value.to_string(), rest))?,
    };
    Some((key.to_ascii_lowercase(), value, rest))
}

/// A word of a header, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What stands before the closing quote, and what follows it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            '\r' | '\n' => return None,
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_of_its_media_type_if_the_parameters_are_well_formed() {
        for good in ["", "application/json", "Application/JSON; charset=utf-8;", "application/json; a = \"b; c\";d=e"] {
            assert_eq!(body_media(Some(good), false).ok(), Some(MediaType::Json), "{good}");
        }
        for bad in [
            ";",
            "application/json;x",
            "application/json;;",
            "application/json;x=",
            "application/json;x=\"y",
            "application/json;x=y;x=z",
            "application/json,text/plain",
        ] {
            assert_eq!(body_media(Some(bad), false).unwrap_err().code, 415, "{bad}");
        }
    }

    #[test]
    fn kubectl_gets_a_table_and_others_what_they_ask() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let table = [
            (kubectl, MediaType::Json, Shape::Table),
            ("text/html,application/json;q=0.9,*/*;q=0.1", MediaType::Json, Shape::Native),
            ("application/vnd.kubernetes.protobuf,application/json", MediaType::Protobuf, Shape::Native),
            ("application/json;as=Foo;g=x,application/yaml", MediaType::Yaml, Shape::Native),
            ("*/*", MediaType::Json, Shape::Native),
        ];
        for (header, media, shape) in table {
            let chosen = negotiate(Some(header), Route::List, false).unwrap();
            assert_eq!((chosen.media, chosen.shape), (media, shape), "{header}");
        }
        assert!(negotiate(Some("text/html"), Route::Object, false).unwrap_err().message.starts_with("406"));
        assert!(negotiate(Some("application/json;as=Nothing;g=meta.k8s.io;v=v1"), Route::Object, false).is_err());
        assert!(negotiate(Some("application/json;as=Table;g=meta.k8s.io;v=v1"), Route::Answer, false).is_err());
        assert!(negotiate(Some(kubectl), Route::Answer, false).is_ok());
    }
}
