// A timeline as a list: each event a line with the seconds since the first one, linked to its envelope.

import { priorityOf } from "./catalogue.js";
import { describe } from "./describe.js";
import { h } from "./dom.js";
import { duration } from "./format.js";
import { router } from "./router.js";

const DEEPEST = 4; // further causes are not drawn further to the right

/** The `li` of one event; `id` is that of the event which is looked at, `depth` how many events of the timeline led to it. */
export function timelineStep(event, first, { id = null, depth = 0 } = {}) {
  const said = describe(event);
  return h("li", { "data-level": priorityOf(event.type), "data-depth": Math.min(depth, DEEPEST) || null }, h(
    "a", { href: router.href({ event: event.id }), "aria-current": event.id === id ? "true" : null, "data-focus": "event" },
    h("span", { class: "offset" }, `+${duration(event.timestamp - first)}`), h("span", { class: "event-type" }, event.type),
    h("span", { class: "event-text" }, said.mark ? h("b", { "data-level": said.mark }, said.mark) : null, h("span", {}, said.text)),
  ));
}
