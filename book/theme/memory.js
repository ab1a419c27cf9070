// Ten applications, each with a system of its own, or all on one: the memory each way. In: the place
// `<div class="tutor-memory">`. Out: three figures to choose, two bars, and what this machine's kernel takes.

import { post } from "./call.js";
import { element } from "./element.js";

const FIGURES = [["Applications", 1, 100, 10], ["MiB for each", 1, 2000, 100], ["MiB for a system", 1, 2000, 300]];

/** Makes the sum one to play with. */
export function show(place) {
  const inputs = FIGURES.map(([words, min, max, value]) => {
    const input = element("input", { type: "number", min, max, value, oninput: () => draw() });
    return { input, label: element("label", {}, `${words}: `, input) };
  });
  const rows = ["a virtual machine each", "processes under one kernel"].map((name) => {
    const meter = element("meter", { min: 0, max: 1, value: 0, "aria-label": name });
    const words = element("td", {});
    return { meter, words, row: element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, meter), words) };
  });
  const said = element("p", { class: "said", role: "status" });
  const draw = () => {
    const [many, each, system] = inputs.map(({ input }) => Math.max(1, Number(input.value) || 1));
    const together = [many * (each + system), many * each + system];
    rows.forEach(({ meter, words }, at) => {
      Object.assign(meter, { max: together[0], value: together[at] });
      words.textContent = `${together[at].toLocaleString("en")} MiB`;
    });
  };
  place.replaceChildren(
    element("div", { class: "buttons" }, ...inputs.map(({ label }) => label)),
    element("table", {},
      element("thead", {}, element("tr", {}, ...["how", "beside the other", "memory"].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows.map(({ row }) => row))),
    said);
  draw();
  post("lab/memory").then(
    ({ kernelMib }) => { said.textContent = `Measured here: the kernel of this machine holds ${kernelMib} MiB for itself that it cannot give back.`; },
    (error) => { said.textContent = [error.message, error.why].filter(Boolean).join(": "); });
}
