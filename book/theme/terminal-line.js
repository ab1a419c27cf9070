// The line that is typed: history, completion, and the keys a shell has. The playground hears of it when
// Enter is pressed, so a letter is on the screen as soon as the browser draws it.

import { element } from "./element.js";

const MOST_REMEMBERED = 500;

/** A prompt and what is typed behind it. */
export class Line {
  constructor(actions) {
    this.actions = actions;
    this.at = 0;
    this.prompt = element("label", { class: "prompt" }, "$ ");
    this.input = element("textarea", {
      rows: "1", spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off",
      "aria-label": "Command", onkeydown: (event) => this.key(event), oninput: () => this.changed(),
      title: "Tab completes; Ctrl-C stops; Escape leaves the terminal",
    });
    this.choices = element("ul", { class: "choices", role: "status", "aria-label": "Completions" });
    this.root = element("div", { class: "line" }, this.prompt, this.input, this.choices);
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  setPrompt(text) {
    this.prompt.textContent = text;
  }

  setRunning(running) {
    this.running = running;
    this.root.classList.toggle("running", running);
    this.input.setAttribute("aria-label", running ? "Input for the running command" : "Command");
    if (running) this.prompt.textContent = "";
  }

  set(text) {
    this.input.value = text;
    this.input.setSelectionRange(text.length, text.length);
    this.changed();
  }

  changed() {
    this.forget();
    this.input.rows = Math.min(this.input.value.split("\n").length, 12);
  }

  /** No choices are shown any more. */
  forget() {
    this.choices.replaceChildren();
    this.menu = undefined;
  }

  /** Notes what was run, for Up and for other pages. */
  remember(text) {
    const all = remembered();
    if (text.trim() && all.at(-1) !== text) all.push(text);
    localStorage.setItem("tutor-terminal-history", JSON.stringify(all.slice(-MOST_REMEMBERED)));
    this.at = 0;
  }

  key(event) {
    const { value, selectionStart: start, selectionEnd: end } = this.input;
    const combined = `${event.ctrlKey ? "Ctrl-" : ""}${event.key}`;
    const action = {
      "Enter": () => this.enter(),
      "Tab": () => this.actions.complete && value.trim() && this.tab(),
      "ArrowUp": () => !value.slice(0, start).includes("\n") && this.walk(1),
      "ArrowDown": () => !value.slice(end).includes("\n") && this.walk(-1),
      "Ctrl-p": () => this.walk(1),
      "Ctrl-n": () => this.walk(-1),
      "Ctrl-c": () => start === end && getSelection().isCollapsed && this.stop(),
      "Ctrl-d": () => value === "" && (this.actions.end(), true),
      "Ctrl-l": () => (this.actions.clear(), true),
      "Ctrl-a": () => this.move(value.lastIndexOf("\n", start - 1) + 1),
      "Ctrl-e": () => this.move(value.indexOf("\n", start) < 0 ? value.length : value.indexOf("\n", start)),
      "Ctrl-u": () => this.cut(0, start),
      "Ctrl-k": () => this.cut(start, value.length),
      "Escape": () => (this.choices.hasChildNodes() ? this.forget() : this.actions.leave(), true),
    }[combined];
    if (event.shiftKey || event.altKey || event.metaKey || event.isComposing || !action) return;
    if (action() !== false && !(combined === "Tab" && !value.trim())) event.preventDefault();
  }

  enter() {
    const text = this.input.value;
    if (!this.running) this.remember(text);
    this.set("");
    this.actions.enter(text);
  }

  stop() {
    this.set("");
    this.actions.stop();
  }

  move(to) {
    this.input.setSelectionRange(to, to);
  }

  cut(from, to) {
    this.input.setRangeText("", from, to, "end");
    this.changed();
  }

  /** Through what was typed before: those that begin as the line did. */
  walk(step) {
    if (this.at === 0) this.begun = this.input.value;
    const fitting = remembered().filter((text) => text.startsWith(this.begun));
    const at = this.at + step;
    if (at < 0 || at > fitting.length) return true;
    this.at = at;
    this.set(at === 0 ? this.begun : fitting.at(-at));
    return true;
  }

  /** The first press asks what fits; the next ones go through it, each choice once, and round again. */
  tab() {
    if (this.menu) return this.next();
    this.completed = this.input.value.slice(0, this.input.selectionStart);
    this.completing = this.actions.complete(this.completed);
    return true;
  }

  next() {
    const { menu } = this;
    this.choices.children[menu.at]?.classList.remove("chosen");
    menu.at = (menu.at + 1) % menu.choices.length;
    const chosen = menu.choices[menu.at];
    this.input.setRangeText(chosen, menu.from, menu.to, "end");
    menu.to = menu.from + chosen.length;
    this.choices.children[menu.at].classList.add("chosen");
    return true;
  }

  /** An answer to Tab: one choice is taken, of several what they have in common. */
  choose({ choices, start, id }) {
    const { value, selectionStart } = this.input;
    if (id !== this.completing || value.slice(0, selectionStart) !== this.completed || choices.length === 0) return;
    const from = [...this.completed].slice(0, start).join("").length;
    const common = choices.reduce((shared, choice) => {
      let at = 0;
      while (at < shared.length && shared[at] === choice[at]) at += 1;
      return shared.slice(0, at);
    });
    const whole = choices.length === 1 && !/[/=]$/.test(common) ? `${common} ` : common;
    if (whole.length > selectionStart - from) this.input.setRangeText(whole, from, selectionStart, "end");
    this.changed();
    if (choices.length > 1) {
      const first = choices.slice(0, 60);
      const shown = first.map((choice) => element("li", {}, choice));
      const more = choices.length > 60 ? element("li", {}, `and ${choices.length - 60} more`) : null;
      this.menu = { choices: first, from, to: this.input.selectionStart, at: -1 };
      this.choices.replaceChildren(...shown, ...(more ? [more] : []));
      this.choices.scrollIntoView({ block: "nearest" });
    }
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("tutor-terminal-history") ?? "[]");
  } catch {
    return [];
  }
}
