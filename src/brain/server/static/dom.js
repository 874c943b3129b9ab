// Elements without markup: every text becomes a text node, so nothing an event carries is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

const ACTS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const SHOWN = new Set(["title", "aria-label", "alt"]);

/** The text with controls and bidirectional marks, by which it would look other than it is, as escapes. */
export function plain(text) {
  return text.replace(ACTS, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** An element with attributes (`null` and `false` are left out), `on...` listeners and children (texts or nodes). */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** As `h`, for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : SHOWN.has(name) ? plain(String(value)) : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false).map(asShown));
  return element;
}

function asShown(child) {
  return typeof child === "string" ? plain(child) : child;
}

const signatures = new WeakMap();

/**
 * Makes `parent`'s children show `items`, touching only what changed: unchanged items keep their element, and where an
 * element is replaced, the focus stays on the control with the same `data-focus`.
 */
export function syncList(parent, items, key, render) {
  const present = new Map();
  for (const child of parent.children) present.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const signature = JSON.stringify(item);
    let element = present.get(name);
    present.delete(name);
    if (element === undefined) {
      element = remember(render(item), name, signature);
      parent.insertBefore(element, place);
    } else {
      const inPlace = element === place;
      if (signatures.get(element) !== signature) element = exchange(element, remember(render(item), name, signature));
      if (inPlace) place = element.nextElementSibling;
      else parent.insertBefore(element, place);
    }
  }
  for (const element of present.values()) element.remove();
}

function remember(element, name, signature) {
  element.dataset.key = name;
  signatures.set(element, signature);
  return element;
}

function exchange(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  old.replaceWith(fresh);
  if (focused !== undefined) {
    const same = [...fresh.querySelectorAll("[data-focus]")].find((control) => control.dataset.focus === focused);
    (same ?? fresh.querySelector("[data-focus]"))?.focus();
  }
  return fresh;
}

/**
 * Runs `change`, which may move, replace or remove the items of `root`, and leaves the focus where the person had it: on
 * the same control (`data-focus`) of the same item (`data-key`), or on the heading when the item is gone.
 */
export function keepFocus(root, change) {
  const held = root.contains(document.activeElement) ? document.activeElement : null;
  const key = held?.closest("[data-key]")?.dataset.key;
  change();
  if (key === undefined || root.contains(document.activeElement)) return;
  const item = root.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const controls = item === null ? [] : item.tagName === "BUTTON" ? [item] : [...item.querySelectorAll("[data-focus]")];
  const heading = root.querySelector("h1, h2");
  if (!controls.length) heading.tabIndex = -1;
  (controls.find((control) => control.dataset.focus === held.dataset.focus) ?? controls[0] ?? heading).focus({ preventScroll: true });
}

const working = new WeakSet();

/** Runs `work`, not twice at once. The buttons of `group` look disabled meanwhile; a truly disabled one would lose the focus. */
export async function whileBusy(group, work) {
  if (working.has(group)) return;
  working.add(group);
  const buttons = group.querySelectorAll("button");
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } finally {
    working.delete(group);
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

/** A name whose words `_` joins, so that a narrow place breaks it between them. */
export function breakable(name) {
  return name.split(/(?<=_)/).flatMap((word, at) => (at ? [h("wbr"), word] : [word]));
}
