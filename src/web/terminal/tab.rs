//! One tab of the terminal: what runs in it, what it has shown, and the page that shows it now.
//!
//! In: events of its page and chunks of the program that runs. Out: messages of JSON. One task owns all of
//! it. Output is paced by the page, which says what it has drawn: a flood waits in the program, not in
//! memory. While no page shows the tab, a program may write [`AWAY_BYTES`], then it waits for one.
//!
//! | message | says |
//! |---|---|
//! | `{"hello": {"fresh", "running", "lines"}}` | the first one: what the tab has shown |
//! | `{"text": [kind, text], "n"}` | more text |
//! | `{"frame": text, "n"}` | a picture in place of the one before; null: it stays as it is |
//! | `{"screen": {…}, "n"}` | rows of a screen that changed; null: it is over |
//! | `{"clear": true}` | forget what was shown |
//! | `{"ready": {"prompt", "more", "code"}}` | a line may be typed; `more`: it goes on |
//! | `{"running": true}` | what is typed goes to a program |
//! | `{"choices": […], "start", "id"}` | an answer to Tab |
//! | `{"edit": {"name", "text"}}` | a text to edit; null: no longer |
//! | `{"taken": true}` | another page shows this tab now |
//!
//! One file because a tab is one task, and everything in it belongs to that task alone.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::clean::Cleaner;
use super::editor::Editing;
use super::handle::{Event, Handle};
use super::job::{self, Found, Job, work};
use super::pace::Page;
use super::pipes::{Chunk, typed, way_out};
use super::screen::Grid;
use super::shell::{Context, Screen, State};
use super::socket::Told;
use super::syntax::{self, Script, Stream};
use super::transcript::{Kind, Transcript};
use super::{World, complete};

/// What a program may write while nobody looks.
const AWAY_BYTES: usize = 1024 * 1024;
/// The longest text of one message.
const MESSAGE_BYTES: usize = 16 * 1024;
/// How often the tab lets a program run on before it shows what has come.
const PAUSES: usize = 4;
/// The longest text that is entered before it is complete.
const LONGEST_TEXT: usize = 128 * 1024;
/// How long a program may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_millis(500);
/// Events that wait for the tab.
const WAITING: usize = 64;

/// Opens a tab.
pub fn open(world: Arc<World>) -> Handle {
    let (events, received) = mpsc::channel(WAITING);
    let handle = Handle::new(events);
    let (sizes, size) = watch::channel((100, 24));
    let (raw, raws) = mpsc::unbounded_channel();
    let (editor, editings) = mpsc::unbounded_channel();
    let tab = Tab {
        world: world.clone(),
        closed: handle.closed(),
        state: Arc::default(),
        screen: Screen { sizes: size, raw, editor },
        sizes,
        page: None,
        unsent: None,
        fresh: true,
        away: 0,
        pending: String::new(),
        code: 0,
        job: None,
        grid: None,
        cleaners: Default::default(),
        transcript: Transcript::default(),
        frame: None,
        editing: None,
    };
    world.tasks.spawn("terminal tab", tab.live(received, raws, editings));
    handle
}

struct Tab {
    world: Arc<World>,
    closed: CancellationToken,
    state: Arc<Mutex<State>>,
    screen: Screen,
    sizes: watch::Sender<(u16, u16)>,
    page: Option<Page>,
    /// Text that goes out with the next message.
    unsent: Option<(Kind, String)>,
    /// Whether no page has shown it yet.
    fresh: bool,
    /// Bytes that were written while nobody looked.
    away: usize,
    pending: String,
    code: i32,
    job: Option<Job>,
    grid: Option<Grid>,
    cleaners: [Cleaner; 2],
    transcript: Transcript,
    frame: Option<String>,
    editing: Option<Editing>,
}

