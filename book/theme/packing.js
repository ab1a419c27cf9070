// Five teams' machines over a day, each with its own, then all on one. In: the place
// `<div class="tutor-packing">`. Out: an hour to choose, a bar for each machine, one for the machine that
// all share, and its size to choose. The figures are those of the page's table, spread over 24 hours.

import { element } from "./element.js";

/** Cores bought, and cores in use at each hour. */
export const TEAMS = [
  { name: "search", cores: 32, used: [0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 6, 5, 5, 5, 5, 6, 8, 9, 28, 12, 5, 2] },
  { name: "recommender", cores: 32, used: [3, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 6, 6, 6, 6, 7, 9, 11, 30, 13, 6, 3] },
  { name: "billing", cores: 16, used: [0, 0, 0, 0, 0, 0, 0, 0, 14, 4, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0] },
  { name: "web", cores: 16, used: [1, 0, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 6, 5, 5, 5, 5, 7, 12, 6, 4, 5, 4, 3] },
  { name: "reports", cores: 16, used: [1, 6, 10, 16, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1] },
];
const HOURS = 24;
/** Milliseconds an hour while a day is played. */
const PACE = 400;

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

/** Cores in use at an hour, by all. */
export function usedAt(hour) {
  return sum(TEAMS.map((team) => team.used[hour]));
}

/** The hours in which a machine of so many cores is too small for all. */
export function tooSmall(cores) {
  return [...Array(HOURS).keys()].filter((hour) => usedAt(hour) > cores);
}

/** Makes the machines ones to play with. */
export function show(place) {
  const bought = sum(TEAMS.map((team) => team.cores));
  const average = sum([...Array(HOURS).keys()].map(usedAt)) / HOURS;
  const hour = slider("The hour", 0, HOURS - 1, 12, () => draw());
  const cores = slider("Cores of one machine for all", 16, bought, 80, () => draw());
  const rows = TEAMS.map((team) => bar(team.name, team.cores));
  const apart = bar("five machines", bought);
  const packed = bar("one machine", 80);
  const said = element("p", { class: "said", role: "status" });
  let timer = null;
  const day = element("button", { type: "button", onclick: () => {
    clearInterval(timer);
    hour.input.value = 0;
    draw();
    timer = setInterval(() => {
      if (Number(hour.input.value) === HOURS - 1) clearInterval(timer);
      else hour.input.value = Number(hour.input.value) + 1;
      draw();
    }, PACE);
  } }, "Play a day");
  const draw = () => {
    const now = Number(hour.input.value);
    const size = Number(cores.input.value);
    hour.shown.textContent = `${now}:00`;
    cores.shown.textContent = `${size} cores`;
    TEAMS.forEach((team, at) => rows[at].show(team.used[now], team.cores));
    apart.show(usedAt(now), bought);
    packed.show(usedAt(now), size);
    const short = tooSmall(size);
    const fits = short.length === 0 ? `One machine of ${size} cores is large enough in every hour`
      : `One machine of ${size} cores is too small at ${short.map((each) => `${each}:00`).join(", ")}`;
    said.textContent = `Over the day the five machines are in use to ${percent(average, bought)}. ${fits}, and in use to ${percent(Math.min(average, size), size)}.`;
  };
  place.replaceChildren(
    element("div", { class: "buttons" }, hour.label, day),
    element("table", {},
      element("thead", {}, element("tr", {}, ...["machine", "in use", "cores"].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows.map((row) => row.row), apart.row, packed.row)),
    element("div", { class: "buttons" }, cores.label), said);
  draw();
}

function percent(part, whole) {
  return `${Math.round((100 * part) / whole)} %`;
}

function slider(words, min, max, value, changed) {
  const shown = element("output", {});
  const input = element("input", { type: "range", min, max, value, oninput: changed });
  return { input, shown, label: element("label", {}, `${words}: `, shown, " ", input) };
}

function bar(name, cores) {
  const meter = element("meter", { min: 0, max: cores, value: 0, "aria-label": name });
  const words = element("td", {});
  const row = element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, meter), words);
  const show = (used, of) => {
    Object.assign(meter, { max: of, value: Math.min(used, of) });
    row.classList.toggle("over", used > of);
    words.textContent = `${used} of ${of}${used > of ? ": too small" : ""}`;
  };
  return { row, show };
}
