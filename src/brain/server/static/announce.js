// Messages for screen readers, polite and seldom: one message at a time, at most one in ANNOUNCE_MS.

import { plain } from "./dom.js";

const ANNOUNCE_MS = 3000;

let last = -Infinity;
let timer;

/** Say `text`; of several in a short time only the newest is said. */
export function announce(text) {
  clearTimeout(timer);
  const wait = Math.max(0, last + ANNOUNCE_MS - performance.now());
  timer = setTimeout(() => {
    last = performance.now();
    document.getElementById("announcer").textContent = plain(text);
  }, wait);
}
