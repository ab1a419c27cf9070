//! The page's editor, as programs call it: a text goes out, and comes back when the reader saves.

use std::io;
use std::pin::Pin;

use tokio::sync::oneshot;

use super::shell::Screen;
use crate::kubectl::session::Editor;

/// A text that is to be edited.
#[derive(Debug)]
pub struct Editing {
    /// What is shown above it.
    pub name: String,
    /// The text.
    pub text: String,
    /// Where the edited text goes; dropped when the reader cancels.
    pub reply: oneshot::Sender<String>,
}

/// Opens a text in the page and waits; `None` when it was cancelled or the tab is gone.
pub async fn edit(screen: &Screen, name: &str, text: &str) -> Option<String> {
    let (reply, edited) = oneshot::channel();
    let editing = Editing { name: name.to_owned(), text: text.to_owned(), reply };
    screen.editor.send(editing).ok()?;
    edited.await.ok()
}

/// The editor of `kubectl edit`.
pub struct PageEditor {
    screen: Screen,
}

impl PageEditor {
    /// The editor of this terminal.
    pub fn new(screen: Screen) -> PageEditor {
        PageEditor { screen }
    }
}

impl Editor for PageEditor {
    fn edit<'a>(
        &'a self,
        text: &'a str,
        suffix: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send + 'a>> {
        Box::pin(async move {
            // A reader who cancels has changed nothing.
            Ok(edit(&self.screen, &format!("kubectl edit{suffix}"), text).await.unwrap_or_else(|| text.to_owned()))
        })
    }
}
