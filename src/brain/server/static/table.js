// Tables: a caption for those who hear the page, headings, rows; wide ones scroll by themselves.

import { h, syncList } from "./dom.js";

/** A table with these columns, `[heading, (item) => cell or cells, isNumber?]`; `fill(items, key)` shows items. */
export function createTable(caption, columns) {
  const body = h("tbody");
  const element = h(
    "div", { class: "table-frame", tabindex: 0, role: "group", "aria-label": caption },
    h("table", {}, h("caption", { class: "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([heading, , number]) => h("th", { scope: "col", class: number ? "figure" : null }, heading)))), body),
  );
  const row = (item) => h("tr", {}, columns.map(([, cell, number], place) =>
    h(place ? "td" : "th", { scope: place ? null : "row", class: number ? "figure" : null }, cell(item))));
  return {
    element,
    fill(items, key) {
      element.hidden = items.length === 0;
      syncList(body, items, key, row);
    },
  };
}
