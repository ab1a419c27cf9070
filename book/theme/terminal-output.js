// What a tab of the terminal has shown. Text that comes between two frames is put into the page at once,
// in one layout, however many messages it came in; the playground is told what is drawn only then, so a
// program that writes faster than the page can draw waits.

import { element } from "./element.js";

/** The most text of one tab that stays in the page; older text goes first. */
const MOST_CHARACTERS = 400_000;
/** Lines stand in blocks of about this size: what is added lays out the last block alone. */
const BLOCK_CHARACTERS = 8_192;

/** The lines that were shown, the newest at the end. */
export class Output {
  /** `drawn(number)` is called when everything up to that message is in the page. */
  constructor(drawn) {
    this.drawn = drawn;
    this.root = element("div", { class: "output", role: "log", "aria-label": "Output", tabindex: "0" });
    this.empty();
  }

  /** Whether nothing is shown. */
  get isEmpty() {
    return this.characters === 0 && this.waiting.length === 0;
  }

  /** Adds text, at the next frame. */
  append(kind, text) {
    const last = this.waiting.at(-1);
    if (last?.[0] === kind) last[1].push(text);
    else this.waiting.push([kind, [text]]);
    this.soon();
  }

  /** A picture in place of the one before; null: it stays as it is. */
  frame(text) {
    this.waiting.push(["frame", text]);
    this.soon();
  }

  /** Notes that a message has come; it is confirmed with the frame that draws it. */
  came(number) {
    this.number = number;
    this.soon();
  }

  empty() {
    this.root.replaceChildren();
    Object.assign(this, { characters: 0, waiting: [], picture: undefined, block: undefined });
  }

  soon() {
    if (this.scheduled) return;
    this.scheduled = true;
    const draw = () => {
      if (!this.scheduled) return;
      this.scheduled = false;
      this.draw();
    };
    // A page in the background draws no frames.
    if (document.hidden) setTimeout(draw, 50);
    else requestAnimationFrame(draw);
    setTimeout(draw, 200);
  }

  draw() {
    const waiting = this.waiting.splice(0);
    const scrolled = this.root.parentElement;
    const atEnd = waiting.length > 0 && scrolled && scrolled.scrollHeight - scrolled.scrollTop - scrolled.clientHeight < 40;
    for (const [kind, text] of waiting) {
      if (kind === "frame") this.showPicture(text);
      else this.add(kind, text.join(""));
    }
    while (this.characters > MOST_CHARACTERS && this.root.childElementCount > 1) {
      this.characters -= Number(this.root.firstElementChild.dataset.size);
      this.root.firstElementChild.remove();
    }
    if (atEnd) scrolled.scrollTop = scrolled.scrollHeight;
    if (this.number) this.drawn(this.number);
    this.number = undefined;
  }

  /** Adds text in blocks that end where a line ends. */
  add(kind, text) {
    while (text) {
      const block = this.block ?? this.newBlock();
      const size = Number(block.dataset.size);
      let end = text.length;
      if (size + end > BLOCK_CHARACTERS) {
        const line = text.indexOf("\n", Math.max(0, BLOCK_CHARACTERS - size - 1));
        if (line >= 0) end = line + 1;
      }
      const now = text.slice(0, end);
      text = text.slice(end);
      if (block.lastElementChild?.className === kind) block.lastElementChild.append(now);
      else block.append(element("span", { class: kind }, now));
      block.dataset.size = size + now.length;
      this.characters += now.length;
      if (size + now.length >= BLOCK_CHARACTERS && now.endsWith("\n")) this.block = undefined;
    }
  }

  newBlock() {
    this.block = element("div", { class: "block" });
    this.block.dataset.size = 0;
    this.root.append(this.block);
    return this.block;
  }

  showPicture(text) {
    if (text === null) {
      this.picture = undefined;
      return;
    }
    if (!this.picture?.isConnected) {
      this.picture = element("span", { class: "out frame" });
      this.newBlock().append(this.picture);
      this.block = undefined;
    }
    const block = this.picture.parentElement;
    this.characters += text.length + 1 - Number(block.dataset.size);
    block.dataset.size = text.length + 1;
    this.picture.textContent = `${text}\n`;
  }
}
