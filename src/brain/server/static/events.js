// The view `#/events`: the feed on the whole width.

import { h } from "./dom.js";

/** Shows the shared feed. */
export function mountEvents(root, { feed }) {
  root.append(h("h1", { class: "visually-hidden", tabindex: -1 }, "Events"), feed.element);
  return { update: (parameters) => feed.update(parameters), remove() {} };
}
