// Mends what mdBook's page lacks for a keyboard and a screen reader.

/** Code that scrolls can be reached and scrolled with keys; the menu's label says what it is. */
export function makeReadable() {
  for (const code of document.querySelectorAll("main pre > code")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
  // mdBook says of this label whether it is expanded, which only a button may be.
  document.getElementById("mdbook-sidebar-toggle")?.setAttribute("role", "button");
}
