// The buttons of an exercise: Start, Check, Hint, Reset, Solution. Each calls what `tutor start`,
// `tutor check` and the others call, and writes the same progress.

import { get, page, post, postForLines } from "./call.js";
import { element } from "./element.js";
import { filesOf } from "./files.js";
import { following, passed } from "./progress.js";
import { runAndWait } from "./terminal.js";

/** Looks of 200 ms at a silent check, before it is given up. */
const PATIENCE = 300;

/** Gives every exercise section of the page its buttons. */
export function dressExercises(course) {
  for (const section of document.querySelectorAll("section.exercise[data-exercise]")) {
    const known = course.exercises.find((exercise) => exercise.name === section.dataset.exercise);
    if (known) dress(section, known);
  }
}

function dress(section, exercise) {
  const state = element("p", { class: "state" });
  const results = element("div", { class: "results", role: "status", "aria-live": "polite" });
  const desk = { exercise, section, state, results, buttons: [] };
  const button = (label, action, title) => {
    const made = element("button", { type: "button", title, onclick: () => press(desk, made, action) }, label);
    desk.buttons.push(made);
    return made;
  };
  section.append(
    state,
    element("div", { class: "buttons", role: "group", "aria-label": `Exercise: ${exercise.title}` },
      button("Start", start, "makes the exercise's namespace and what is in it at the start"),
      button("Check", check, "looks at what your cluster does"),
      button("Hint", hint, "one hint, for where you are"),
      button("Reset", reset, "removes what you made, and starts afresh"),
      button("Solution", solution, "a way that passes; once yours has")),
    ...[filesOf(exercise, runAndWait)].filter(Boolean),
    results);
  section.setAttribute("aria-label", `Exercise: ${exercise.title}`);
  showState(desk);
}

function showState({ exercise, section, state }) {
  section.classList.toggle("done", Boolean(exercise.passed));
  state.replaceChildren(
    element("span", { class: exercise.passed ? "passed" : "" },
      exercise.passed ? "✓ Passed" : exercise.started ? "Started" : "Not started"),
    ` · ${exercise.minutes} minutes · in a shell: `,
    element("code", {}, `tutor ${exercise.started ? "check" : "start"} ${exercise.name}`));
}

async function press(desk, pressed, action) {
  for (const button of desk.buttons) button.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  try {
    await action(desk);
  } catch (error) {
    desk.results.replaceChildren(fault(error));
  } finally {
    reveal(desk);
    pressed.removeAttribute("aria-busy");
    for (const button of desk.buttons) button.disabled = false;
    showState(desk);
    pressed.focus({ preventScroll: true });
  }
}

/** Brings what an exercise says into view, above the terminal, unless the reader has gone elsewhere meanwhile. */
function reveal({ section, results }) {
  const { top, bottom } = section.getBoundingClientRect();
  if (bottom < 0 || top > window.innerHeight) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const said = results.lastElementChild?.matches(".hinted") ? results.lastElementChild : results;
  said.scrollIntoView({ block: "nearest", behavior: still ? "instant" : "smooth" });
}

async function start(desk) {
  desk.results.replaceChildren(element("p", {}, "Starting…"));
  const { started, namespace } = await post(`exercises/${desk.exercise.name}/start`);
  desk.exercise.started ??= new Date().toISOString();
  const words = started === "fresh"
    ? ["Started. Its namespace, ", element("code", {}, namespace), ", is your current one."]
    : ["It was started before, and is as you left it. Reset gives a fresh start."];
  desk.results.replaceChildren(element("p", {}, ...words));
}

async function reset(desk) {
  desk.results.replaceChildren(element("p", {}, "Removing what is there, and starting afresh…"));
  const { namespace } = await post(`exercises/${desk.exercise.name}/reset`);
  desk.exercise.started = new Date().toISOString();
  desk.results.replaceChildren(element("p", {}, "A fresh start, in the namespace ", element("code", {}, namespace), ". Your files are as you left them."));
}

async function hint(desk) {
  const { say, more } = await post(`exercises/${desk.exercise.name}/hint`);
  const words = say ?? "No hint fits where you are. Check says what is missing.";
  const left = more > 0 ? element("p", { class: "aside" }, `${more} more for where you are.`) : null;
  const hinted = element("div", { class: "hinted" }, element("p", { class: "hint" }, words), left);
  // What the check found is what the hint is about.
  desk.results.querySelector(".hinted")?.remove();
  if (desk.results.querySelector("ol.steps")) desk.results.append(hinted);
  else desk.results.replaceChildren(hinted);
}

