// The book's questions as forms: choose, answer, read why. Without this script a question is a
// `<details>` with its choices and its answer, which reads as well. In: `<details data-quiz="NAME">`
// with a list and an explanation. Out: radio buttons; the playground says what is right and keeps it.

import { get, post } from "./call.js";
import { element } from "./element.js";

/** Makes forms of the page's questions. */
export async function showQuizzes() {
  const places = [...document.querySelectorAll("details[data-quiz]")];
  if (places.length === 0) return;
  const { answers } = await get("quiz");
  for (const place of places) ask(place, answers[place.dataset.quiz]);
}

function ask(place, answered) {
  const list = place.querySelector(":scope > ul");
  if (!list) return;
  const name = `choice-${place.dataset.quiz}`;
  const because = element("div", { class: "because", hidden: true });
  for (let next = list.nextSibling; next; next = list.nextSibling) because.append(next);
  const said = element("p", { class: "said", role: "status" });
  const choices = [...list.querySelectorAll(":scope > li")].map((item, index) => {
    const button = element("input", { type: "radio", name, value: index });
    const label = element("label", {}, button, " ");
    label.append(...item.childNodes);
    return label;
  });
  const fault = (error) => {
    said.textContent = [error.message, error.why].filter(Boolean).join(": ");
  };
  const show = ({ right }) => {
    said.textContent = right ? "✓ Right." : "✗ Not quite.";
    said.className = right ? "said passed" : "said failed";
    because.hidden = false;
  };
  const form = element("form", {},
    element("fieldset", {}, element("legend", { class: "tutor-spoken" }, place.querySelector("summary").textContent), ...choices),
    element("button", { type: "submit" }, "Answer"), said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = form.querySelector("input:checked");
    if (!chosen) {
      said.textContent = "Choose one first.";
      return;
    }
    await post(`quiz/${place.dataset.quiz}`, { choice: Number(chosen.value) }).then(show, fault);
  });
  list.replaceWith(form, because);
  place.classList.add("asked");
  place.open = true;
  if (!answered) return;
  choices[answered.choice].querySelector("input").checked = true;
  show(answered);
}
