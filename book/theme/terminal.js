// The terminal at the bottom of every page. It runs tutor's own commands in the playground: what is
// typed goes there over a WebSocket, what comes back is put into the page as text, never as markup. The
// tabs live in the playground, so a page that is left or loaded anew finds them as they were.

import { page } from "./call.js";
import { element } from "./element.js";
import { Line } from "./terminal-line.js";
import { Output } from "./terminal-output.js";
import { Screen } from "./terminal-screen.js";

const RETRY = [200, 500, 1000, 2000, 3000];
/** The exit code of what Ctrl-C ended. */
const STOPPED = 130;

let dock;

/** Puts the dock at the bottom of the page; closed, unless it was open before. */
export function showTerminal() {
  dock ??= new Dock();
  return dock;
}

/** Runs commands in the terminal, each when the one before has ended, and shows it. `says`: where, if not in the tab you see. */
export function runInTerminal(commands, says) {
  showTerminal().runEach(commands, says);
}

/** Runs lines and resolves with the exit code of the last one. */
export function runAndWait(text, says) {
  return showTerminal().run(text, says);
}

class Dock {
  constructor() {
    this.tabs = [];
    // Not a `tablist`: that may hold nothing but tabs, and each of ours has a button that closes it.
    this.list = element("div", { class: "tabs", role: "group", "aria-label": "Terminal tabs" });
    this.toggle = element("button", {
      type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": "tutor-terminal-panels",
      title: "Open or close the terminal (Ctrl and `)", onclick: () => this.setOpen(!this.open, true),
    }, "Terminal");
    const more = element("button", { type: "button", class: "more", "aria-label": "New terminal tab", title: "New tab", onclick: () => this.add(newName()).select(true) }, "+");
    this.panels = element("div", { class: "panels", id: "tutor-terminal-panels" });
    this.grip = element("div", { class: "grip", role: "separator", "aria-orientation": "horizontal", "aria-label": "Height of the terminal", tabindex: "0",
      onpointerdown: (event) => this.drag(event), onkeydown: (event) => this.resizeByKey(event) });
    this.root = element("aside", { id: "tutor-terminal", "aria-label": "Terminal" },
      this.grip, element("div", { class: "bar" }, this.toggle, this.list, more), this.panels);
    // mdBook turns pages at arrow keys and searches at letters; keys in here are for the terminal.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(this.root);
    document.addEventListener("keydown", (event) => this.shortcut(event), { capture: true });
    window.addEventListener("resize", () => this.fit());
    this.setHeight(Number(localStorage.getItem("tutor-terminal-height")) || 300);
    // Read before the first tab is made: what is shown is kept from then on.
    const names = JSON.parse(sessionStorage.getItem("tutor-terminal-tabs") ?? "[]");
    const shown = Number(sessionStorage.getItem("tutor-terminal-shown") ?? 0);
    this.tabs = (names.length > 0 ? names : [newName()]).map((name) => new Tab(this, name));
    this.current = this.tabs[shown] ?? this.tabs[0];
    this.show();
    this.setOpen(localStorage.getItem("tutor-terminal-open") === "true", false);
  }

  shortcut(event) {
    if (!event.ctrlKey || event.key !== "`") return;
    event.preventDefault();
    const inside = this.root.contains(document.activeElement);
    if (this.open && !inside) this.current.focus();
    else this.setOpen(!this.open, true);
  }

  setOpen(open, focus) {
    this.open = open;
    localStorage.setItem("tutor-terminal-open", open);
    this.root.classList.toggle("open", open);
    document.documentElement.classList.toggle("tutor-terminal-open", open);
    this.toggle.setAttribute("aria-expanded", open);
    if (open) this.current.connect();
    if (open) this.showChosen();
    if (open && focus) this.current.focus();
    if (!open && focus) this.toggle.focus();
  }

  setHeight(height) {
    this.wished = height;
    this.fit();
    localStorage.setItem("tutor-terminal-height", this.height);
  }

  /** The height that was wished for, as far as the window has room for it beside some of the page. */
  fit() {
    this.height = Math.round(Math.min(Math.max(this.wished, 120), Math.max(window.innerHeight - 80, 160)));
    document.documentElement.style.setProperty("--terminal-height", `${this.height}px`);
    this.grip.setAttribute("aria-valuenow", this.height);
    this.current?.measure();
  }

  drag(event) {
    this.grip.setPointerCapture(event.pointerId);
    const move = (moved) => this.setHeight(window.innerHeight - moved.clientY);
    this.grip.addEventListener("pointermove", move);
    this.grip.addEventListener("lostpointercapture", () => this.grip.removeEventListener("pointermove", move), { once: true });
  }

