// What is not an event but a state of affairs (health, threats, rules) is asked for every 5 s while someone looks at it,
// and sooner when an event says that it changed.

import { Problem, get, session } from "./api.js";

const EVERY_MS = 5000;
const SOON_MS = 150;

/**
 * One address of the API, kept current for its watchers. `parameters` may be a function that gives them for each request.
 * Once the signal `left` is aborted it asks no more, and nobody is called.
 */
export class Source {
  value = undefined;
  problem = null;

  #path;
  #parameters;
  #watchers = new Set();
  #timer;
  #loading = null;
  #next = null;
  #asked = 0; // how often the question changed

  constructor(path, parameters = {}, left = undefined) {
    this.#path = path;
    this.#parameters = parameters;
    document.addEventListener("visibilitychange", () => !document.hidden && this.refresh(), { signal: left });
    session.addEventListener("opened", () => this.refresh(), { signal: left });
    left?.addEventListener("abort", () => {
      this.#watchers.clear();
      clearTimeout(this.#timer);
    });
  }

  /** Call `show(value, problem)` now, if there is something to show, and after every change; returns how to stop. */
  watch(show) {
    this.#watchers.add(show);
    if (this.value !== undefined || this.problem) show(this.value, this.problem);
    if (this.#watchers.size === 1) this.refresh();
    return () => {
      this.#watchers.delete(show);
      if (this.#watchers.size === 0) clearTimeout(this.#timer);
    };
  }

  /** Ask for something else from now on; what was shown until now is forgotten when it was another question. */
  change(parameters, path = this.#path) {
    const same = parameters === this.#parameters || JSON.stringify(parameters) === JSON.stringify(this.#parameters);
    if (same && path === this.#path) return;
    this.#parameters = parameters;
    this.#path = path;
    this.#asked += 1;
    this.value = undefined;
    if (this.#watchers.size) this.refresh();
  }

  /** Ask again shortly: something changed. Several calls become one. */
  hint() {
    if (this.#watchers.size && !document.hidden) this.#schedule(SOON_MS);
  }

  /** Ask now; done once an answer asked for after this call is shown. Calls that come while one waits share it. */
  refresh() {
    if (this.#loading === null) {
      this.#loading = this.#load().finally(() => (this.#loading = null));
      return this.#loading;
    }
    this.#next ??= this.#loading.finally(() => (this.#next = null)).then(() => this.refresh());
    return this.#next;
  }

  async #load() {
    clearTimeout(this.#timer);
    if (!this.#watchers.size || document.hidden) return;
    const asked = this.#asked;
    let value = this.value;
    let problem = null;
    try {
      value = await get(this.#path, typeof this.#parameters === "function" ? this.#parameters() : this.#parameters);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem = error;
    }
    if (asked !== this.#asked) return; // meanwhile something else is wanted, and asked for
    this.value = value;
    this.problem = problem;
    for (const show of this.#watchers) show(this.value, this.problem);
    if (this.problem?.status === 401) return; // goes on once signed in
    this.#schedule(EVERY_MS);
  }

  #schedule(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), wait);
  }
}
