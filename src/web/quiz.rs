//! The book's questions, asked of a reader with a browser.
//!
//! | call | answers |
//! |---|---|
//! | `GET quiz` | `{"answers": {NAME: {"choice", "right"}}, "total"}`: what was answered, of how many |
//! | `POST quiz/NAME {"choice": 1}` | `{"right": true}`; kept in the progress file |

use serde_json::{Map, Value, json};

use super::Site;
use super::api::body;
use super::guard::Asked;
use crate::course::progress::ProgressFile;
use crate::course::quiz;
use crate::error::{Error, Result};

/// Answers `GET quiz`.
pub fn answers(site: &Site) -> Result<Value> {
    let progress = file(site).read()?;
    let all = quiz::all()?;
    let answered = |(id, quiz): (&String, &quiz::Quiz)| {
        let answered = quiz.answered(&progress)?;
        Some((id.clone(), json!({"choice": answered.choice, "right": answered.right})))
    };
    let answers: Map<String, Value> = all.iter().filter_map(answered).collect();
    Ok(json!({"answers": answers, "total": all.len()}))
}

/// Answers `POST quiz/NAME`.
pub fn answer(site: &Site, id: &str, asked: &Asked) -> Result<Value> {
    let choice = body(asked, r#"{"choice": 1}"#)?["choice"].as_u64().and_then(|choice| usize::try_from(choice).ok());
    let choice = choice.ok_or_else(|| Error::new("no choice is named", "it is counted from 0"))?;
    Ok(json!({"right": quiz::answer(&file(site), id, choice)?}))
}

fn file(site: &Site) -> ProgressFile {
    ProgressFile::new(&site.0.playground.state_dir)
}
