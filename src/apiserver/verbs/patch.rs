//! `PATCH`: JSON patch, merge patch and strategic merge patch over the object that is.
//!
//! Server-side apply has a file of its own. A patch that loses a race is made again on the newer
//! object; one that carries a `resourceVersion` is told of the conflict.

use serde_json::Value;
use warp::reply::Response;

use super::create::place;
use super::update;
use crate::api::custom::coerce::coerce;
use crate::api::decode::{self, FieldValidation, Target};
use crate::api::go_words;
use crate::api::meta;
use crate::api::patch::{json, merge, strategic, unprocessable, unstructured};
use crate::api::resource::api_version;
use crate::api::status::{Details, Reason, Status};
use crate::apiserver::engine::{Call, bad_request};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::options::{PATCH, WriteOptions};
use crate::apiserver::respond;

/// The forms of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

/// A patch as it was sent.
pub struct Patch {
    kind: Kind,
    body: Value,
    /// What strict readers refuse in it.
    problems: Vec<String>,
}

impl Patch {
    /// Reads the request's patch.
    ///
    /// # Errors
    /// 400 for what is no JSON, 415 for a form that there is not.
    pub fn of(call: &Call) -> Result<Patch, Status> {
        let kind = kind(call)?;
        let (body, mut problems) = decode::plain(&call.body).map_err(|_| bad_request("invalid JSON patch"))?;
        if kind == Kind::Json {
            problems.extend(json::unknown_fields(&body));
            problems.iter_mut().for_each(|problem| problem.insert_str(0, "json patch "));
        }
        Ok(Patch { kind, body, problems })
    }

    /// What it makes of `old`, which is still `target`'s kind, with the name of the URL.
    ///
    /// # Errors
    /// 400, 422 as Kubernetes says them.
    pub fn applied(
        &self,
        call: &Call,
        old: &Value,
        target: &Target,
        validation: FieldValidation,
    ) -> Result<Value, Status> {
        let mut new = old.clone();
        match self.kind {
            Kind::Json => json::apply(&mut new, &self.body)?,
            Kind::Merge => merge::apply(&mut new, &self.body)?,
            Kind::Strategic => strategic::apply(&mut new, &self.body, target.schema)?,
        }
        let new = self.read(call, new, old, target, validation)?;
        let (own, url) = (meta::name(&new), &call.info.name);
        match own {
            _ if own == meta::name(old) => Ok(new),
            "" => Err(bad_request(format!(
                "the name of the object ({url} based on URL) was undeterminable: name must be provided"
            ))),
            own => {
                Err(bad_request(format!("the name of the object ({own}) does not match the name on the URL ({url})")))
            }
        }
    }

    /// The patched object as Go writes it: objects that the patch went through have their keys sorted.
    fn sorted(&self, new: &Value) -> Value {
        let mut new = new.clone();
        match (self.kind, &self.body) {
            (Kind::Json, Value::Array(operations)) => {
                for path in visited(operations) {
                    sort_on_the_way(&mut new, &path);
                }
            }
            (_, body) => sort_where_changed(&mut new, body),
        }
        new
    }

    /// A patch that leaves a field of the wrong type, or, where that is asked for, an unknown one, is itself what is
    /// invalid. Of it is shown what it says, or, of those that end in JSON, what it made of the object.
    fn refuse(&self, new: &Value, old: &Value, custom: bool, why: String) -> Status {
        let shown = match self.kind {
            Kind::Strategic => go_words::printed(&strategic::carried_out(&self.body, old)),
            Kind::Json | Kind::Merge if custom => {
                let mut new = new.clone();
                new.sort_all_objects();
                new.to_string()
            }
            Kind::Json | Kind::Merge => self.sorted(new).to_string(),
        };
        FieldError::status("", "", "", &[FieldError::invalid("patch", shown, why)])
    }

    /// The result as the kind.
    fn read(
        &self,
        call: &Call,
        mut new: Value,
        old: &Value,
        target: &Target,
        validation: FieldValidation,
    ) -> Result<Value, Status> {
        let (mut value, own) = if target.custom {
            custom(call, &new).map_err(|fault| match fault {
                Fault::Patch(why) => self.refuse(&new, old, true, why),
                Fault::Object(status) => status,
            })?
        } else {
            match self.kind {
                Kind::Strategic => unstructured::convert(&mut new, target.schema)
                    .map_err(|why| self.refuse(&Value::Null, old, false, why))?,
                _ if !new.is_object() => return Err(unprocessable()),
                // What is unknown is told in the order in which the patch leaves it.
                _ => new = self.sorted(&new),
            }
            let read = match self.kind {
                Kind::Strategic => Ok(()),
                Kind::Json | Kind::Merge => decode::retyped(&new, target),
            };
            read.and_then(|()| decode::check(&new, target.schema)).map_err(|why| self.refuse(&new, old, false, why))?
        };
        let problems: Vec<String> = self.problems.iter().cloned().chain(own).collect();
        match validation {
            FieldValidation::Strict if !problems.is_empty() => {
                let why = format!("strict decoding error: {}", problems.join(", "));
                return Err(self.refuse(&new, old, target.custom, why));
            }
            FieldValidation::Warn => call.warn(problems),
            _ => {}
        }
        if !target.custom {
            meta::set(&mut value, &["kind"], target.kind.into());
            meta::set(&mut value, &["apiVersion"], api_version(target.group, target.version).into());
        }
        Ok(value)
    }
}