async function solution(desk) {
  if (!desk.exercise.passed) {
    const show = element("button", { type: "button", onclick: () => press(desk, show, (d) => showSolution(d, true)) },
      "Show it all the same");
    desk.results.replaceChildren(
      element("p", {}, "A solution is shown once yours has passed. A hint helps without telling."), show);
    return;
  }
  await showSolution(desk, false);
}

async function showSolution(desk, spoil) {
  const { ways, files } = await post(`exercises/${desk.exercise.name}/solution`, { spoil });
  const shown = [...ways, ...files].map(({ name, text }) => element("figure", {},
    element("figcaption", {}, name), element("pre", {}, element("code", {}, text.trimEnd()))));
  desk.results.replaceChildren(...shown);
}

async function check(desk) {
  const steps = element("ol", { class: "steps" });
  const verdict = element("p", { class: "verdict" }, "Checking…");
  desk.results.replaceChildren(steps, verdict);
  reveal(desk);
  for await (const line of checkLines(desk.exercise.name)) {
    if (line.step) steps.append(stepShown(line.step));
    if (line.error) throw Object.assign(new Error(line.error.what), line.error);
    if (line.report) verdict.replaceWith(verdictShown(desk, line.report));
  }
}

/** A check's lines as they come; also of one that runs outside, because it ends the playground. */
async function* checkLines(name) {
  for await (const line of postForLines(`exercises/${name}/check`)) {
    if (!line.outside) yield line;
    else yield* outsideLines(name);
  }
}

async function* outsideLines(name) {
  let from = 0;
  for (let silent = 0; silent < PATIENCE; silent++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    // While the playground is down nobody answers; it comes back by itself.
    const said = await get(`exercises/${name}/lines?from=${from}`).catch(() => ({ lines: [], next: from }));
    if (said.lines.length > 0) silent = 0;
    from = said.next;
    for (const line of said.lines) {
      yield line;
      if (line.report || line.error) return;
    }
  }
  throw Object.assign(new Error("the check has said nothing for a minute"), { hints: [`in a shell: tutor check ${name}`] });
}

function verdictShown(desk, report) {
  if (!report.passed) return element("p", { class: "verdict" }, "Not yet.");
  desk.exercise.passed ??= new Date().toISOString();
  passed(desk.exercise.name);
  const next = following(desk.exercise.name);
  const link = next?.page ? [" Next: ", element("a", { href: page(next.page).href }, next.title), /[?!]$/.test(next.title) ? "" : "."] : [];
  return element("p", { class: "verdict passed" }, `Passed: ${report.title}.`, ...link);
}

function stepShown(step) {
  const mark = element("span", { class: step.passed ? "passed" : "failed" }, step.passed ? "✓ " : "✗ ");
  const spoken = element("span", { class: "tutor-spoken" }, step.passed ? "passed: " : "not yet: ");
  const item = element("li", {}, mark, spoken, element("strong", {}, step.name));
  if (step.passed) return item;
  const facts = element("dl", {});
  const parts = [["expected", step.expected], ["found", step.found], ["why", step.why], ["look at", step.hint]];
  for (const [label, text] of parts) {
    if (text) facts.append(element("dt", {}, label), element("dd", {}, text.trim()));
  }
  item.append(facts);
  if (step.evidence.length > 0) item.append(evidenceShown(step.evidence));
  return item;
}

function evidenceShown(evidence) {
  const facts = evidence.map((fact) => element("li", {}, element("code", {}, `${fact.source} ${fact.about}`), ` ${fact.text}`));
  return element("details", { open: true }, element("summary", {}, "What the cluster says"), element("ul", {}, ...facts));
}

function fault(error) {
  const hints = (error.hints ?? []).map((words) => element("li", {}, words));
  return element("div", { class: "fault" },
    element("p", {}, element("strong", { class: "failed" }, error.message)),
    error.why ? element("p", {}, error.why) : null,
    hints.length > 0 ? element("ul", {}, ...hints) : null);
}
