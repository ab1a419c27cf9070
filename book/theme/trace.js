// The timeline of one command: who wrote what, because of what. In: `<div class="tutor-trace"
// data-of="deployment/web">` in a page. Out: a list that can be read with keyboard and screen
// reader; each line opens to what that write changed, and to the object as it was then.

import { get } from "./call.js";
import { element } from "./element.js";

/** Fills the page's timelines. */
export function showTraces() {
  for (const place of document.querySelectorAll(".tutor-trace")) fill(place);
}

function fill(place) {
  const of = place.dataset.of;
  const subject = of ? `of=${encodeURIComponent(of)}&namespace=${place.dataset.namespace ?? "default"}` : "last=true";
  const said = element("p", { class: "aside", role: "status" });
  const list = element("ol", { class: "steps" });
  const look = async () => {
    said.textContent = "reading …";
    try {
      const { chains } = await get(`trace?${subject}`);
      const chain = chains.at(-1);
      list.replaceChildren(...(chain?.steps ?? []).map((step) => line(step, subject)));
      said.textContent = chain ? summary(chain.steps) : nothing(of);
    } catch (error) {
      list.replaceChildren();
      said.textContent = [error.message, error.why, ...error.hints ?? []].filter(Boolean).join(". ");
    }
  };
  const title = of ? `Trace ${of}` : "Trace your last command";
  place.replaceChildren(element("button", { type: "button", onclick: look }, title), said, list);
}

function nothing(of) {
  return of ? `Nobody has written ${of} yet. Run the command above, then look again.` : "No command has written anything yet.";
}

function summary(steps) {
  const last = steps.reduce((latest, step) => Math.max(latest, step.after_ms), 0);
  const parts = new Set(steps.map((step) => step.who)).size;
  return `${steps.length} writes by ${parts} writers in ${last} ms. Open one to see what it changed.`;
}

function line(step, subject) {
  const changes = element("div", { class: "changes" });
  const details = element("details", {},
    element("summary", {},
      element("span", { class: "after" }, `${step.after_ms} ms`), " ",
      element("b", {}, step.who), ` ${step.verb} `,
      element("code", {}, what(step)), " ",
      element("small", {}, `revision ${step.revision}${step.because_of ? `, because of ${step.because_of}` : ""}`)),
    changes);
  details.addEventListener("toggle", () => {
    if (details.open && !changes.hasChildNodes()) open(changes, step, subject);
  });
  const item = element("li", {}, details);
  item.style.setProperty("--depth", Math.min(step.depth, 8));
  return item;
}

function what({ resource, name, subresource }) {
  return `${resource}/${name}${subresource ? `/${subresource}` : ""}`;
}

async function open(place, step, subject) {
  try {
    const { changes, yaml } = await get(`trace?${subject}&at=${step.revision}`);
    place.replaceChildren(...changes.map(change));
    if (changes.length === 0) place.append("It changed nothing that is not bookkeeping.");
    place.append(then(step, yaml));
  } catch (error) {
    place.replaceChildren([error.message, error.why].filter(Boolean).join(": "));
  }
}

/** The object as that write left it. */
function then(step, yaml) {
  if (!yaml) return element("p", { class: "aside" }, "It was gone then.");
  return element("details", { class: "then" },
    element("summary", {}, `The object at revision ${step.revision}`),
    element("pre", { tabindex: "0" }, element("code", {}, yaml)));
}

function change({ path, before, after }) {
  const sides = [before, after].map((value) => (value == null ? "" : JSON.stringify(value)));
  return element("div", { class: "change" },
    element("code", {}, path), " ",
    before == null ? null : element("del", {}, sides[0]), before == null || after == null ? null : " → ",
    after == null ? null : element("ins", {}, sides[1]));
}
