// Where your playground listens at another port than the book says, the book says yours. In: console blocks
// and words in code, as written. Out: the same, with the address that works here.

import { get } from "./call.js";

/** The registry's address as the book writes it. */
const REGISTRY = "127.0.0.1:5050";

/** Puts the playground's own address in the place of the book's. */
export async function showOwnAddresses() {
  const { registry } = await get("status");
  if (!registry || registry === REGISTRY) return;
  for (const code of document.querySelectorAll("main code")) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) text.data = text.data.replaceAll(REGISTRY, registry);
  }
}
