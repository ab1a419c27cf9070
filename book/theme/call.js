// Talks to the page's own API. Errors have three parts, as everywhere in tutor: what, why, hints.

const root = new URL("..", import.meta.url);

/** An error in three parts. */
export class CallError extends Error {
  constructor({ what, why, hints }) {
    super(what);
    this.why = why ?? "";
    this.hints = hints ?? [];
  }
}

/** The address of a call. */
export function address(call) {
  return new URL(`api/${call}`, root);
}

/** The address of a page of the book. */
export function page(path) {
  return new URL(path, root);
}

/** Reads a JSON document. */
export async function get(call) {
  return answer(await send(call, { method: "GET" }));
}

/** Sends a JSON document and reads the answer. */
export async function post(call, body = {}) {
  return answer(await send(call, asJson(body)));
}

/** Sends, and hands over the answer's lines of JSON as they come. */
export async function* postForLines(call, body = {}) {
  const response = await send(call, asJson(body));
  if (!response.ok) await answer(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      // The last line may have no end.
      if (rest) yield JSON.parse(rest);
      return;
    }
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

function asJson(body) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function send(call, options) {
  try {
    return await fetch(address(call), options);
  } catch {
    throw new CallError({
      what: "the playground does not answer",
      why: "it was stopped, or it was started again at another address",
      hints: ["start it: tutor serve"],
    });
  }
}

async function answer(response) {
  const body = await response.json().catch(() => ({ what: `the playground answered ${response.status}` }));
  if (response.ok) return body;
  if (response.status === 403) body.hints = ["reload the page: the playground was started anew"];
  throw new CallError(body);
}
