// What the page gains when a playground serves it. Without one (a printed copy, a file), the book
// reads the same. In: the page as mdBook made it. Out: buttons, marks, a live strip. Text that
// comes from the cluster is only ever inserted as text.

import { showOwnAddresses } from "./addresses.js";
import { get } from "./call.js";
import { copyCommandsOnly, offerRun } from "./console.js";
import { dressExercises } from "./exercises.js";
import { showProgress } from "./progress.js";
import { showCluster } from "./cluster.js";
import { makeReadable } from "./readable.js";
import { showQuizzes } from "./quiz.js";
import { runInTerminal, showTerminal } from "./terminal.js";
import { showTraces } from "./trace.js";

/** What plays in the page alone, and what asks the playground; each is fetched where a page has a place for it. */
const MODELS = { ".tutor-packing": "./packing.js", ".tutor-quorum": "./quorum.js" };
const EXPERIMENTS = { ".tutor-lab": "./lab.js", ".tutor-memory": "./memory.js", ".tutor-orchestrator": "./orchestrator.js", ".tutor-walls": "./walls.js" };

copyCommandsOnly();
showExperiments(MODELS);
makeReadable();
try {
  const course = await get("exercises");
  showProgress(course);
  dressExercises(course);
  showExperiments(EXPERIMENTS);
  showCluster();
  showTraces();
  showQuizzes();
  showTerminal();
  await showOwnAddresses();
  offerRun(runInTerminal);
} catch (error) {
  // No playground behind this copy of the book: it stays a book.
  console.info("tutor: no playground answers here", error.message);
}

async function showExperiments(modules) {
  for (const [selector, module] of Object.entries(modules)) {
    for (const place of document.querySelectorAll(selector)) (await import(module)).show(place);
  }
}
