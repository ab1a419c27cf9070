// How long a process, a container and a machine take to start, measured on the reader's machine. In: the
// place `<div class="tutor-lab">`. Out: a button, then a table with a bar for each.

import { post } from "./call.js";
import { element } from "./element.js";

/** Makes the experiment one to press. */
export function show(place) {
  const said = element("p", { class: "said", role: "status" });
  const shown = element("div");
  const button = element("button", { type: "button", onclick: async () => {
    button.disabled = true;
    said.textContent = "Starting twenty of each…";
    try {
      const { starts } = await post("lab/boot");
      shown.replaceChildren(table(starts));
      said.textContent = "Median of twenty starts, from nothing until it runs.";
    } catch (error) {
      said.textContent = [error.message, error.why, ...(error.hints ?? [])].filter(Boolean).join(". ");
    }
    button.disabled = false;
  } }, "Measure on this machine");
  place.replaceChildren(button, said, shown);
}

function table(starts) {
  const longest = Math.max(...starts.map((start) => start.milliseconds));
  const head = ["what", "milliseconds", "beside the others"].map((name) => element("th", { scope: "col" }, name));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...starts.map((start) => row(start, longest))));
}

function row(start, longest) {
  const notes = [`until ${start.until}`];
  if (start.source) notes.push(`not measured here: ${start.source}`);
  if (start.obstacle) notes.push(`because ${start.obstacle}`);
  const figure = start.milliseconds.toFixed(start.milliseconds < 10 ? 2 : 0);
  const bar = element("meter", { min: 0, max: longest, value: start.milliseconds, "aria-label": `${start.what}: ${figure} milliseconds` });
  return element("tr", {},
    element("th", { scope: "row" }, start.what, ...notes.map((note) => element("small", {}, note))),
    element("td", {}, figure),
    element("td", {}, bar));
}
