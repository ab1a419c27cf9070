// Mends what mdBook's page lacks for a keyboard and a screen reader.

import { element } from "./element.js";

/** Code that scrolls can be reached and scrolled with keys; arrow keys turn no page; the menu's label says what it is. */
export function makeReadable() {
  for (const code of document.querySelectorAll("main pre > code")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
  for (const picture of document.querySelectorAll("main svg.fig")) frame(picture);
  document.querySelector("main")?.addEventListener("keydown", keepArrows);
  // mdBook says of this label whether it is expanded, which only a button may be.
  document.getElementById("mdbook-sidebar-toggle")?.setAttribute("role", "button");
}

// mdBook goes to the next page at an arrow key, also where the key moves a slider, a choice, the map or what scrolls.
function keepArrows(event) {
  const used = ["ArrowLeft", "ArrowRight"].includes(event.key) && event.target.closest("input, select, [tabindex], .tutor-cluster .map");
  if (used) event.stopPropagation();
}

// On a narrow screen a picture keeps the size at which its words can be read, and scrolls.
function frame(picture) {
  const scrolled = element("div", { class: "tutor-figure" });
  picture.replaceWith(scrolled);
  scrolled.append(picture);
  // Only what scrolls is in the way of the Tab key.
  const reach = () => {
    if (scrolled.scrollWidth > scrolled.clientWidth) scrolled.tabIndex = 0;
    else scrolled.removeAttribute("tabindex");
  };
  new ResizeObserver(reach).observe(scrolled);
}
