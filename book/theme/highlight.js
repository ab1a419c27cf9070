// Colours for the book's code, under the name that mdBook's script asks for. The book has console blocks, a little
// JSON and YAML, so this knows those and is a fiftieth of a library that knows all. In: an element with code and a
// class `language-NAME`. Out: the same text, in elements with classes that mdBook's style sheets colour.
"use strict";

const hljs = {
  /** For mdBook, which says how; there is nothing to choose here. */
  configure() {},

  /** Colours one element; a language that is not known stays as it is. */
  highlightBlock(block) {
    const named = [...block.classList].find((name) => name.startsWith("language-"));
    const rule = block.classList.contains("nohighlight") ? undefined : hljs.rules[named?.slice("language-".length)];
    if (!rule) return;
    const pieces = [];
    let last = 0;
    for (const found of block.textContent.matchAll(rule)) {
      const [kind, text] = Object.entries(found.groups).find(([, text]) => text !== undefined);
      const at = found.index + found[0].indexOf(text);
      const piece = document.createElement("span");
      piece.className = `hljs-${kind}`;
      piece.textContent = text;
      pieces.push(block.textContent.slice(last, at), piece);
      last = at + text.length;
    }
    pieces.push(block.textContent.slice(last));
    block.replaceChildren(...pieces);
  },

  /** What is coloured in a language, by the class that it gets. */
  rules: {
    console: /^(?<meta>[$#>])(?= )/gm,
    json: /(?<attr>"(?:[^"\\]|\\.)*")(?=\s*:)|(?<string>"(?:[^"\\]|\\.)*")|(?<number>-?\b\d+(?:\.\d+)?\b)|(?<literal>\b(?:true|false|null)\b)/g,
    yaml: /(?<comment>#.*$)|^\s*(?:- )*(?<attr>[\w./-]+)(?=:(?:\s|$))|(?<string>"(?:[^"\\]|\\.)*"|'[^']*')|(?<literal>\b(?:true|false|null)\b)/gm,
  },
};
