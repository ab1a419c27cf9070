// Your cluster, live, at the foot of each page: the stream of changes, and how fast you see them. One
// stream for the page that you look at; none for a page in the background. The drawing is in map.js,
// an object's inside in inspect.js.

import { address } from "./call.js";
import { element } from "./element.js";
import { inspect } from "./inspect.js";
import { ClusterMap } from "./map.js";

const OPEN = "tutor-cluster-open";
/** Milliseconds a write in slow motion. */
const SLOW = 900;
/** Steps that wait to be shown; older ones are shown at once. */
const MOST_WAITING = 2_000;

/** Puts the map at the foot of the page. */
export function showCluster() {
  const count = element("span", { class: "count" }, "· what is there, live");
  const panel = element("div", { class: "inspect-place" });
  const map = new ClusterMap((object) => inspect(panel, object));
  const player = new Player(map, count);
  const strip = element("details", { class: "tutor-cluster", open: remembered() },
    element("summary", {}, "Your cluster ", count), player.controls, map.element, panel);
  document.querySelector("main")?.append(strip);
  let stream = null;
  const follow = () => {
    const wanted = strip.open && document.visibilityState === "visible";
    if (wanted && !stream) {
      stream = new EventSource(address("cluster"));
      stream.onmessage = (event) => player.take(JSON.parse(event.data));
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

/** Shows changes as they come, one write at a time in slow motion, or one at each press. */
class Player {
  #map;
  #count;
  #waiting = [];
  #pace = "live";
  #timer = null;
  #drawing = false;

  constructor(map, count) {
    this.#map = map;
    this.#count = count;
    this.left = element("span", { class: "aside", role: "status" });
    this.step = element("button", { type: "button", disabled: true, onclick: () => this.#next() }, "Step");
    const paces = [["live", "Live"], ["slow", "Slow motion"], ["paused", "Pause"]].map(([pace, words]) =>
      element("button", { type: "button", "aria-pressed": String(pace === "live"), "data-pace": pace, onclick: () => this.#choose(pace) }, words));
    this.paces = paces;
    const table = element("button", { type: "button", "aria-pressed": "false", onclick: () => {
      table.setAttribute("aria-pressed", String(map.toggleTable()));
    } }, "As a table");
    this.controls = element("div", { class: "buttons", role: "group", "aria-label": "How the map is shown" }, ...paces, this.step, table, this.left);
  }

  take(news) {
    if (news.all) this.#waiting = [{ all: true, put: news.put, gone: [], writes: [] }];
    else if (this.#pace === "live") this.#waiting.push(news);
    else this.#waiting.push(...writeByWrite(news));
    if (this.#pace === "live" || news.all) this.#draw();
    else {
      while (this.#waiting.length > MOST_WAITING) this.#show(this.#waiting.shift());
      this.#tell();
    }
  }

  #choose(pace) {
    this.#pace = pace;
    for (const button of this.paces) button.setAttribute("aria-pressed", String(button.dataset.pace === pace));
    this.step.disabled = pace !== "paused";
    clearInterval(this.#timer);
    this.#timer = pace === "slow" ? setInterval(() => this.#next(), SLOW) : null;
    this.#map.spoken(pace !== "live");
    if (pace === "live") this.#draw();
    this.#tell();
  }

  #next() {
    if (this.#waiting.length > 0) this.#show(this.#waiting.shift());
    this.#tell();
  }

  // All that came since the last frame is drawn in one.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const news of this.#waiting.splice(0)) this.#show(news);
    });
  }

  #show(news) {
    this.#map.change(news);
    this.#count.textContent = `· ${this.#map.counted()}`;
  }

  #tell() {
    const left = this.#waiting.length;
    this.left.textContent = this.#pace === "live" ? "" : `${left} ${left === 1 ? "step waits" : "steps wait"}`;
  }
}

/** One step a write, with the object that it wrote; what no write explains comes last. */
function writeByWrite({ put, gone, writes }) {
  const rest = new Map(put.map((object) => [object.id, object]));
  const steps = writes.map((write) => {
    const wrote = put.filter((object) => object.name === write.name && object.namespace === write.namespace
      && `${object.kind.toLowerCase()}s` === write.resource);
    // Several writes of one object within a moment are seen as one: the last shows what came of it.
    for (const object of wrote) rest.delete(object.id);
    return { put: wrote, gone: [], writes: [write] };
  });
  if (rest.size > 0 || gone.length > 0) steps.push({ put: [...rest.values()], gone, writes: [] });
  return steps;
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
