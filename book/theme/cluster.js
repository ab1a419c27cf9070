// Your cluster, live: each node with its Pods, as they change. One stream for the page that you
// look at; none for a page in the background.

import { address } from "./call.js";
import { element } from "./element.js";

const OPEN = "tutor-cluster-open";

/** Puts the strip at the foot of the page. */
export function showCluster() {
  const count = element("span", { class: "count" }, "· nodes and Pods, live");
  const nodes = element("div", { class: "nodes" });
  const strip = element("details", { class: "tutor-cluster", open: remembered() },
    element("summary", {}, "Your cluster ", count), nodes);
  document.querySelector("main")?.append(strip);
  let stream = null;
  const follow = () => {
    const wanted = strip.open && document.visibilityState === "visible";
    if (wanted && !stream) {
      stream = new EventSource(address("cluster"));
      stream.onmessage = (event) => draw(JSON.parse(event.data), nodes, count);
      stream.onerror = () => { count.textContent = "· does not answer; trying again"; };
    } else if (!wanted && stream) {
      stream.close();
      stream = null;
    }
  };
  strip.addEventListener("toggle", () => {
    remember(strip.open);
    follow();
  });
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", () => stream?.close());
  follow();
}

function draw(picture, nodes, count) {
  const pods = picture.nodes.reduce((sum, node) => sum + node.pods.length + node.more, 0);
  const waiting = picture.waiting.length + picture.more;
  count.textContent = `· ${plural(picture.nodes.length, "node")}, ${plural(pods, "Pod")}${waiting ? `, ${waiting} waiting for a node` : ""}`;
  const drawn = picture.nodes.map((node) => place(node.name, nodeState(node), node));
  if (waiting) drawn.push(place("no node yet", "", { pods: picture.waiting, more: picture.more, ready: true }));
  nodes.replaceChildren(...drawn);
}

function nodeState(node) {
  return [node.ready ? "Ready" : "NotReady", node.cordoned ? "SchedulingDisabled" : ""].filter(Boolean).join(", ");
}

function place(name, state, { pods, more, ready }) {
  const list = element("ul", {}, ...pods.map(pod));
  if (more > 0) list.append(element("li", { class: "aside" }, `and ${more} more`));
  const empty = pods.length === 0 ? element("p", { class: "aside" }, "no Pod") : null;
  return element("section", { class: ready ? "node" : "node away", "aria-label": name },
    element("h3", {}, name, " ", element("small", {}, state)), empty ?? list);
}

function pod({ namespace, name, status, ready }) {
  const where = namespace === "default" ? "" : `${namespace}/`;
  return element("li", { class: ready ? "pod ready" : "pod", title: `${namespace}/${name}` },
    element("span", { class: "name" }, `${where}${name}`), " ",
    element("small", {}, status === "Running" && !ready ? "Running, not ready" : status));
}

function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

function remembered() {
  try {
    return localStorage.getItem(OPEN) === "yes";
  } catch {
    return false;
  }
}

function remember(open) {
  try {
    localStorage.setItem(OPEN, open ? "yes" : "no");
  } catch {
    // A browser that keeps nothing shows it closed next time.
  }
}
