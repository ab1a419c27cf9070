//! What is created under an object and is none itself: a token, a binding, an eviction, a scale.
//!
//! In: a [`Call`] for such a part. Out: the part as admission left it. Never writes anything.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::admission::{Attributes, Operation};
use super::engine::{Call, bad_request};
use super::request::RequestInfo;
use crate::api::meta;
use crate::api::resource::{Resource, Subresource};
use crate::api::status::Status;

impl Call {
    /// The same request, about another resource.
    pub fn of(&self, resource: Arc<Resource>, info: RequestInfo) -> Call {
        Call {
            engine: self.engine.clone(),
            info,
            query: self.query.clone(),
            headers: self.headers.clone(),
            user: self.user.clone(),
            resource,
            accepted: self.accepted,
            body: self.body.clone(),
            upgrade: None,
            now: self.now,
            warnings: Mutex::default(),
            empties: Mutex::default(),
        }
    }

    /// Both phases of admission, one after the other, for what has no kind's own checks between them.
    ///
    /// # Errors
    /// The first refusal; it brings its warnings with it.
    pub async fn pass(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for validates in [false, true] {
            let verdict = match validates {
                false => self.engine.admission.admit(attributes).await,
                true => self.engine.admission.validate(attributes).await,
            };
            self.warn(std::mem::take(&mut attributes.warnings));
            verdict?;
        }
        Ok(())
    }

    /// Asks admission about what is created under an object: a token, a binding, an eviction.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn pass_part(&self, sub: &Subresource, part: Value, dry_run: bool) -> Result<Value, Status> {
        let mut attributes = self.attributes(Operation::Create, Some(part), None, &self.info.name, dry_run);
        attributes.object_kind = (&sub.group, &sub.version, &sub.kind);
        attributes.options = Some(json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));
        self.pass(&mut attributes).await?;
        Ok(attributes.object.take().unwrap_or(Value::Null))
    }

    /// The part that is created is in the namespace of the URL.
    ///
    /// # Errors
    /// 400 for one that says it is in another.
    pub fn place_part(&self, part: &mut Value) -> Result<(), Status> {
        let (own, url) = (meta::namespace(part), self.namespace());
        if !own.is_empty() && own != url {
            return Err(bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        meta::set_text(part, "namespace", url);
        Ok(())
    }
}
