//! Service accounts, roles and their bindings.

use serde_json::Value;

use super::super::super::failure::Result;
use super::Story;
use super::text::{Text, texts};
use crate::api::meta;

pub(super) async fn service_account(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    let names: Vec<&str> =
        meta::list(object, &["imagePullSecrets"]).iter().map(|secret| meta::text(secret, &["name"])).collect();
    if names.is_empty() {
        text.field(0, "Image pull secrets", "<none>");
    }
    for (at, name) in names.into_iter().enumerate() {
        let title = if at == 0 { "Image pull secrets:" } else { "                   " };
        text.line(0, format!("{title}\t{name}"));
    }
    story.with_events(&mut text).await;
    Ok(text)
}

/// One line of a role: what may be done with one resource, or with some paths.
#[derive(PartialEq)]
struct Line {
    group: String,
    resource: String,
    names: Vec<String>,
    urls: Vec<String>,
    verbs: Vec<String>,
}

impl Line {
    fn shown(&self) -> String {
        let (plain, sub) =
            self.resource.split_once('/').map_or((self.resource.as_str(), None), |(plain, sub)| (plain, Some(sub)));
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let sub = sub.map(|sub| format!("/{sub}")).unwrap_or_default();
        format!("{plain}{group}{sub}")
    }

    /// The text that kubectl orders rules by.
    fn key(&self) -> String {
        let list = |items: &[String]| format!("[{}]", items.join(" "));
        let one = |item: &String, present: bool| if present { format!("[{item}]") } else { "[]".to_owned() };
        let resources = self.urls.is_empty();
        format!(
            "Verbs:{},APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{}",
            list(&self.verbs),
            one(&self.group, resources),
            one(&self.resource, resources),
            list(&self.names),
            list(&self.urls),
        )
    }
}

pub(super) async fn role(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.metadata(object);
    text.line(0, "PolicyRule:");
    text.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    text.line(1, "---------\t-----------------\t--------------\t-----");
    rule_lines(meta::list(object, &["rules"])).iter().for_each(|line| text.line(1, line));
    Ok(text)
}

/// The rules of an account, a line each, in kubectl's order.
pub fn rule_lines(rules: &[Value]) -> Vec<String> {
    let mut lines = lines(rules);
    lines.sort_by_key(Line::key);
    let list = |items: &[String]| format!("[{}]", items.join(" "));
    let shown =
        |line: Line| format!("{}\t{}\t{}\t{}", line.shown(), list(&line.urls), list(&line.names), list(&line.verbs));
    lines.into_iter().map(shown).collect()
}

/// Rules taken apart, and put together again by what they are about.
fn lines(rules: &[Value]) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let owned = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut add = |line: Line| {
        let same = |known: &&mut Line| {
            let same_place = known.group == line.group && known.resource == line.resource;
            same_place && known.names == line.names && known.urls.is_empty() && line.urls.is_empty()
        };
        match found.iter_mut().find(same) {
            Some(known) => line.verbs.into_iter().for_each(|verb| {
                if !known.verbs.contains(&verb) {
                    known.verbs.push(verb);
                }
            }),
            None => found.push(line),
        }
    };
    for rule in rules {
        let verbs = owned(texts(rule, &["verbs"]));
        let names = texts(rule, &["resourceNames"]);
        for group in texts(rule, &["apiGroups"]) {
            for resource in texts(rule, &["resources"]) {
                let each: Vec<Vec<String>> = if names.is_empty() {
                    vec![Vec::new()]
                } else {
                    names.iter().map(|name| vec![(*name).to_owned()]).collect()
                };
                for names in each {
                    let verbs = verbs.clone();
                    add(Line {
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        names,
                        urls: Vec::new(),
                        verbs,
                    });
                }
            }
        }
        for url in texts(rule, &["nonResourceURLs"]) {
            // Paths are told verb by verb.
            for verb in &verbs {
                let (urls, verbs) = (vec![url.to_owned()], vec![verb.clone()]);
                add(Line { group: String::new(), resource: String::new(), names: Vec::new(), urls, verbs });
            }
        }
    }
    found
}

pub(super) async fn binding(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.metadata(object);
    text.line(0, "Role:");
    text.field(1, "Kind", meta::text(object, &["roleRef", "kind"]));
    text.field(1, "Name", meta::text(object, &["roleRef", "name"]));
    text.line(0, "Subjects:");
    text.line(1, "Kind\tName\tNamespace");
    text.line(1, "----\t----\t---------");
    for subject in meta::list(object, &["subjects"]) {
        let field = |name: &str| meta::text(subject, &[name]);
        text.line(1, format!("{}\t{}\t{}", field("kind"), field("name"), field("namespace")));
    }
    Ok(text)
}