/// Where a JSON patch went, a copy of where it had been included.
fn visited(operations: &[Value]) -> Vec<String> {
    let mut visited: Vec<String> = Vec::new();
    for operation in operations {
        let text = |field: &str| operation[field].as_str();
        let (path, from) = (text("path"), text("from"));
        visited.extend(from.into_iter().chain(path).map(str::to_string));
        if let (Some(path), Some(from)) = (path, from) {
            let copied: Vec<String> =
                visited.iter().filter_map(|one| one.strip_prefix(from)).map(|rest| format!("{path}{rest}")).collect();
            visited.extend(copied);
        }
    }
    visited
}

fn sort_on_the_way(value: &mut Value, path: &str) {
    let mut here = value;
    for step in path.split('/').skip(1) {
        sort(here);
        let step = step.replace("~1", "/").replace("~0", "~");
        here = match here {
            Value::Array(list) => match step.parse().ok().and_then(|at: usize| list.get_mut(at)) {
                Some(next) => next,
                None => return,
            },
            other => match other.get_mut(&step) {
                Some(next) => next,
                None => return,
            },
        };
    }
}

fn sort_where_changed(value: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else { return };
    sort(value);
    for (key, change) in changes {
        if let Some(inner) = value.get_mut(key) {
            sort_where_changed(inner, change);
        }
    }
}

fn sort(value: &mut Value) {
    if let Value::Object(map) = value {
        map.sort_keys();
    }
}

/// Patches the object.
///
/// # Errors
/// 400, 404, 409, 415, 422 as Kubernetes says them.
pub async fn patch(call: &Call) -> Result<Response, Status> {
    kind(call)?;
    let options = WriteOptions::parse(&call.query, PATCH)?;
    let patch = Patch::of(call)?;
    let target = Target::resource(&call.resource);
    let (object, _) = update::write(call, &options, "patch", |old| {
        let mut new = patch.applied(call, old, &target, options.validation)?;
        place(call, &mut new)?;
        if meta::resource_version(&new) == meta::resource_version(old) {
            // The patch named no revision: it goes on top of whatever is there.
            meta::remove(&mut new, &["metadata", "resourceVersion"]);
        }
        Ok(new)
    })
    .await?;
    respond::object(200, &object, call)
}

/// What is wrong with the result of a patch.
enum Fault {
    /// The patch is to blame.
    Patch(String),
    /// The object is.
    Object(Status),
}

/// The result as a custom object, and the fields that it does not have.
fn custom(call: &Call, new: &Value) -> Result<(Value, Vec<String>), Fault> {
    if meta::kind(new).is_empty() && new.is_object() {
        let mut shown = new.clone();
        shown.sort_all_objects();
        return Err(Fault::Patch(format!("Object 'Kind' is missing in '{shown}'")));
    }
    same_type(call, new).map_err(Fault::Object)?;
    coerce(&mut new.clone(), &call.resource.schema).map_err(Fault::Patch)?;
    let target = Target::resource(&call.resource);
    let decoded = decode::decode_value(new, &target, FieldValidation::Warn).map_err(Fault::Object)?;
    Ok((decoded.value, decoded.warnings))
}

/// A custom object stays of its kind and version.
fn same_type(call: &Call, new: &Value) -> Result<(), Status> {
    let (kind, version) = (meta::kind(new), meta::api_version(new));
    let known = [("kind", kind, call.resource.kind.to_string()), ("apiVersion", version, call.resource.api_version())];
    let wrong = known.iter().filter(|(_, own, wanted)| own != wanted);
    let errors: Vec<FieldError> =
        wrong.map(|(field, own, wanted)| FieldError::invalid(*field, *own, format!("must be {wanted}"))).collect();
    if errors.is_empty() {
        return Ok(());
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Err(FieldError::status(group, kind, &call.info.name, &errors))
}

/// A patch is in one of the forms for patches.
///
/// # Errors
/// 415.
pub fn check_media(header: Option<&str>) -> Result<(), Status> {
    const FORMS: [&str; 4] = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        super::apply::MEDIA,
    ];
    let media = header.unwrap_or("").split(';').next().unwrap_or("").trim();
    if FORMS.contains(&media) { Ok(()) } else { Err(not_a_patch()) }
}

fn not_a_patch() -> Status {
    Status::new(Reason::UnsupportedMediaType, "415: Unsupported Media Type").details(Details::default())
}

fn kind(call: &Call) -> Result<Kind, Status> {
    let media = call.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
    match media {
        "application/json-patch+json" => Ok(Kind::Json),
        "application/merge-patch+json" => Ok(Kind::Merge),
        "application/strategic-merge-patch+json" if !call.resource.custom => Ok(Kind::Strategic),
        _ if call.resource.custom => Err(Status::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(not_a_patch()),
    }
}
