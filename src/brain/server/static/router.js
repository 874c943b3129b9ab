// The address holds what is shown: `#/events?pattern=threat.*&event=evt_...`. Every state worth keeping can be bookmarked.

/** `route` is fired with {view, parameters} as `detail` whenever the address changes. */
class Router extends EventTarget {
  view = "";
  parameters = {};

  constructor() {
    super();
    window.addEventListener("hashchange", () => this.#read());
  }

  /** Read the address now. */
  start() {
    this.#read();
  }

  /** The address of a view, or of this view with some parameters changed; null or "" takes one away. */
  href(changes, view = this.view) {
    const parameters = view === this.view ? { ...this.parameters, ...changes } : changes;
    const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const query = new URLSearchParams(given).toString();
    return `#/${view}${query ? `?${query}` : ""}`;
  }

  /** Change parameters of this view. Typing into a filter replaces the history entry, opening something adds one. */
  change(changes, { replace = false } = {}) {
    this.#parse(); // a link may have been followed a moment ago, and its event not have come yet
    const target = this.href(changes);
    if (target === location.hash) return;
    history[replace ? "replaceState" : "pushState"](null, "", target);
    this.#read();
  }

  #parse() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
    this.view = path || "overview";
    const { story, ...parameters } = Object.fromEntries(new URLSearchParams(query));
    this.parameters = story ? { timeline: story, ...parameters } : parameters; // pages and tickets of before have links with `story`
  }

  #read() {
    this.#parse();
    this.dispatchEvent(new CustomEvent("route", { detail: { view: this.view, parameters: this.parameters } }));
  }
}

export const router = new Router();
