// The text/event-stream format, read from a fetch body. Unlike EventSource this shows the status of a refusal, lets us
// send the Last-Event-ID after a reload, and delivers every `event:` name without listing them beforehand.

/** Turns pieces of text into messages `{id, name, data}`. */
export class Parser {
  #rest = "";
  #data = [];
  #id;
  #name = "";

  /** The messages completed by this piece. */
  push(text) {
    const found = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") this.#finish(found);
      else if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      else if (line.startsWith("event:")) this.#name = line.slice(6).trim();
      else if (line.startsWith("id:")) this.#id = line.slice(3).trim();
    }
    return found;
  }

  #finish(found) {
    if (this.#data.length) found.push({ id: this.#id, name: this.#name, data: this.#data.join("\n") });
    this.#data = [];
    this.#name = "";
  }
}

/**
 * Hands every array of messages in `body` to `take`, until its end. Calls `silent` when nothing at all, not even a
 * comment, came for `patience` milliseconds.
 */
export async function readMessages(body, take, patience, silent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new Parser();
  let timer = setTimeout(silent, patience);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(silent, patience);
      const messages = parser.push(value);
      if (messages.length) take(messages);
    }
  } finally {
    clearTimeout(timer);
  }
}
