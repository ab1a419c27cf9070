//! Lists: repositories, tags, and who refers to a manifest.

use serde_json::{Value, json};
use warp::reply::Response;

use super::error::{Code, Refusal};
use super::name::{Digest, Repository};
use super::storage::Held;
use super::{Asked, Inside, json as reply, route, with_headers};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `GET /v2/_catalog`.
pub(super) async fn catalog(inside: &Inside, asked: &Asked) -> Result<Response, Refusal> {
    let page = Page::of(inside.storage.repositories().await?, asked)?;
    Ok(page.link("/v2/_catalog", reply(&json!({ "repositories": page.items }))))
}

/// `GET /v2/<name>/tags/list`.
pub(super) async fn tags(inside: &Inside, name: &Repository, asked: &Asked) -> Result<Response, Refusal> {
    if !inside.storage.exists(name).await {
        return Err(Refusal::new(Code::NameUnknown, format!("there is no repository {name}")));
    }
    let page = Page::of(inside.storage.list(name, Held::Tag).await?, asked)?;
    let body = json!({ "name": name.to_string(), "tags": page.items });
    Ok(page.link(&format!("/v2/{name}/tags/list"), reply(&body)))
}

/// `GET /v2/<name>/referrers/<digest>`: an index of the manifests whose subject it is.
pub(super) async fn referrers(
    inside: &Inside,
    name: &Repository,
    digest: &Digest,
    asked: &Asked,
) -> Result<Response, Refusal> {
    let texts = inside.storage.read_all(&inside.storage.referrers(name, digest)).await?;
    let mut found: Vec<Value> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    let filter = route::query(&asked.query, "artifactType");
    if let Some(wanted) = &filter {
        found.retain(|descriptor| descriptor["artifactType"] == **wanted);
    }
    let response = reply(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": found }));
    let applied = filter.map(|_| ("oci-filters-applied", "artifactType".to_string()));
    Ok(with_headers(response, [("content-type", INDEX.to_string())].into_iter().chain(applied)))
}

/// The items after `last`, at most `n`.
struct Page {
    items: Vec<String>,
    /// `n`, when there is more.
    more: Option<usize>,
}

impl Page {
    fn of(mut items: Vec<String>, asked: &Asked) -> Result<Page, Refusal> {
        if let Some(last) = route::query(&asked.query, "last") {
            items.retain(|item| *item > last);
        }
        let Some(n) = route::query(&asked.query, "n") else { return Ok(Page { items, more: None }) };
        let invalid = |_| Refusal::new(Code::SizeInvalid, format!("n is no number: {n}"));
        let n: usize = n.parse().map_err(invalid)?;
        let more = (n > 0 && items.len() > n).then_some(n);
        items.truncate(n);
        Ok(Page { items, more })
    }

    fn link(&self, path: &str, response: Response) -> Response {
        let next = self.more.zip(self.items.last());
        let link = next.map(|(n, last)| ("link", format!("<{path}?n={n}&last={last}>; rel=\"next\"")));
        with_headers(response, link)
    }
}
