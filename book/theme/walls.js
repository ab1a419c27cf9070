// A container made by hand on the reader's machine, a wall at each press. In: the place
// `<div class="tutor-walls">`. Out: a button, then a row for each wall, with what it changed marked.

import { post } from "./call.js";
import { element } from "./element.js";

const SEEN = [
  ["user", (wall) => String(wall.user)],
  ["host name", (wall) => wall.hostname],
  ["network cards", (wall) => some(wall.cards)],
  ["its number", (wall) => String(wall.number)],
  ["sees processes", (wall) => String(wall.processes)],
  ["files in /", (wall) => some(wall.files)],
  ["kernel", (wall) => wall.kernel],
];

/** Makes the walls ones to build. */
export function show(place) {
  const said = element("p", { class: "said", role: "status" });
  const rows = element("tbody", {});
  const head = ["wall", ...SEEN.map(([name]) => name)].map((name) => element("th", { scope: "col" }, name));
  const shown = element("div", { class: "table", hidden: true, tabindex: "0", role: "region", "aria-label": "What the process sees" },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), rows));
  let walls = [];
  const button = element("button", { type: "button", onclick: async () => {
    button.disabled = true;
    if (rows.childElementCount === walls.length) {
      rows.replaceChildren();
      said.textContent = "Starting a process…";
      try {
        ({ walls } = await post("lab/container"));
        shown.hidden = false;
      } catch (error) {
        said.textContent = [error.message, error.why, ...(error.hints ?? [])].filter(Boolean).join(". ");
      }
    }
    const at = rows.childElementCount;
    if (at < walls.length) {
      rows.append(row(walls[at], walls[at - 1]));
      said.textContent = walls[at].said;
    }
    const next = walls[at + 1];
    button.textContent = next ? `Next wall: ${next.wall}` : "Once more, from the beginning";
    button.disabled = false;
    button.focus({ preventScroll: true });
  } }, "Start an ordinary process");
  place.replaceChildren(button, said, shown);
}

function row(wall, before) {
  const cells = SEEN.map(([, text]) => {
    const now = text(wall);
    const changed = before !== undefined && differs(text(before), now);
    return element("td", { class: changed ? "changed" : null }, changed ? element("strong", {}, now) : now);
  });
  return element("tr", {}, element("th", { scope: "row" }, wall.wall), ...cells);
}

// A machine's other processes come and go meanwhile; a few more or fewer are none of this wall's.
function differs(before, now) {
  const few = Math.abs(Number(before) - Number(now)) < 5 && Number(now) > 1;
  return before !== now && !few;
}

function some(names) {
  return names.length > 4 ? `${names.slice(0, 3).join(" ")} and ${names.length - 3} more` : names.join(" ");
}
