// Pages of a long list, newest first. The address says where a page begins (`before=`), so that it can be bookmarked.

import { h } from "./dom.js";
import { router } from "./router.js";

/** Links to the newest and to the older ones of `words` (a plural), `size` on a page. */
export function createPages(words, size) {
  const element = h("nav", { class: "actions pages", "aria-label": `Pages of ${words}` });
  let last = null;
  return {
    element,
    /** What to ask the API for. */
    wanted: ({ before }) => ({ limit: size, ...(before ? { before } : {}) }),
    /** Show the links below these items, the newest first; `full`: there may be more. */
    show(items, id, full = items.length === size) {
      last = full ? id(items.at(-1)) : null;
      element.replaceChildren(...[
        router.parameters.before ? h("a", { href: router.href({ before: null }) }, "Newest") : null,
        last === null ? null : h("a", { href: router.href({ before: last }) }, "Older"),
      ].filter(Boolean));
    },
    /** Words behind a count of what is on this page, when that is not all. */
    scope: () => (router.parameters.before || last !== null ? " on this page" : ""),
    /** Why nothing is shown: `none` there are, or none of this page fits the filter. */
    nothing(filtered, none) {
      if (!filtered) return router.parameters.before ? `No older ${words}.` : none;
      return `No ${words}${this.scope()} fit this filter.`;
    },
  };
}
