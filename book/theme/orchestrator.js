// Two minutes of keeping three Pods alive: the reader, then a Deployment. In: the place
// `<div class="tutor-orchestrator">`. Out: two buttons, what happens as it happens, and the scores side by
// side. The game is played in the cluster; the page only tells.

import { postForLines } from "./call.js";
import { element } from "./element.js";

const WANTED = 3;

/** Makes the game one to play. */
export function show(place) {
  const said = element("p", { class: "said", role: "status" });
  const lights = element("p", { class: "lights" });
  const happened = element("ul", { class: "happened", tabindex: "0", "aria-label": "What happened" });
  const scores = element("tbody", {});
  const names = ["who kept them", "died", "all three ran", "longest gap"].map((name) => element("th", { scope: "col" }, name));
  const table = element("table", { hidden: true }, element("thead", {}, element("tr", {}, ...names)), scores);
  const buttons = [["you", "You keep them"], ["deployment", "A Deployment keeps them"]].map(([keeper, words]) =>
    element("button", { type: "button", onclick: () => play(keeper) }, words));
  const play = async (keeper) => {
    for (const button of buttons) button.disabled = true;
    happened.replaceChildren();
    lights.textContent = "";
    said.textContent = "Removing what an earlier game left, and starting three…";
    try {
      for await (const told of postForLines("lab/orchestrate", { keeper })) {
        if (told.error) throw Object.assign(new Error(told.error.what), told.error);
        take(told, keeper);
      }
    } catch (error) {
      said.textContent = [error.message, error.why, ...(error.hints ?? [])].filter(Boolean).join(". ");
    }
    for (const button of buttons) button.disabled = false;
  };
  let begun = "default";
  const take = (told, keeper) => {
    if (told.what === "begun") begun = told.namespace;
    else if (told.what === "ready") {
      const missing = Math.max(0, WANTED - told.names.length);
      lights.textContent = `${"● ".repeat(told.names.length)}${"○ ".repeat(missing)} ${told.names.join(", ")}`;
      said.textContent = missing === 0 ? "All three run." : keeper === "deployment" ? `${missing} missing.`
        : `${missing} missing. In the terminal: kubectl run NAME --image=tutor/web:1 -n ${begun}, with a name that begins with keep-`;
    } else if (told.what === "killed") {
      happened.prepend(element("li", {}, `${told.at.toFixed(0)} s: ${told.name} died`));
    } else if (told.what === "score") {
      said.textContent = "Two minutes are over. The Pods are removed.";
      lights.textContent = "";
      table.hidden = false;
      scores.append(element("tr", {}, element("th", { scope: "row" }, keeper === "you" ? "you" : "a Deployment"),
        ...[String(told.killed), `${told.whole.toFixed(0)} % of the time`, `${told.longest.toFixed(1)} s`].map((text) => element("td", {}, text))));
    }
  };
  place.replaceChildren(element("div", { class: "buttons", role: "group", "aria-label": "Who keeps three Pods alive" }, ...buttons), said, lights, happened, table);
}
