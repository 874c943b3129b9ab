// The last events this page received, for whoever comes late: a view that is opened, the inspector, the rate.

import { priorityOf } from "./catalogue.js";

const KEPT = 500;
export const BIN_SECONDS = 5;
const BINS = 60;

/** Keeps the last entries of `live`, and counts what arrived by priority in bins of BIN_SECONDS. */
export class Recent {
  #entries = [];
  #bins = new Map();

  constructor(live) {
    live.addEventListener("batch", ({ detail }) => this.#take(detail.events, detail.at));
    live.addEventListener("reset", () => {
      this.#entries = [];
      this.#bins.clear();
    });
  }

  /** The entries, oldest first. */
  all() {
    return this.#entries;
  }

  /** The event with this id, if it is still here. */
  find(id) {
    return this.#entries.find((entry) => entry.event.id === id)?.event;
  }

  /** BINS counts `{CRITICAL, HIGH, MEDIUM, "": ...}` by the events' own time, oldest first, the last one running. */
  bins(now) {
    const last = Math.floor(now / BIN_SECONDS);
    return Array.from({ length: BINS }, (_, place) => this.#bins.get(last - BINS + 1 + place) ?? {});
  }

  #take(entries, now) {
    this.#entries = this.#entries.concat(entries).slice(-KEPT);
    const running = Math.floor(now / BIN_SECONDS);
    for (const { event } of entries) {
      const bin = Math.floor(event.timestamp / BIN_SECONDS);
      if (bin <= running - BINS || bin > running) continue; // replayed, or from a clock that is ahead
      if (!this.#bins.has(bin)) this.#bins.set(bin, {});
      const counts = this.#bins.get(bin);
      const priority = priorityOf(event.type);
      counts[priority] = (counts[priority] ?? 0) + 1;
    }
    for (const bin of this.#bins.keys()) if (bin <= running - BINS) this.#bins.delete(bin);
  }
}

