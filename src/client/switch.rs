//! Switches: a named gate before each step of a loop, so that a reader can hold it still.
//!
//! A loop waits at its [`Switch::gate`] before each piece of work. On, the gate is open; paused, it
//! is shut and each [`Switch::step`] lets one piece through. `tutor controllers pause|step|resume`
//! and the page turn them. A paused loop forgets nothing: its queue fills meanwhile, one entry a
//! key. Chapter: `book/src/inside/loops.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// What a switch is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The loop works.
    #[default]
    On,
    /// The loop waits; each step lets one piece of work through.
    Paused,
}

/// A switch as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// On or paused.
    pub mode: Mode,
    /// Steps granted and not yet taken.
    pub steps: u64,
    /// Pieces of work waiting at the gate.
    pub waiting: u64,
    /// Pieces of work let through since the start.
    pub passed: u64,
}

/// One loop's switch. Cheap to clone: all clones are the same switch.
#[derive(Clone, Debug)]
pub struct Switch(Arc<watch::Sender<State>>);

impl Default for Switch {
    fn default() -> Self {
        Switch(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Switch {
    /// Waits until the loop may do one piece of work.
    pub async fn gate(&self) {
        if self.try_pass() {
            return;
        }
        let _waiting = Waiting::new(self);
        let mut changes = self.0.subscribe();
        while !self.try_pass() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Shuts the gate.
    pub fn pause(&self) {
        self.0.send_modify(|state| state.mode = Mode::Paused);
    }

    /// Lets one piece of work through a shut gate.
    pub fn step(&self) {
        self.0.send_modify(|state| state.steps += u64::from(state.mode == Mode::Paused));
    }

    /// Opens the gate.
    pub fn resume(&self) {
        self.0.send_modify(|state| (state.mode, state.steps) = (Mode::On, 0));
    }

    /// The switch as it is now.
    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Each later state.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    fn try_pass(&self) -> bool {
        let mut passes = false;
        self.0.send_if_modified(|state| {
            passes = state.mode == Mode::On || state.steps > 0;
            if passes {
                state.steps = state.steps.saturating_sub(1);
                state.passed += 1;
            }
            passes
        });
        passes
    }
}

/// Counts a waiter, also when its task is dropped at the gate.
struct Waiting<'a>(&'a Switch);

impl<'a> Waiting<'a> {
    fn new(switch: &'a Switch) -> Self {
        switch.0.send_modify(|state| state.waiting += 1);
        Waiting(switch)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.waiting -= 1);
    }
}

/// All switches, by the loop's name as `--controllers` takes it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Switches(Arc<Mutex<BTreeMap<String, Switch>>>);

impl Switches {
    /// No switch yet; each loop makes its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The switch of this name, made (on) where it is new.
    pub fn get(&self, name: &str) -> Switch {
        self.0.lock().entry(name.to_owned()).or_default().clone()
    }

    /// The switch of this name (with or without `-controller`), if a loop has made it.
    pub fn find(&self, name: &str) -> Option<Switch> {
        let switches = self.0.lock();
        switches.get(name).or_else(|| switches.get(&format!("{name}-controller"))).cloned()
    }

    /// Each switch and its state, by name.
    pub fn list(&self) -> Vec<(String, State)> {
        self.0.lock().iter().map(|(name, switch)| (name.clone(), switch.state())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_paused_loop_takes_one_step_at_a_time() {
        let switches = Switches::new();
        let switch = switches.get("deployment-controller");
        assert!(switch.gate().now_or_never().is_some());
        switches.find("deployment").expect("found without its suffix").pause();
        assert!(switch.gate().now_or_never().is_none());
        switch.step();
        assert!(switch.gate().now_or_never().is_some());
        assert!(switch.gate().now_or_never().is_none());
        switch.resume();
        assert!(switch.gate().now_or_never().is_some());
        assert_eq!(switch.state(), State { mode: Mode::On, steps: 0, waiting: 0, passed: 3 });
    }
}