impl Tab {
    async fn live(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut raws: mpsc::UnboundedReceiver<bool>,
        mut editings: mpsc::UnboundedReceiver<Editing>,
    ) {
        loop {
            let shows = self.grid.is_some() || self.may_show();
            let closed = self.closed.clone();
            let job = &mut self.job;
            let found = tokio::select! {
                biased;
                () = closed.cancelled() => Found::Closed,
                event = events.recv() => Found::Event(event),
                Some(raw) = raws.recv() => Found::Raw(raw),
                Some(editing) = editings.recv() => Found::Editing(editing),
                found = work(job, shows) => found,
            };
            match found {
                Found::Closed | Found::Event(None) => break,
                Found::Event(Some(event)) => self.event(event),
                Found::Raw(raw) => self.turn_raw(raw),
                Found::Editing(editing) => {
                    self.tell(json!({"edit": {"name": editing.name, "text": editing.text}}));
                    self.editing = Some(editing);
                }
                Found::Chunk(chunk) => self.show_all(chunk).await,
                Found::Unread => {
                    if let Some(remark) = self.job.as_mut().and_then(Job::remark).filter(|_| self.grid.is_none()) {
                        self.say(Kind::Note, &remark);
                    }
                }
                Found::Done(code) => self.ended(code),
            }
            self.send_text();
            self.draw();
        }
        if let Some(job) = &self.job {
            job.stop.cancel();
        }
    }

    fn may_show(&self) -> bool {
        match &self.page {
            Some(page) => page.takes_more(),
            None => self.away < AWAY_BYTES,
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Joined(number, sender) => self.join(number, sender),
            Event::Left(number) => {
                if self.page.as_ref().is_some_and(|page| page.is(number)) {
                    self.lose();
                }
            }
            Event::Told(number, told) => {
                if self.page.as_ref().is_some_and(|page| page.is(number)) {
                    self.told(told);
                }
            }
        }
    }

