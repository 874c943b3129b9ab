// A line over a panel whose data could not be brought up to date: old figures are kept, and said to be old.

import { h } from "./dom.js";
import { age } from "./format.js";
import { serverNow } from "./api.js";

/** The line, and `show(problem)`; null hides it. */
export function staleNotice() {
  const element = h("p", { class: "notice", hidden: true });
  let since = null;
  return {
    element,
    show(problem) {
      element.hidden = problem === null;
      if (problem === null) since = null;
      else {
        since ??= serverNow();
        element.replaceChildren(`Not up to date since `, age(since), `: ${problem.message}`);
      }
    },
  };
}
