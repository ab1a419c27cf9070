// The map: parts of the control plane that light up with each write, nodes with their Pods, who owns
// what, and whom a Service reaches. In: objects and writes. Out: elements, kept by object, so that a
// change touches the elements of what changed and no other; the same as a table.

import { element } from "./element.js";

const PARTS = [
  ["you", "You and your programs"], ["kube-scheduler", "kube-scheduler"], ["controllers", "kube-controller-manager"],
  ["kubelet", "kubelets"], ["api", "kube-apiserver"], ["etcd", "etcd"],
];
/** Pods on one node from which on they are dots. */
const DENSE = 30;
/** The Pod of a place at which the Tab key stops. */
const STOP = 'button[tabindex="0"]';
/** How long a part stays lit, and how long a request takes to the next part, for the eye. */
const LIT = 700;
const HOP = 140;

export class ClusterMap {
  #objects = new Map();
  #made = new Map();
  #rows = new Map();
  #lights = new Map();
  #places = new Map();
  #open;
  #body = null;
  #opened = null;

  /** `open` is called with an object that the reader wants to look into; what it returns, at each change of it. */
  constructor(open) {
    this.#open = open;
    this.parts = element("ol", { class: "parts", "aria-label": "Parts of the control plane" },
      ...PARTS.map(([part, words]) => {
        const light = element("li", { "data-part": part }, words);
        this.#lights.set(part, light);
        return light;
      }));
    this.wrote = element("p", { class: "wrote aside" }, "No write yet.");
    this.nodes = element("div", { class: "nodes" });
    this.owners = element("ul", { class: "owners" });
    this.services = element("ul", { class: "services" });
    this.picture = element("div", { class: "picture" }, this.parts, this.wrote, this.nodes,
      section("Who keeps them", this.owners, "No Deployment, Job or the like yet."),
      section("Services", this.services, "No Service yet."));
    this.table = element("div", { class: "table", hidden: true });
    this.element = element("div", { class: "map" }, this.picture, this.table);
    this.element.addEventListener("click", (event) => {
      const object = this.#objects.get(event.target.closest?.("[data-id]")?.dataset.id);
      if (object) this.#opened = { id: object.id, changed: this.#open(object) };
    });
    this.element.addEventListener("keydown", walk);
    this.element.addEventListener("focusin", (event) => keepStop(event.target));
    for (const come of ["mouseover", "focusin"]) this.element.addEventListener(come, (event) => this.#related(event.target));
  }

  /** Takes in what changed. */
  change({ all, put, gone, writes }) {
    if (all) this.#empty();
    for (const id of gone) this.#remove(id);
    for (const object of put) this.#put(object);
    for (const write of writes) this.#light(write);
  }

  /** How much there is, in words. */
  counted() {
    const counts = {};
    for (const { kind } of this.#objects.values()) counts[kind] = (counts[kind] ?? 0) + 1;
    const waiting = this.#places.get("")?.list.childElementCount ?? 0;
    const said = ["Node", "Pod", "Deployment", "Service"].filter((kind) => counts[kind] || kind === "Node" || kind === "Pod")
      .map((kind) => plural(counts[kind] ?? 0, kind === "Node" ? "node" : kind));
    return said.join(", ") + (waiting ? `, ${waiting} waiting for a node` : "");
  }

  /** Whether each write is told to a screen reader: not while they rush by. */
  spoken(told) {
    if (told) this.wrote.setAttribute("role", "status");
    else this.wrote.removeAttribute("role");
  }

  /** Shows the table instead of the picture, or the picture again; whether it is the table now. */
  toggleTable() {
    const shown = this.table.hidden;
    this.table.hidden = !shown;
    this.picture.hidden = shown;
    if (shown && !this.#body) this.#makeTable();
    return shown;
  }

  #empty() {
    for (const id of [...this.#objects.keys()]) this.#remove(id);
  }

  #put(object) {
    const before = this.#objects.get(object.id);
    this.#objects.set(object.id, object);
    if (object.kind === "Node") this.#node(object);
    else if (object.kind === "Pod") this.#pod(object, before);
    else if (object.kind === "EndpointSlice") this.#line(this.#objects.get(object.service));
    else this.#line(object);
    if (this.#body) this.#row(object);
    if (this.#opened?.id === object.id) this.#opened.changed();
  }

  #remove(id) {
    const object = this.#objects.get(id);
    this.#objects.delete(id);
    const made = this.#made.get(id);
    const focused = this.element.contains(document.activeElement) && document.activeElement.dataset.id === id;
    const next = focused ? beside(document.activeElement) : null;
    this.#made.delete(id);
    this.#rows.get(id)?.remove();
    this.#rows.delete(id);
    if (object?.kind === "Node") this.#unplace(object.name);
    else made?.item.remove();
    if (object?.kind === "Pod") this.#settle(object.node);
    if (object?.kind === "EndpointSlice") this.#line(this.#objects.get(object.service));
    if (focused && document.activeElement === document.body) next?.focus();
  }

  // A node is a place; a Pod without one is in the place "".
  #place(node) {
    const known = this.#places.get(node);
    if (known) return known;
    const list = element("ul", { "aria-label": node ? `Pods on ${node}` : "Pods without a node" });
    const state = element("small", {});
    const name = node ? element("button", { type: "button", class: "name", "data-id": `Node//${node}` }, node) : "no node yet";
    const place = { list, state, item: element("section", { class: "node" }, element("h3", {}, name, " ", state), list) };
    this.#places.set(node, place);
    const after = [...this.#places.keys()].filter((other) => other > node).sort()[0];
    if (node === "") this.nodes.append(place.item);
    else this.nodes.insertBefore(place.item, (this.#places.get(after) ?? this.#places.get(""))?.item ?? null);
    return place;
  }

  #unplace(node) {
    const place = this.#places.get(node);
    if (!place) return;
    if (place.list.childElementCount > 0) {
      place.state.textContent = "gone";
      return;
    }
    place.item.remove();
    this.#places.delete(node);
  }

  #node({ name, state, ok }) {
    const place = this.#place(name);
    place.state.textContent = state;
    place.item.classList.toggle("away", !ok);
  }

  #pod(pod, before) {
    let made = this.#made.get(pod.id);
    if (!made) {
      const name = element("span", { class: "name" });
      const state = element("small", {});
      const button = element("button", { type: "button", class: "pod", "data-id": pod.id, tabindex: "-1" }, name, " ", state);
      made = { name, state, button, item: element("li", {}, button) };
      this.#made.set(pod.id, made);
    }
    const where = pod.namespace === "default" ? pod.name : `${pod.namespace}/${pod.name}`;
    made.name.textContent = where;
    made.state.textContent = pod.state;
    // Marks that pointing has made stay.
    made.button.classList.toggle("ready", pod.ok);
    made.button.setAttribute("aria-label", `Pod ${where}, ${pod.state}`);
    made.button.title = `${where}: ${pod.state}`;
    if (before && before.node === pod.node && made.item.isConnected) return;
    const focused = document.activeElement === made.button;
    made.button.setAttribute("tabindex", "-1");
    this.#place(pod.node).list.append(made.item);
    this.#settle(pod.node);
    if (before && before.node !== pod.node) this.#settle(before.node);
    // Who reads a Pod while it gets its node goes with it.
    if (focused) made.button.focus();
  }

  // One Pod of a place is in the way of the Tab key; arrows lead to the others.
  #settle(node) {
    const place = this.#places.get(node);
    if (!place) return;
    place.item.classList.toggle("dense", place.list.childElementCount > DENSE);
    if (!place.list.querySelector(STOP)) place.list.querySelector("button")?.setAttribute("tabindex", "0");
    if (place.list.childElementCount > 0) return;
    if (node === "" || !this.#objects.has(`Node//${node}`)) {
      place.item.remove();
      this.#places.delete(node);
    }
  }

  #line(object) {
    if (!object) return;
    let made = this.#made.get(object.id);
    const service = object.kind === "Service";
    if (!made) {
      const state = element("small", {});
      const more = element("span", { class: "aside" });
      const name = element("button", { type: "button", class: "name", "data-id": object.id }, `${object.kind} ${label(object)}`);
      made = { state, more, item: element("li", {}, name, " ", state, " ", more, element("ul", {})) };
      this.#made.set(object.id, made);
    }
    made.state.textContent = object.state;
    made.item.classList.toggle("away", !object.ok);
    if (service) {
      const reached = [...this.#reached(object.id).map((id) => id.split("/")[2]), ...this.#slices(object.id).flatMap((slice) => slice.elsewhere)];
      made.more.textContent = reached.length > 0 ? `reaches ${listed(reached)}` : "reaches no Pod";
    }
    const owner = this.#made.get(object.owner);
    const parent = service ? this.services : owner?.item.querySelector(":scope > ul") ?? this.owners;
    if (made.item.parentElement !== parent) parent.append(made.item);
    // What came before its owner moves under it now.
    for (const other of this.owners.querySelectorAll(":scope > li")) {
      const id = other.querySelector("[data-id]").dataset.id;
      if (this.#objects.get(id)?.owner === object.id) made.item.querySelector("ul").append(other);
    }
  }

  #slices(service) {
    return [...this.#objects.values()].filter((object) => object.kind === "EndpointSlice" && object.service === service);
  }

  #reached(service) {
    return this.#slices(service).flatMap((slice) => slice.reaches);
  }

  // The Pods behind an owner or a Service are marked while you point at it.
  #related(target) {
    const id = target.closest?.("[data-id]")?.dataset.id;
    if (id === this.pointed) return;
    this.pointed = id;
    for (const marked of this.element.querySelectorAll(".related")) marked.classList.remove("related");
    const object = this.#objects.get(id);
    if (!object || object.kind === "Pod" || object.kind === "Node") return;
    const pods = object.kind === "Service" ? this.#reached(id) : this.#below(id);
    for (const pod of pods) this.#made.get(pod)?.button?.classList.add("related");
  }

  #below(id) {
    const children = [...this.#objects.values()].filter((object) => object.owner === id);
    return children.flatMap((child) => (child.kind === "Pod" ? [child.id] : this.#below(child.id)));
  }

  // A request passes from its writer through the API server to etcd.
  #light(write) {
    const who = writer(write);
    const what = `${write.resource}/${write.name}${write.subresource ? `/${write.subresource}` : ""}`;
    const because = write.causes.length > 0 ? `, because of ${write.causes.at(-1)}` : "";
    this.wrote.textContent = `${who.name}: ${write.verb} ${what}, revision ${write.revision}${because}`;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    [who.part, "api", "etcd"].forEach((part, at) => {
      if (still) this.#lit(part);
      else setTimeout(() => this.#lit(part), at * HOP);
    });
  }

  #lit(part) {
    const light = this.#lights.get(part);
    light.classList.add("lit");
    clearTimeout(light.tutorTimer);
    light.tutorTimer = setTimeout(() => light.classList.remove("lit"), LIT);
  }

  #makeTable() {
    const head = ["Kind", "Namespace", "Name", "State", "On, or kept by"].map((words) => element("th", { scope: "col" }, words));
    this.#body = element("tbody", {});
    this.table.append(element("table", {}, element("caption", {}, "Everything on the map"),
      element("thead", {}, element("tr", {}, ...head)), this.#body));
    for (const object of this.#objects.values()) this.#row(object);
  }

  #row(object) {
    const before = this.#rows.get(object.id);
    const beside = [object.node, object.owner?.replace(/^(\w+)\/[^/]*\//, "$1 "), object.reaches && listed(object.reaches.map((id) => id.split("/")[2]))];
    const row = element("tr", {},
      element("td", {}, object.kind), element("td", {}, object.namespace),
      element("th", { scope: "row" }, element("button", { type: "button", class: "name", "data-id": object.id }, object.name)),
      element("td", {}, object.state), element("td", {}, beside.filter(Boolean).join(", ")));
    const focused = before?.contains(document.activeElement);
    if (before) before.replaceWith(row);
    else this.#body.append(row);
    this.#rows.set(object.id, row);
    if (focused) row.querySelector("button").focus();
  }
}

function section(title, list, empty) {
  return element("section", {}, element("h3", {}, title), list, element("p", { class: "aside empty" }, empty));
}

function label({ namespace, name }) {
  return namespace === "default" ? name : `${namespace}/${name}`;
}

function listed(names) {
  return names.length > 6 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");
}

function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

/** Who wrote: a loop by its account's name, others by their program's. */
function writer({ component, user }) {
  const loop = user.match(/^system:serviceaccount:kube-system:(.+)$/)?.[1];
  if (loop) return { part: "controllers", name: loop };
  if (component === "kube-controller-manager") return { part: "controllers", name: component };
  if (component === "kube-scheduler" || component === "kubelet") return { part: component, name: component };
  return { part: "you", name: component || user };
}

/** The Tab key comes back to the Pod that had the focus last. */
function keepStop(pod) {
  if (!pod.matches(".pod")) return;
  for (const other of pod.closest("ul").querySelectorAll(STOP)) other.setAttribute("tabindex", "-1");
  pod.setAttribute("tabindex", "0");
}

/** What stands above and below a button: a node's name and its Pods, or the lines of a list. */
function column(button) {
  return [...button.closest(".node, .owners, .services, tbody")?.querySelectorAll("button") ?? []];
}

/** Where the focus goes when a button goes. */
function beside(button) {
  const item = button.closest("li, tr, .node");
  const around = column(button);
  const at = around.indexOf(button);
  const stays = (other) => !item.contains(other);
  const left = around.slice(at).find(stays) ?? around.slice(0, at).findLast(stays);
  if (left) return left;
  const across = item.matches(".node") ? aside(item, button, 1) ?? aside(item, button, -1) : null;
  return across ?? button.closest("details")?.querySelector("summary");
}

// Arrow keys: up and down a column, and to the columns beside it; among dots, to the dot beside.
function walk(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const button = event.target.closest?.("button");
  const around = button ? column(button) : [];
  if (around.length === 0) return;
  const at = around.indexOf(button);
  const node = button.closest(".node");
  const across = node && !node.classList.contains("dense") ? [-1, 1].map((by) => aside(node, button, by)) : [around[at - 1], around[at + 1]];
  const next = { ArrowUp: around[at - 1], ArrowDown: around[at + 1], ArrowLeft: across[0], ArrowRight: across[1], Home: around[0], End: around.at(-1) };
  if (!(event.key in next)) return;
  event.preventDefault();
  next[event.key]?.focus();
}

/** In the next column that has something, what stands as high as this button. */
function aside(node, button, by) {
  const nodes = [...node.parentElement.children];
  const name = button.matches(".name");
  const high = [...node.querySelectorAll(".pod")].indexOf(button);
  for (let at = nodes.indexOf(node) + by; at in nodes; at += by) {
    const pods = [...nodes[at].querySelectorAll(".pod")];
    const found = (name ? null : pods[Math.min(high, pods.length - 1)]) ?? nodes[at].querySelector("button");
    if (found) return found;
  }
  return null;
}