    fn join(&mut self, number: u64, sender: mpsc::Sender<String>) {
        self.tell(json!({"taken": true}));
        self.page = Some(Page::new(number, sender));
        let fresh = std::mem::replace(&mut self.fresh, false);
        let running = self.job.is_some();
        self.tell(json!({"hello": {"fresh": fresh, "running": running, "lines": self.transcript.shown()}}));
        if let Some(frame) = self.frame.clone() {
            self.count(json!({"frame": frame}));
        }
        if let Some(grid) = &mut self.grid {
            grid.forget();
        }
        if let Some(editing) = &self.editing {
            let edit = json!({"edit": {"name": editing.name, "text": editing.text}});
            self.tell(edit);
        }
        if running { self.tell(json!({"running": true})) } else { self.ready() }
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Seen(number) => {
                if let Some(page) = &mut self.page {
                    page.has_drawn(number);
                }
            }
            Told::Run(text) | Told::Keys(text) if text.len() > LONGEST_TEXT => {
                self.say(Kind::Err, &format!("at most {LONGEST_TEXT} bytes can be entered at once\n"));
            }
            Told::Run(text) if self.job.is_some() => self.keys(format!("{text}\n")),
            Told::Run(text) => self.enter(&text),
            Told::Keys(text) => self.keys(text),
            Told::End => {
                if let Some(job) = &mut self.job {
                    job.keys = None;
                }
            }
            Told::Stop => self.stop(),
            Told::Size(width, height) => {
                self.sizes.send_replace((width.clamp(20, 300), height.clamp(4, 120)));
                if let Some(grid) = &mut self.grid {
                    grid.resize((width, height));
                }
            }
            Told::Complete(text, id) => self.complete(text, id),
            Told::Saved(text) => {
                if let (Some(editing), Some(text)) = (self.editing.take(), text) {
                    // A program that has ended meanwhile does not miss it.
                    let _ = editing.reply.send(text);
                }
            }
            Told::Close => self.closed.cancel(),
        }
    }

    /// A line was entered while nothing ran.
    fn enter(&mut self, text: &str) {
        // What was printed last may have no end.
        let end = if self.transcript.ends_a_line() { "" } else { "\n" };
        let prompt = self.prompt();
        self.say(Kind::Typed, &format!("{end}{prompt}{text}\n"));
        if !self.pending.is_empty() {
            self.pending.push('\n');
        }
        self.pending.push_str(text);
        if self.pending.len() > LONGEST_TEXT {
            self.pending.clear();
            self.say(Kind::Err, &format!("a command is at most {LONGEST_TEXT} bytes long\n"));
            return self.ready();
        }
        match syntax::parse(&self.pending) {
            Ok(script) => {
                let typed = std::mem::take(&mut self.pending);
                if script.0.is_empty() { self.ready() } else { self.start(job::name(&typed), script) }
            }
            Err(syntax::Fault::Incomplete) => self.ready(),
            Err(syntax::Fault::Wrong(why)) => {
                self.pending.clear();
                self.code = 2;
                self.say(Kind::Err, &format!("this shell cannot read that: {why}\n"));
                self.ready();
            }
        }
    }

    fn start(&mut self, name: String, script: Script) {
        let (out, chunks) = way_out();
        let (keys, typing) = mpsc::channel(WAITING);
        let (tell, done) = oneshot::channel();
        let stop = self.closed.child_token();
        let context = Context {
            world: self.world.clone(),
            state: self.state.clone(),
            screen: self.screen.clone(),
            stdin: typed(typing),
            err: out.as_stream(Stream::Err),
            out,
            typed: true,
            shown: true,
            stop: stop.clone(),
        };
        let (clock, stopping) = (self.world.clock, stop.clone());
        self.world.tasks.spawn("terminal command", async move {
            let late = async {
                stopping.cancelled().await;
                clock.sleep(GRACE).await;
            };
            let code = tokio::select! {
                code = context.run(&script) => code,
                () = late => 130,
            };
            // The tab may be closed.
            let _ = tell.send(code);
        });
        self.cleaners = Default::default();
        self.job = Some(Job { name, keys: Some(keys), stop, chunks, done, look: None, told: false });
        self.tell(json!({"running": true}));
    }

    /// Keys for what runs; without a screen they show as they are typed.
    fn keys(&mut self, text: String) {
        let raw = self.grid.is_some();
        let Some(job) = &mut self.job else { return };
        if job.take(&text, self.world.clock) && !raw {
            self.say(Kind::Typed, &text);
        }
    }

    fn stop(&mut self) {
        // An editor that waits is what Ctrl-C ends.
        if self.editing.take().is_some() {
            self.tell(json!({"edit": null}));
        }
        match &self.job {
            Some(job) => {
                job.stop.cancel();
                self.say(Kind::Typed, "^C\n");
            }
            None => {
                self.pending.clear();
                self.ready();
            }
        }
    }

    fn complete(&mut self, text: String, id: u64) {
        let Some(page) = &self.page else { return };
        let (sender, world, state, screen) =
            (page.sender(), self.world.clone(), self.state.clone(), self.screen.clone());
        self.world.tasks.spawn("terminal completion", async move {
            let (start, choices) = complete::complete(&world, &state, &screen, &text).await;
            // A page that has gone does not ask again.
            let _ = sender.send(json!({"choices": choices, "start": start, "id": id}).to_string()).await;
        });
    }

    /// A program wants each key, or no longer.
    fn turn_raw(&mut self, raw: bool) {
        if raw {
            self.grid = Some(Grid::new(*self.sizes.borrow()));
            return;
        }
        // What it wrote last is on its screen, before that goes.
        while let Some(chunk) = self.job.as_mut().and_then(|job| job.chunks.try_recv().ok()) {
            self.show(chunk);
        }
        self.leave_screen();
    }

    fn leave_screen(&mut self) {
        if let Some(grid) = self.grid.take() {
            self.tell(json!({"screen": null}));
            let text = Cleaner::default().clean(grid.text().as_bytes());
            self.say(Kind::Out, &text);
        }
    }

    /// A chunk, and those that come behind it at once, up to what one message carries.
    async fn show_all(&mut self, first: Chunk) {
        let mut bytes = self.show(first);
        let mut pauses = 0;
        while bytes < MESSAGE_BYTES && self.may_show() {
            match self.job.as_mut().and_then(|job| job.chunks.try_recv().ok()) {
                Some(chunk) => bytes += self.show(chunk),
                // A program that writes line by line waits for its lines to be taken: let it run.
                None if pauses < PAUSES => {
                    pauses += 1;
                    tokio::task::yield_now().await;
                }
                None => return,
            }
        }
    }

    fn show(&mut self, chunk: Chunk) -> usize {
        match (chunk, &mut self.grid) {
            (Chunk::Text(_, bytes), Some(grid)) => {
                grid.write(&bytes);
                bytes.len()
            }
            (Chunk::Text(stream, bytes), None) => {
                let (kind, cleaner) = match stream {
                    Stream::Out => (Kind::Out, &mut self.cleaners[0]),
                    Stream::Err => (Kind::Err, &mut self.cleaners[1]),
                };
                let text = cleaner.clean(&bytes);
                if !text.is_empty() {
                    self.keep_frame();
                    self.say(kind, &text);
                }
                bytes.len()
            }
            (Chunk::Frame(text), _) => {
                let length = text.len();
                self.frame = Some(text.clone());
                self.count(json!({"frame": text}));
                length
            }
            (Chunk::Clear, _) => {
                self.transcript.clear();
                self.frame = None;
                self.tell(json!({"clear": true}));
                0
            }
        }
    }

    /// The last picture stays as text.
    fn keep_frame(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.transcript.add(Kind::Out, &format!("{frame}\n"));
            self.tell(json!({"frame": null}));
        }
    }

    fn ended(&mut self, code: i32) {
        while let Some(chunk) = self.job.as_mut().and_then(|job| job.chunks.try_recv().ok()) {
            self.show(chunk);
        }
        self.leave_screen();
        self.keep_frame();
        if self.editing.take().is_some() {
            self.tell(json!({"edit": null}));
        }
        self.job = None;
        self.code = code;
        self.ready();
    }

    fn prompt(&self) -> String {
        if !self.pending.is_empty() {
            return "> ".to_owned();
        }
        let folder = self.state.lock().folder.display().to_string();
        if folder.is_empty() { "~ $ ".to_owned() } else { format!("~/{folder} $ ") }
    }

    fn ready(&mut self) {
        let ready = json!({"prompt": self.prompt(), "more": !self.pending.is_empty(), "code": self.code});
        self.tell(json!({"ready": ready}));
    }

    /// Shows text, and keeps it for pages to come.
    fn say(&mut self, kind: Kind, text: &str) {
        self.transcript.add(kind, text);
        if self.page.is_none() {
            self.away += text.len();
        }
        match &mut self.unsent {
            Some((last, waiting)) if *last == kind => waiting.push_str(text),
            _ => {
                self.send_text();
                self.unsent = Some((kind, text.to_owned()));
            }
        }
        if self.unsent.as_ref().is_some_and(|(_, waiting)| waiting.len() >= MESSAGE_BYTES) {
            self.send_text();
        }
    }

    /// Sends the text that waits. Long text takes several messages.
    fn send_text(&mut self) {
        let Some((kind, text)) = self.unsent.take() else { return };
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end =
                (0..=rest.len().min(MESSAGE_BYTES)).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
            let (now, later) = rest.split_at(end);
            self.count(json!({"text": [kind.name(), now]}));
            rest = later;
        }
    }

    /// Sends the screen's changes, when the page has drawn what it was sent.
    fn draw(&mut self) {
        if self.page.is_some()
            && self.may_show()
            && let Some(changes) = self.grid.as_mut().and_then(Grid::changes)
        {
            self.count(json!({"screen": changes}));
        }
    }

    /// Sends a message that the page confirms once it has drawn it.
    fn count(&mut self, message: Value) {
        self.send_text();
        if self.page.as_mut().is_some_and(|page| !page.count(message)) {
            self.lose();
        }
    }

    /// Sends a message, behind the text that waits.
    fn tell(&mut self, message: Value) {
        self.send_text();
        if self.page.as_ref().is_some_and(|page| !page.tell(&message)) {
            self.lose();
        }
    }

    /// A page that takes no message any more has gone.
    fn lose(&mut self) {
        self.page = None;
        self.away = 0;
    }
}
