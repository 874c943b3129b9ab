// The live connection: recent events first, then everything new, resumed at the last position after a cut.
// Subscribers get whole batches, at most one a frame, so that thousands of events a second cost the page little.

import { Problem, get, request, serverNow, session } from "./api.js";
import { readMessages } from "./sse.js";

const HISTORY = 200; // events fetched when the feed starts
const WAITING = 2000; // most events held between two frames; older ones are only counted
const BATCH_MS = 80; // least time between two batches: quicker than anyone reads
const SLOW_BATCH_MS = 500; // and on a machine that is slow to show them
const SILENCE_MS = 45_000; // the server sends a comment every 15 s
const SLEEP_AFTER_MS = 60_000; // a hidden tab lets go of its connection: a browser grants only six to a server
const LONGEST_WAIT_MS = 10_000;

/**
 * `state` is one of connecting, live, waiting (until `retryAt`), refused (see `problem`), signed-out, asleep.
 * Events of this target: `state`; `batch` with `detail` = {events, skipped}; `reset` when the feed starts again.
 * An entry of a batch is {position, event, text}: `text` is the envelope as sent.
 */
export class Live extends EventTarget {
  state = "connecting";
  problem = null;
  retryAt = 0;
  pattern = null;
  lastPosition = null;

  #lastId = null;
  #controller = new AbortController();
  #retryNow = () => {};
  #waiting = [];
  #skipped = 0;
  #flushing = false;
  #flushed = 0;
  #pace = BATCH_MS;
  #sleepTimer;

  constructor() {
    super();
    session.addEventListener("opened", () => this.state === "signed-out" && this.#start());
    session.addEventListener("required", () => this.#stop("signed-out"));
    document.addEventListener("visibilitychange", () => this.#visibility());
    window.addEventListener("online", () => this.retry());
  }

  /** Follow the events of these types from now on; the same pattern again changes nothing. */
  follow(pattern) {
    if (pattern === this.pattern) return;
    this.pattern = pattern;
    this.#start();
  }

  /** Do not wait for the next attempt. */
  retry() {
    this.#retryNow();
  }

  #start() {
    this.#controller.abort();
    this.#controller = new AbortController();
    this.lastPosition = null;
    this.#waiting = [];
    this.#skipped = 0;
    this.dispatchEvent(new Event("reset"));
    this.#run(this.#controller.signal);
  }

  #stop(state) {
    this.#controller.abort();
    this.#become(state);
  }

  #become(state, problem = null) {
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(new Event("state"));
  }

  async #run(signal) {
    let failures = 0;
    while (!signal.aborted) {
      this.#become("connecting");
      try {
        if (this.lastPosition === null) await this.#loadHistory(signal);
        else if (failures && !(await this.#stillThere(signal))) return this.#start();
        await this.#listen(signal, () => (failures = 0));
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem) && error.name !== "AbortError" && error.name !== "TypeError") throw error;
        if (error.status >= 400 && error.status < 500) return this.#become("refused", error);
      }
      if (signal.aborted) return;
      failures += 1;
      await this.#pause(failures, signal);
    }
  }

  async #loadHistory(signal) {
    // The head is asked for first: whatever comes after it is either in the history or will be sent live.
    const head = await get("/api/events", { limit: 1 }, signal);
    const page = await get("/api/events", { pattern: this.pattern, limit: HISTORY }, signal);
    const newest = page.events[0] ?? head.events[0];
    this.#take(page.events.reverse().map(({ position, event }) => ({ position, event, text: JSON.stringify(event) })));
    if (newest) this.#reached(newest.position, newest.event.id);
  }

  /** Whether the event we would go on from is in the stream: it is not when the stream was replaced or trimmed. */
  async #stillThere(signal) {
    try {
      return (await get(`/api/events/${encodeURIComponent(this.#lastId)}`, {}, signal)).position === this.lastPosition;
    } catch (error) {
      if (error.status === 404) return false;
      throw error;
    }
  }

  async #listen(signal, connected) {
    const cut = new AbortController();
    const headers = { Accept: "text/event-stream" };
    const query = new URLSearchParams({ pattern: this.pattern });
    if (this.lastPosition !== null) headers["Last-Event-ID"] = this.lastPosition;
    else query.set("after", ""); // the stream was empty: what was stored since is new, so begin at its first event
    const response = await request(`/api/events/live?${query}`, { headers, signal: AbortSignal.any([signal, cut.signal]) });
    connected();
    this.#become("live");
    const take = (messages) => {
      if (signal.aborted) return;
      if (messages.some(({ name }) => name === "reset")) return this.#start(); // events were missed: read all again
      const entries = messages.map(({ id, data }) => ({ position: id, event: JSON.parse(data), text: data }));
      this.#take(entries);
      const last = entries[entries.length - 1];
      this.#reached(last.position, last.event.id);
    };
    await readMessages(response.body, take, SILENCE_MS, () => cut.abort());
  }

  #reached(position, id) {
    this.lastPosition = position;
    this.#lastId = id;
  }

  async #pause(failures, signal) {
    const wait = Math.min(LONGEST_WAIT_MS, 250 * 2 ** failures) * (0.75 + Math.random() / 2);
    this.retryAt = Date.now() + wait;
    this.#become("waiting");
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#retryNow = resolve;
      signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  #take(entries) {
    for (const entry of entries) this.#waiting.push(entry);
    if (this.#waiting.length > WAITING) {
      this.#skipped += this.#waiting.length - WAITING;
      this.#waiting = this.#waiting.slice(-WAITING);
    }
    if (entries.length && !this.#flushing) {
      this.#flushing = true;
      this.#nextFrame();
    }
  }

  #nextFrame() {
    // Frames stop in a hidden tab; a timer keeps it going there.
    if (document.hidden) setTimeout(() => this.#flush(), 1000);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    if (!document.hidden && performance.now() - this.#flushed < this.#pace) return this.#nextFrame();
    this.#flushing = false;
    this.#flushed = performance.now();
    const detail = { events: this.#waiting, skipped: this.#skipped, at: serverNow() };
    this.#waiting = [];
    this.#skipped = 0;
    this.dispatchEvent(new CustomEvent("batch", { detail }));
    // The next frame begins once this one is painted; two thirds of the time stay free for the person's own doings.
    requestAnimationFrame(() => {
      const cost = performance.now() - this.#flushed;
      this.#pace = Math.min(SLOW_BATCH_MS, Math.max(BATCH_MS, 3 * cost));
    });
  }

  #visibility() {
    clearTimeout(this.#sleepTimer);
    if (!document.hidden && this.state === "asleep") this.#start();
    else if (document.hidden && this.state !== "signed-out" && this.state !== "refused") {
      this.#sleepTimer = setTimeout(() => this.#stop("asleep"), SLEEP_AFTER_MS);
    }
  }
}
