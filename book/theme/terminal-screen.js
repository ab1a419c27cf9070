// The screen of a program with a terminal (exec -it). The playground keeps it and sends the rows that
// change, as text with names of styles; here they become elements. Keys go back as a terminal sends them.

import { element } from "./element.js";

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~",
  PageUp: "\x1b[5~", PageDown: "\x1b[6~", F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS",
};
const ARROWS = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };

/** Rows of letters, and the keys that are pressed on them. */
export class Screen {
  constructor(send) {
    this.send = send;
    this.rows = [];
    this.open = false;
    this.cursor = element("span", { class: "cursor", "aria-hidden": "true" });
    this.probe = element("span", { class: "probe", "aria-hidden": "true" }, "mmmmmmmmmm");
    this.lines = element("div", { class: "rows" });
    this.root = element("div", {
      class: "screen", tabindex: "0", role: "textbox", "aria-multiline": "true", "aria-live": "polite",
      "aria-label": "Terminal of the running program; Ctrl and ` leave it",
      onkeydown: (event) => this.key(event), onpaste: (event) => this.paste(event),
    }, this.probe, this.lines, this.cursor);
  }

  focus() {
    this.root.focus({ preventScroll: true });
  }

  draw({ rows, height, cursor, arrows }) {
    this.open = true;
    this.arrows = arrows;
    while (this.rows.length < height) {
      this.rows.push(element("div", { class: "row" }));
      this.lines.append(this.rows.at(-1));
    }
    while (this.rows.length > height) this.rows.pop().remove();
    for (const [at, pieces] of Object.entries(rows)) {
      this.rows[at]?.replaceChildren(...pieces.map(([text, style]) => (style ? element("span", { class: style }, text) : text)));
    }
    this.cursor.hidden = cursor === false;
    if (cursor) {
      this.cursor.style.setProperty("--row", cursor[0]);
      this.cursor.style.setProperty("--column", cursor[1]);
    }
  }

  close() {
    this.open = false;
    this.rows = [];
    this.lines.replaceChildren();
  }

  /** Letters and lines that fit in the panel; nothing while it is closed. */
  measure(panel) {
    this.probe.hidden = false;
    const letter = this.probe.getBoundingClientRect();
    const hiddenRoot = letter.width === 0;
    if (hiddenRoot) {
      const style = getComputedStyle(panel);
      const size = parseFloat(style.fontSize) || 14;
      const width = panel.clientWidth - 24;
      return width > 0 ? [Math.floor(width / (size * 0.6)), Math.max(4, Math.floor((panel.clientHeight - 16) / (size * 1.4)))] : undefined;
    }
    const width = panel.clientWidth - 24;
    return width > 0 ? [Math.floor(width / (letter.width / 10)), Math.max(4, Math.floor((panel.clientHeight - 16) / letter.height))] : undefined;
  }

  key(event) {
    const bytes = this.bytes(event);
    if (bytes === undefined) return;
    event.preventDefault();
    this.send(bytes);
  }

  bytes({ key, ctrlKey, altKey, metaKey, shiftKey, isComposing }) {
    if (isComposing || metaKey || (ctrlKey && key === "`")) return undefined;
    if (ctrlKey && shiftKey) return undefined;
    if (ctrlKey && key.toLowerCase() === "c" && !getSelection().isCollapsed) return undefined;
    if (ctrlKey && key.toLowerCase() === "v") return undefined;
    if (key === "Tab" && shiftKey) return undefined;
    if (ARROWS[key]) return `${this.arrows && !["Home", "End"].includes(key) ? "\x1bO" : "\x1b["}${ARROWS[key]}`;
    if (KEYS[key]) return KEYS[key];
    if ([...key].length !== 1) return undefined;
    if (ctrlKey) {
      const code = key.toUpperCase().charCodeAt(0);
      if (key === " ") return "\0";
      return code >= 64 && code < 96 ? String.fromCharCode(code - 64) : undefined;
    }
    return altKey ? `\x1b${key}` : key;
  }

  paste(event) {
    event.preventDefault();
    this.send(event.clipboardData.getData("text").replaceAll("\n", "\r"));
  }
}
