// What the page gains when a playground serves it. Without one (a printed copy, a file), the book
// reads the same. In: the page as mdBook made it. Out: buttons, marks, a live strip. Text that
// comes from the cluster is only ever inserted as text.

import { get } from "./call.js";
import { copyCommandsOnly, offerRun } from "./console.js";
import { dressExercises } from "./exercises.js";
import { showProgress } from "./progress.js";
import { showCluster } from "./cluster.js";
import { makeReadable } from "./readable.js";
import { showQuizzes } from "./quiz.js";
import { showLabs } from "./lab.js";
import { showQuorums } from "./quorum.js";
import { runInTerminal, showTerminal } from "./terminal.js";
import { showTraces } from "./trace.js";

copyCommandsOnly();
showLabs();
showQuorums();
makeReadable();
try {
  const course = await get("exercises");
  showProgress(course);
  dressExercises(course);
  showCluster();
  showTraces();
  showQuizzes();
  showTerminal();
  offerRun(runInTerminal);
} catch (error) {
  // No playground behind this copy of the book: it stays a book.
  console.info("tutor: no playground answers here", error.message);
}
