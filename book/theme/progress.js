// Where you are: a line in the sidebar, and a mark at each page whose exercises have passed.

import { page } from "./call.js";
import { element } from "./element.js";

let exercises = [];

/** Shows the course's list, and keeps it for changes. */
export function showProgress(course) {
  exercises = course.exercises;
  draw();
}

/** Notes that an exercise passed, and shows it. */
export function passed(name) {
  for (const exercise of exercises) if (exercise.name === name) exercise.passed ??= new Date().toISOString();
  draw();
}

/** The first exercise after `name` that has not passed; else the first of all. */
export function following(name) {
  const at = exercises.findIndex((exercise) => exercise.name === name);
  const open = (exercise) => !exercise.passed;
  return exercises.slice(at + 1).find(open) ?? exercises.find(open);
}

function draw() {
  const sidebar = document.querySelector("#mdbook-sidebar .sidebar-scrollbox");
  if (!sidebar) return;
  drawLine(sidebar);
  const byPage = Map.groupBy(exercises.filter((exercise) => exercise.page), (exercise) => page(exercise.page).pathname);
  // Links to places within a page are left alone: the page's own link carries the mark.
  for (const link of sidebar.querySelectorAll("a[href]:not([href*='#'])")) {
    const here = byPage.get(new URL(link.href).pathname);
    link.querySelector(".tutor-mark")?.remove();
    if (here) link.append(mark(here));
  }
}

function drawLine(sidebar) {
  const done = exercises.filter((exercise) => exercise.passed).length;
  const words = `${done} of ${exercises.length} exercises passed`;
  const bar = element("progress", { max: exercises.length, value: done, "aria-hidden": "true" });
  const line = element("p", { class: "tutor-progress" }, words, bar);
  const old = sidebar.querySelector(".tutor-progress");
  if (old) old.replaceWith(line);
  else sidebar.prepend(line);
}

function mark(here) {
  const done = here.filter((exercise) => exercise.passed).length;
  const all = done === here.length;
  const words = all ? "exercises passed" : `${done} of ${here.length} exercises passed`;
  return element("span", { class: all ? "tutor-mark passed" : "tutor-mark", role: "img", "aria-label": words, title: words },
    all ? "✓" : done > 0 ? "◐" : "○");
}
