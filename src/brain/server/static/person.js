// The name that what a person does is recorded under, remembered in this browser.

import { Problem } from "./api.js";
import { h } from "./dom.js";

const KEY = "brain.name";
let name = remembered();

/** The field "Your name". */
export function nameField() {
  const input = h("input", { name: "by", autocomplete: "name", maxlength: 200, value: name, oninput: () => {
    name = input.value.trim();
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // Storage is switched off: the name holds until the page is left.
    }
  } });
  return h("label", { class: "your-name" }, h("span", {}, "Your name"), input);
}

/** The name given, or else `otherwise`. Raises Problem when there is neither. */
export function person(otherwise = "") {
  if (!name && !otherwise) throw new Problem(0, "Invalid input", "Give your name first: it is recorded with what you do.");
  return name || otherwise;
}

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
