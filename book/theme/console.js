// Console blocks: the copy button copies what you type, not what is answered.

/** The commands of a console block: lines behind a `$ `, with the lines that continue them. */
export function commands(text) {
  const typed = [];
  let continued = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("$ ")) typed.push(line.slice(2));
    else if (continued) typed.push(line);
    else continue;
    continued = line.endsWith("\\");
  }
  return typed.join("\n");
}

/** Makes mdBook's copy buttons do that. */
export function copyCommandsOnly() {
  document.addEventListener("click", copy, { capture: true });
}

async function copy(event) {
  const button = event.target.closest?.("button.clip-button");
  const code = button?.closest("pre")?.querySelector("code.language-console");
  if (!code) return;
  const typed = commands(code.textContent);
  if (!typed) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  await navigator.clipboard.writeText(typed);
  button.setAttribute("title", "Copied");
  button.classList.add("copied");
  button.addEventListener("mouseleave", () => button.classList.remove("copied"), { once: true });
}
