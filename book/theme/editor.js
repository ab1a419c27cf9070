// A light editor, for YAML above all: a textarea, its colours and marks drawn behind it, completion from what the
// cluster serves. Nothing is loaded from elsewhere. Text becomes elements, never markup.

import { post } from "./call.js";
import { element } from "./element.js";

const TOKENS = /(#.*$)|^(\s*(?:- )*)([\w./"'-]+)(:)(?=\s|$)|("(?:[^"\\]|\\.)*"|'[^']*')|\b(true|false|null|-?\d+(?:\.\d+)?)\b(?=\s*$)/gm;
/** Files whose text is an object of the cluster, or several. Others are edited as they are. */
const OBJECTS = /\.(ya?ml|json)$/;
const CHECK_AFTER = 400;
const KEYS = "Ctrl-S saves, Ctrl-Enter applies, Ctrl-Space completes, Tab indents, Escape then Tab leaves";

/** Opens an editor over the page; calls `save(text)` or `cancel()` once. */
export function openEditor({ name, text, save, cancel }) {
  const done = (answer) => () => {
    editor.root.remove();
    answer(editor.text);
  };
  const editor = new Editor({ name, text, save: done((last) => save(last)) });
  editor.bar.append(
    element("button", { type: "button", onclick: done((last) => save(last)) }, "Save"),
    element("button", { type: "button", onclick: done(() => cancel()) }, "Cancel"));
  editor.root.classList.add("over");
  document.body.append(editor.root);
  editor.focus();
  return { close: () => editor.root.remove() };
}

/** A text that is edited. */
export class Editor {
  constructor({ name, text, namespace, save, apply, changed }) {
    Object.assign(this, { namespace, save, apply, onchange: changed, objects: OBJECTS.test(name), marks: [], choices: [], chosen: 0 });
    this.colours = element("pre", { class: "colours", "aria-hidden": "true" });
    this.gutter = element("pre", { class: "gutter", "aria-hidden": "true" });
    this.list = element("ul", { class: "completions", role: "listbox", hidden: true });
    this.input = element("textarea", {
      spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-label": `Editor: ${name}. ${KEYS}`,
      title: KEYS, oninput: () => this.changed(), onkeydown: (event) => this.key(event), onscroll: () => this.follow(),
      onblur: () => this.hide(),
    });
    this.input.value = text;
    this.told = element("ol", { class: "marks", role: "status" });
    this.bar = element("div", { class: "editor-bar" }, element("code", {}, name));
    this.root = element("div", { class: "tutor-editor" }, this.bar,
      element("div", { class: "field" }, this.gutter, element("div", { class: "text" }, this.colours, this.input)), this.told, this.list);
    this.draw();
    this.checkSoon();
  }

  get text() {
    return this.input.value;
  }

  set text(text) {
    this.input.value = text;
    this.changed();
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  changed() {
    this.draw();
    this.checkSoon();
    this.onchange?.(this.text);
    if (!this.list.hidden) this.complete();
  }

  // Colours and marks.

  draw() {
    const lines = this.text.split("\n");
    const wrong = new Map(this.marks.map((mark) => [mark.line, mark.message]));
    this.colours.replaceChildren(...lines.map((line, at) =>
      element("span", { class: wrong.has(at) ? "row wrong" : "row" }, ...(this.objects ? coloured(line) : [line]), "\n")));
    this.gutter.replaceChildren(...lines.map((_, at) =>
      element("span", { class: wrong.has(at) ? "wrong" : "", title: wrong.get(at) ?? null }, `${at + 1}\n`)));
    this.input.rows = Math.min(Math.max(lines.length + 1, 6), 24);
    this.follow();
  }

  follow() {
    this.colours.style.transform = `translate(${-this.input.scrollLeft}px, ${-this.input.scrollTop}px)`;
    this.gutter.style.transform = `translateY(${-this.input.scrollTop}px)`;
  }

  checkSoon() {
    clearTimeout(this.checking);
    if (!this.objects) return;
    this.checking = setTimeout(() => this.check(), CHECK_AFTER);
  }

  async check() {
    const text = this.text;
    try {
      const { marks } = await post("yaml/check", { text, namespace: this.namespace ?? "default" });
      if (text !== this.text) return;
      this.marks = marks;
      this.draw();
      this.told.replaceChildren(...marks.map((mark) => element("li", {},
        element("button", { type: "button", onclick: () => this.goTo(mark) }, `line ${mark.line + 1}`), ` ${mark.message}`)));
      this.input.setAttribute("aria-invalid", String(marks.length > 0));
    } catch {
      // Without a playground there are no marks; the text can still be edited.
    }
  }

  goTo({ line, column }) {
    const before = this.text.split("\n").slice(0, line).join("\n").length + (line > 0 ? 1 : 0);
    this.focus();
    this.input.setSelectionRange(before + column, before + column);
  }

  // Keys.

  key(event) {
    const key = `${event.ctrlKey || event.metaKey ? "Ctrl-" : ""}${event.key}`;
    event.stopPropagation();
    if (!this.list.hidden && this.listKey(key)) return event.preventDefault();
    const action = {
      "Ctrl-s": () => this.save?.(this.text),
      "Ctrl-Enter": () => (this.apply ?? this.save)?.(this.text),
      "Ctrl- ": () => this.complete(),
      "Tab": () => this.indent(event.shiftKey),
      "Enter": () => this.newLine(),
      "Escape": () => { this.leaving = true; },
    }[key];
    // After Escape the next Tab leaves the editor, as everywhere on the page.
    const leaves = this.leaving && event.key === "Tab";
    if (event.key !== "Shift") this.leaving = false;
    if (!action || leaves) return;
    event.preventDefault();
    action();
  }

  listKey(key) {
    const move = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (move) {
      this.chosen = (this.chosen + move + this.choices.length) % this.choices.length;
      this.showChoices();
    } else if (key === "Enter" || key === "Tab") this.take(this.choices[this.chosen]);
    else if (key === "Escape") this.hide();
    else return false;
    return true;
  }

  indent(back) {
    const { selectionStart: start, selectionEnd: end } = this.input;
    const first = this.text.lastIndexOf("\n", start - 1) + 1;
    if (start === end && !back) {
      this.input.setRangeText("  ", start, end, "end");
    } else {
      const block = this.text.slice(first, end);
      const moved = back ? block.replace(/^ {1,2}/gm, "") : block.replace(/^/gm, "  ");
      this.input.setRangeText(moved, first, end, "preserve");
    }
    this.changed();
  }

  newLine() {
    const { selectionStart: start, selectionEnd: end } = this.input;
    const line = this.text.slice(this.text.lastIndexOf("\n", start - 1) + 1, start);
    const indent = line.match(/^ */)[0] + (/:\s*$/.test(line) ? "  " : "") + (/^\s*- /.test(line) ? "  " : "");
    this.input.setRangeText(`\n${indent}`, start, end, "end");
    this.changed();
  }

  // Completion.

  async complete() {
    if (!this.objects) return;
    const at = this.input.selectionStart;
    const before = this.text.slice(0, at).split("\n");
    const asked = { text: this.text, line: before.length - 1, column: before.at(-1).length };
    const { begun, choices } = await post("yaml/complete", asked).catch(() => ({ begun: "", choices: [] }));
    if (at !== this.input.selectionStart) return;
    Object.assign(this, { begun, choices, chosen: 0 });
    if (choices.length === 0 || (choices.length === 1 && choices[0].name === begun)) return this.hide();
    const field = this.input.parentElement;
    const top = field.parentElement.offsetTop + (asked.line + 1) * this.lineHeight() - this.input.scrollTop;
    this.list.style.setProperty("--top", `${top}px`);
    this.list.style.setProperty("--left", `${field.offsetLeft - this.input.scrollLeft}px`);
    this.list.style.setProperty("--column", asked.column - begun.length);
    this.showChoices();
  }

  lineHeight() {
    return parseFloat(getComputedStyle(this.input).lineHeight) || 20;
  }

  showChoices() {
    this.list.hidden = false;
    this.list.replaceChildren(...this.choices.map((choice, at) => element("li", {
      role: "option", "aria-selected": String(at === this.chosen), title: choice.about || null,
      onmousedown: (event) => { event.preventDefault(); this.take(choice); },
    }, element("b", {}, choice.name), choice.kind ? ` ${choice.kind}` : "", at === this.chosen && choice.about ? element("small", {}, choice.about) : null)));
    const chosen = this.list.children[this.chosen];
    const under = chosen.offsetTop + chosen.offsetHeight - this.list.clientHeight;
    this.list.scrollTop = Math.max(Math.min(this.list.scrollTop, chosen.offsetTop), under);
  }

  take(choice) {
    const at = this.input.selectionStart;
    const line = this.text.slice(this.text.lastIndexOf("\n", at - 1) + 1, at);
    const indent = line.match(/^ */)[0] + (/^\s*- /.test(line) ? "  " : "");
    this.hide();
    this.input.setRangeText(choice.insert.replaceAll("\n", `\n${indent}`), at - this.begun.length, at, "end");
    this.changed();
  }

  hide() {
    this.list.hidden = true;
  }
}

/** A line as pieces with names of colours. */
function coloured(line) {
  const pieces = [];
  let last = 0;
  for (const found of line.matchAll(TOKENS)) {
    const [, comment, lead, key, , text, plain] = found;
    if (found.index > last) pieces.push(line.slice(last, found.index));
    if (comment) pieces.push(element("i", { class: "comment" }, comment));
    else if (key) pieces.push(lead, element("i", { class: "key" }, key), ":");
    else if (text) pieces.push(element("i", { class: "string" }, text));
    else pieces.push(element("i", { class: "value" }, plain));
    last = found.index + found[0].length;
  }
  pieces.push(line.slice(last));
  return pieces;
}
