// JSON as a readable tree: names, values coloured by kind, large parts folded. Texts stay texts.

import { h } from "./dom.js";

const FOLD_AFTER = 12;

/** The value as an element. */
export function jsonTree(value) {
  if (value === null || typeof value !== "object") return leaf(value);
  const entries = Array.isArray(value) ? value.map((one, place) => [place, one]) : Object.entries(value);
  if (entries.length === 0) return h("span", { class: "json-empty" }, Array.isArray(value) ? "[]" : "{}");
  const rows = h("dl", { class: "json" }, entries.map(([name, one]) => h("div", {}, h("dt", {}, String(name)), h("dd", {}, nested(one)))));
  return rows;
}

function nested(value) {
  const size = value !== null && typeof value === "object" ? Object.keys(value).length : 0;
  if (size <= FOLD_AFTER) return jsonTree(value);
  return h("details", {}, h("summary", {}, `${size} entries`), jsonTree(value));
}

function leaf(value) {
  if (value === null || value === undefined) return h("span", { class: "json-null" }, "null");
  return h("span", { class: `json-${typeof value}` }, String(value));
}