  resizeByKey(event) {
    const step = { ArrowUp: 24, ArrowDown: -24 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.setHeight(this.height + step);
  }

  add(name) {
    const tab = new Tab(this, name);
    this.tabs.push(tab);
    this.current ??= tab;
    this.show();
    return tab;
  }

  close(tab) {
    tab.end();
    const at = this.tabs.indexOf(tab);
    this.tabs.splice(at, 1);
    if (this.tabs.length === 0) {
      this.current = undefined;
      this.add(newName());
      this.setOpen(false, true);
      return;
    }
    if (this.current === tab) this.current = this.tabs[Math.min(at, this.tabs.length - 1)];
    this.show();
    this.current.select(true);
  }

  show() {
    this.list.replaceChildren(...this.tabs.map((tab, at) => tab.head(at + 1)));
    this.panels.replaceChildren(this.current.panel);
    this.showChosen();
    sessionStorage.setItem("tutor-terminal-tabs", JSON.stringify(this.tabs.map((tab) => tab.name)));
    sessionStorage.setItem("tutor-terminal-shown", this.tabs.indexOf(this.current));
  }

  /** In a narrow window not all tabs are seen; the chosen one is. */
  showChosen() {
    const { offsetLeft, offsetWidth } = this.list.querySelector(".chosen").parentElement;
    const at = offsetLeft - this.list.offsetLeft;
    this.list.scrollLeft = Math.max(Math.min(this.list.scrollLeft, at), at + offsetWidth - this.list.clientWidth);
  }

  async run(text, says) {
    return (await this.free(says)).run(text);
  }

  /** Each command has its prompt and its answer, as on the page. Ctrl-C ends them all. */
  async runEach(commands, says) {
    const tab = await this.free(says);
    for (const command of commands) if ((await tab.run(command)) === STOPPED) return;
  }

  /** A tab to run something in, shown. One in which something runs is left alone; `says` tells of it. */
  async free(says) {
    this.setOpen(true, false);
    const seen = this.current;
    let free = seen;
    for (const tab of [seen, ...this.tabs.filter((other) => other !== seen), undefined]) {
      free = tab ?? this.add(newName());
      if (!(await free.isBusy())) break;
    }
    if (free !== this.current) free.select(false);
    says?.(free === seen ? "" : `The terminal was busy: it runs in tab ${this.tabs.indexOf(free) + 1}.`);
    return free;
  }
}

function newName() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join("-");
}

class Tab {
  constructor(dock, name) {
    Object.assign(this, { dock, name, running: false, attempts: 0, waiting: [], after: [] });
    this.met = new Promise((meet) => { this.meet = meet; });
    this.output = new Output((number) => this.send({ seen: number }));
    this.status = element("p", { class: "status", role: "status" });
    this.line = new Line({
      enter: (text) => this.enter(text),
      stop: () => this.send({ stop: null }),
      end: () => this.send({ end: null }),
      clear: () => this.clear(),
      complete: (text) => this.complete(text),
      leave: () => this.dock.toggle.focus(),
    });
    this.screen = new Screen((keys) => this.send({ keys }));
    this.panel = element("div", { class: "panel", role: "group", "aria-label": "Commands and their output", onclick: (event) => this.clicked(event) },
      this.output.root, this.screen.root, this.line.root, this.status);
  }

  head(number) {
    const chosen = this.dock.current === this;
    const name = element("button", {
      type: "button", "aria-current": String(chosen), class: chosen ? "tab chosen" : "tab",
      onclick: () => this.select(true), title: `Terminal ${number}`,
    }, this.running ? `${number} ●` : String(number));
    const close = element("button", { type: "button", class: "close", "aria-label": `Close terminal ${number}`, onclick: () => this.dock.close(this) }, "×");
    return element("span", { class: "head" }, name, this.dock.tabs.length > 1 || this.running ? close : null);
  }

  select(focus) {
    this.dock.current = this;
    this.dock.show();
    if (focus || this.dock.open) this.dock.setOpen(true, focus);
  }

  /** Whether something runs in it. After a page was loaded only the playground knows. */
  async isBusy() {
    if (!this.taken) this.connect();
    await this.met;
    return this.running || Boolean(this.taken);
  }

  clicked(event) {
    if (getSelection().isCollapsed && !event.target.closest("button, a, textarea")) this.focus();
  }

  focus() {
    if (this.screen.open) this.screen.focus();
    else this.line.focus();
  }

