// The files of an exercise, in an editor: what it gives to begin with, changed by the reader, applied to
// the cluster by the same command that a reader would type.

import { get, post } from "./call.js";
import { element } from "./element.js";

/** Gives an exercise an editor for its files; nothing when it has none. */
export function filesOf(exercise, run) {
  if (!exercise.files?.length) return null;
  const place = element("div", { class: "file" });
  const details = element("details", { class: "tutor-files" }, element("summary", {}, "Edit its files here"), place);
  details.addEventListener("toggle", () => {
    if (details.open && !place.hasChildNodes()) show(place, exercise, exercise.files[0], run);
  });
  return details;
}

async function show(place, exercise, path, run) {
  // Of several presses the last one counts, and the same one again opens nothing anew over what is typed.
  if (place.coming === path) return;
  place.coming = path;
  const loaded = Promise.all([import("./editor.js"), get(`files?path=${encodeURIComponent(path)}`)]);
  const [{ Editor }, { text, start }] = await loaded.catch((error) => {
    place.coming = undefined;
    throw error;
  });
  if (place.coming !== path) return;
  place.coming = undefined;
  const said = element("p", { class: "aside", role: "status" });
  // What was typed and not saved yet survives a reload.
  const kept = `tutor-draft:${path}`;
  const draft = localStorage.getItem(kept);
  const save = async () => {
    await post("files", { path, text: editor.text });
    localStorage.removeItem(kept);
    said.textContent = `Saved as ~/${path} in the terminal.`;
  };
  const applies = /\.(ya?ml|json)$/.test(path) && /^\s*["']?kind\b/m.test(start ?? text);
  const apply = async () => {
    await save();
    await run(`kubectl apply -f ~/${path} -n ${exercise.namespace}`, (words) => { said.append(words && ` ${words}`); });
  };
  const guarded = (action) => () => action().catch((error) => {
    said.textContent = [error.message, error.why].filter(Boolean).join(": ");
  });
  const editor = new Editor({
    name: path, text: draft ?? text, namespace: exercise.namespace, save: guarded(save), apply: applies ? guarded(apply) : undefined,
    changed: (now) => localStorage.setItem(kept, now),
  });
  const button = (label, action, title) => element("button", { type: "button", title, onclick: guarded(action) }, label);
  editor.bar.append(
    ...(applies ? [button("Apply", apply, "kubectl apply -f, in the terminal below (Ctrl-Enter)")] : []),
    button("Save", save, "keeps it as a file of the terminal (Ctrl-S)"),
    button("Start over", async () => { editor.text = start ?? ""; }, "the text as the exercise gives it"));
  place.replaceChildren(element("div", { class: "tutor-editor others", role: "group", "aria-label": "Files" }, ...switcher(path)), editor.root, said);

  /** A button for each of several files; the one that is open is marked. */
  function switcher(open) {
    if (exercise.files.length < 2) return [];
    return exercise.files.map((file) => element("button", {
      type: "button", "aria-current": file === open ? "true" : null,
      onclick: () => { if (file !== open) show(place, exercise, file, run); },
    }, file.split("/").at(-1)));
  }
}
