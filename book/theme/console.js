// Console blocks: Run puts what you type into the terminal; the copy button copies it, and not what is
// answered.

import { element } from "./element.js";

/** What the terminal runs; a block with anything else is for a shell of your own. */
const RUNS = new Set(["kubectl", "tutor", "curl", "watch", "cat", "cd", "echo", "ls", "mkdir", "for", "while", "until", "if"]);
/** What of tutor is for a shell of your own. */
const ELSEWHERE = /^tutor (serve|init|dev|completions)\b|^tutor$/;

/** A word that stands for one of yours: `--at REVISION`. Such a line is for you to fill in and type. Text behind `<<END` is text. */
const PLACEHOLDER = /\s[A-Z]{3,}(?=\s|$)/;

/** The commands of a console block: what stands behind `$ `, with the lines that continue it. */
export function commands(text) {
  const typed = [];
  let continued = false;
  let until;
  for (const line of text.split("\n")) {
    if (until !== undefined) {
      typed[typed.length - 1] += `\n${line}`;
      if (line.trim() === until) until = undefined;
      continue;
    }
    if (line.startsWith("$ ")) typed.push(line.slice(2));
    else if (continued) typed[typed.length - 1] += `\n${line}`;
    else continue;
    continued = line.endsWith("\\");
    until = line.match(/<<-?\s*['"]?(\w+)/)?.[1];
  }
  return typed;
}

/** Makes mdBook's copy buttons copy commands only. */
export function copyCommandsOnly() {
  document.addEventListener("click", copy, { capture: true });
}

/** Gives every console block that the terminal can run a button that does: one command after the other. */
export function offerRun(run) {
  for (const code of document.querySelectorAll("pre > code.language-console")) {
    const typed = commands(code.textContent).filter((command) => !PLACEHOLDER.test(command.split("\n")[0]));
    const runs = typed.length > 0 && typed.every((command) => RUNS.has(command.split(/\s/)[0]) && !ELSEWHERE.test(command));
    if (!runs) continue;
    const said = element("small", { role: "status" });
    const button = element("button", {
      type: "button", title: "Run it in the terminal below", "aria-label": `Run: ${typed[0].split("\n")[0]}`,
      onclick: () => run(typed, (words) => { said.textContent = words; }),
    }, "Run");
    code.parentElement.after(element("div", { class: "tutor-run" }, said, button));
  }
}

async function copy(event) {
  const button = event.target.closest?.("button.clip-button");
  const code = button?.closest("pre")?.querySelector("code.language-console");
  if (!code) return;
  const typed = commands(code.textContent).join("\n");
  if (!typed) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  await navigator.clipboard.writeText(typed);
  button.setAttribute("title", "Copied");
  button.classList.add("copied");
  button.addEventListener("mouseleave", () => button.classList.remove("copied"), { once: true });
}