  // The connection.

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.retry);
    const address = page(`api/terminal?tab=${this.name}`);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.addEventListener("message", (event) => {
      if (this.socket === socket) this.told(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (this.socket === socket) this.lost();
    });
  }

  /** The connection is gone. A playground that was started again wants another token: a page brings it. */
  lost() {
    this.socket = undefined;
    this.setReady(false);
    if (this.closed || this.taken) return;
    this.status.textContent = "The playground does not answer. Looking for it…";
    const wait = RETRY[Math.min(this.attempts, RETRY.length - 1)];
    this.attempts += 1;
    this.retry = setTimeout(async () => {
      await fetch(page("index.html"), { cache: "no-store" }).catch(() => {});
      this.connect();
    }, wait);
  }

  end() {
    this.closed = true;
    this.send({ close: null });
    this.socket?.close();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  told(message) {
    if (message.text) this.output.append(...message.text);
    else if (message.screen !== undefined) this.draw(message.screen);
    else if (message.frame !== undefined) this.output.frame(message.frame);
    else if (message.ready) this.becomeReady(message.ready);
    else if (message.running) this.setRunning(true);
    else if (message.choices) this.line.choose(message);
    else if (message.hello) this.greeted(message.hello);
    else if (message.clear) this.output.empty();
    else if (message.edit !== undefined) this.edit(message.edit);
    else if (message.taken) this.leftToAnother();
    if (message.n) this.output.came(message.n);
  }

  greeted({ fresh, running, lines }) {
    this.attempts = 0;
    this.status.textContent = "";
    if (fresh && !this.output.isEmpty) {
      this.output.append("note", "— the playground was started again; what ran here has ended —\n");
    } else {
      this.output.empty();
      for (const [kind, text] of lines) this.output.append(kind, text);
      if (fresh) this.output.append("note", "tutor's own commands run here; help lists them.\n");
    }
    this.draw(null);
    this.setRunning(running);
    this.measure();
    this.meet();
  }

  leftToAnother() {
    this.taken = true;
    this.status.replaceChildren("Another page shows this tab now. ",
      element("button", { type: "button", onclick: () => { this.taken = false; this.status.textContent = ""; this.connect(); } }, "Show it here"));
  }

  becomeReady({ prompt, more, code }) {
    this.line.setPrompt(prompt);
    this.setReady(true);
    this.setRunning(false);
    // A command that is not whole goes on with what is typed, not with another block's Run.
    if (more) {
      if (this.waiting[0] && !this.waiting[0].done) this.start(this.waiting.shift());
      return;
    }
    for (const done of this.after.splice(0)) done(code);
    const next = this.waiting.shift();
    if (next) this.start(next);
  }

  setReady(ready) {
    this.ready = ready;
    this.line.root.dataset.ready = ready;
  }

  setRunning(running) {
    const changed = this.running !== running;
    this.running = running;
    this.line.setRunning(running);
    if (changed) this.dock.list.replaceChildren(...this.dock.tabs.map((tab, at) => tab.head(at + 1)));
  }

  // What is typed.

  enter(text) {
    if (this.running) this.send({ run: text });
    else if (this.ready) this.start({ text });
    else this.waiting.push({ text });
    this.scroll();
  }

  run(text) {
    this.line.remember(text);
    return new Promise((done) => {
      const next = { text, done };
      if (this.ready && !this.running) this.start(next);
      else this.waiting.push(next);
    });
  }

  start({ text, done }) {
    this.setReady(false);
    // The connection may just have gone: what is typed waits for the next one.
    if (this.socket?.readyState !== WebSocket.OPEN) {
      this.waiting.unshift({ text, done });
      return;
    }
    if (done) this.after.push(done);
    this.send({ run: text });
    this.scroll();
  }

  complete(text) {
    this.asked = (this.asked ?? 0) + 1;
    this.send({ complete: [text, this.asked] });
    return this.asked;
  }

  // What is shown.

  scroll() {
    this.panel.scrollTop = this.panel.scrollHeight;
  }

  clear() {
    if (!this.running) this.send({ run: "clear" });
  }

  draw(changes) {
    const was = this.screen.open;
    const focused = this.panel.contains(document.activeElement);
    if (changes === null) this.screen.close();
    else this.screen.draw(changes);
    if (was === this.screen.open) return;
    this.panel.classList.toggle("drawing", this.screen.open);
    this.measure();
    if (focused) this.focus();
    this.scroll();
  }

  /** Tells the playground how many letters and lines fit. */
  measure() {
    const size = this.screen.measure(this.panel);
    if (!size || String(size) === String(this.size)) return;
    this.size = size;
    this.send({ size });
  }

  async edit(editing) {
    if (editing === null) {
      this.editor?.close();
      this.editor = undefined;
      return;
    }
    const { openEditor } = await import("./editor.js");
    const answer = (saved) => {
      this.editor = undefined;
      this.send({ saved });
      this.focus();
    };
    this.editor = openEditor({ ...editing, save: answer, cancel: () => answer(null) });
  }
}
