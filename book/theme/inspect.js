// One object of the map, looked into: its YAML, events and logs, for a Pod what the scheduler found, and
// for a node what you can do to it.

import { get, post } from "./call.js";
import { element } from "./element.js";

/** What changes within this time is read once. */
const BURST = 500;
/** Events are written a moment after what they tell of: so long after the last change they are read once more. */
const AFTER = 3_000;

/** Shows an object in `place`, and puts the focus there. Returns what to call when it has changed. */
export function inspect(place, object) {
  const from = document.activeElement;
  const close = () => {
    place.replaceChildren();
    from?.focus();
  };
  const title = element("h3", { tabindex: "-1" }, `${object.kind} ${object.name}`);
  const body = element("div", {}, element("p", { class: "aside" }, "reading …"));
  const panel = element("section", { class: "inspect", "aria-label": `${object.kind} ${object.name}` },
    title, element("button", { type: "button", onclick: close }, "Close"), body);
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  place.replaceChildren(panel);
  title.focus();
  const read = () => get(`inspect?${new URLSearchParams({ kind: object.kind, namespace: object.namespace, name: object.name })}`);
  let told = null;
  let judged = null;
  const first = async () => {
    const found = await read();
    told = events(found.events);
    judged = verdict(found.verdict);
    body.replaceChildren(...[found.node && actions(object, found.node), told, judged, logs(found.logs), yaml(found.yaml)].filter(Boolean));
  };
  first().catch((error) => {
    body.replaceChildren(element("p", { class: "failed" }, [error.message, error.why].filter(Boolean).join(": ")));
  });
  // Events go on under the reader's eyes. What is opened to be read stays as it was read.
  const again = async () => {
    const found = await read();
    const now = events(found.events);
    now.open = told.open;
    told.replaceWith(now);
    told = now;
    // A Pod that waited for a node was opened before the scheduler had judged.
    if (judged || !found.verdict) return;
    judged = verdict(found.verdict);
    told.after(judged);
  };
  const look = () => {
    // An object that is gone keeps what was said of it.
    if (told && panel.isConnected) again().catch(() => {});
  };
  let soon = null;
  let later = null;
  const lookSoon = () => {
    soon ??= setTimeout(() => {
      soon = null;
      look();
    }, BURST);
  };
  const lookLater = () => {
    clearTimeout(later);
    later = setTimeout(look, AFTER);
  };
  lookLater();
  return () => {
    if (!panel.isConnected) return;
    lookSoon();
    lookLater();
  };
}

/** Buttons for what can be done to a node. */
function actions({ name }, node) {
  const said = element("span", { class: "aside", role: "status" });
  const bar = element("div", { class: "buttons", role: "group", "aria-label": `What to do to ${name}` });
  const show = ({ power, cable, cordoned }) => {
    const offers = [cordoned ? ["uncordon", "Uncordon"] : ["cordon", "Cordon"]];
    if (power) offers.push(power === "on" ? ["power off", "Power off"] : ["power on", "Power on"]);
    if (cable) offers.push(cable === "joined" ? ["cut off", "Pull its cable"] : ["join", "Put its cable in"]);
    bar.replaceChildren(...offers.map(([action, words], at) => element("button", { type: "button", onclick: () => act(action, at) }, words)), said);
  };
  const act = async (action, at) => {
    for (const button of bar.querySelectorAll("button")) button.disabled = true;
    let now = node;
    try {
      now = node = await post("nodes", { name, do: action });
      said.textContent = DONE[action];
    } catch (error) {
      said.textContent = [error.message, ...error.hints ?? []].join(": ");
    }
    show(now);
    // In the place of what was pressed is the way back.
    bar.querySelectorAll("button")[at]?.focus();
  };
  show(node);
  return bar;
}

/** What comes of it. */
const DONE = {
  cordon: "Closed to new Pods. Those that run stay.",
  uncordon: "Open to new Pods.",
  "cut off": "It runs on, and nobody reaches it. Watch what the cluster believes of its Pods.",
  join: "Its kubelet reaches the API server again, and learns what was decided meanwhile.",
  "power off": "The plug is pulled. Nobody has told the cluster: watch when it notices.",
  "power on": "It boots, empty.",
};

function part(title, open, ...inside) {
  return element("details", { open }, element("summary", {}, title), ...inside);
}

function text(words) {
  return element("pre", { tabindex: "0" }, element("code", {}, words));
}

function yaml(words) {
  return part("YAML", false, text(words));
}

function logs(words) {
  return words == null ? null : part("Logs", false, text(words || "It has printed nothing."));
}

function events(list) {
  const lines = list.map(({ type, reason, message, from, count }) => element("li", {},
    element("b", { class: type === "Warning" ? "failed" : "" }, reason), ` ${message ?? ""} `,
    element("small", {}, `${from ?? ""}${count > 1 ? `, ${count} times` : ""}`)));
  return part(`Events (${list.length})`, true, lines.length > 0 ? element("ul", {}, ...lines) : element("p", {}, "None."));
}

function verdict(record) {
  if (!record) return null;
  const chosen = record.node ? `The scheduler chose ${record.node}.` : `The scheduler found no node: ${record.outcome}.`;
  const refused = record.refused ? [element("p", {}, `For every node: ${record.refused.join(": ")}`)] : [];
  const lines = record.nodes.map((node) => element("li", {}, element("b", {}, node.node), " ",
    node.verdict === "Fits" ? `${node.total} points: ${points(node.scores)}` : `refused by ${node.by}: ${node.reasons.join(", ")}`));
  return part("What the scheduler found", true, element("p", {}, chosen), ...refused, element("ul", {}, ...lines));
}

function points(scores) {
  return Object.entries(scores).filter(([, score]) => score !== 0).map(([plugin, score]) => `${plugin} ${score}`).join(", ") || "none";
}
