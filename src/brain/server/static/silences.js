// Silences: nobody is paged for the alerts that all matchers of one fit, until it ends or is removed.

import { send, serverNow } from "./api.js";
import { announce } from "./announce.js";
import { confirmed } from "./confirm.js";
import { h, keepFocus, syncList, whileBusy } from "./dom.js";
import { count, fullTime } from "./format.js";
import { person } from "./person.js";
import { createRefusal } from "./refusal.js";
import { staleNotice } from "./stale.js";

const LENGTHS = [["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"], ["604800", "7 days"]];
/** Labels that say what an alert is about; the others change while it lasts. */
const LASTING = ["kind", "agent", "module", "source", "type"];

/** The panel; `propose(alert)` writes matchers for one like it; `changed` is called after every change. */
export function createSilences(source, changed) {
  const stale = staleNotice();
  const refusal = createRefusal();
  const number = h("span", { class: "number" });
  const list = h("ul", { class: "entries" });
  const none = h("p", { class: "empty" }, "No silences: every alert can page.");
  const matchers = h("textarea", { id: "silence-matchers", rows: 3, spellcheck: "false", placeholder: "agent=billing-agent\nname=~ssh_.*", required: true });
  const length = h("select", { id: "silence-length" }, LENGTHS.map(([value, words]) => h("option", { value }, words)));
  const reason = h("input", { id: "silence-reason", maxlength: 1000, placeholder: "why", required: true });
  const form = h("form", { onsubmit: (event) => (event.preventDefault(), whileBusy(event.currentTarget, add)) },
    h("label", { for: "silence-matchers", class: "wide" }, h("span", {}, "Matchers, one a line: =, !=, =~, !~"), matchers),
    h("label", { for: "silence-length" }, h("span", {}, "For"), length), h("label", { for: "silence-reason" }, h("span", {}, "Reason"), reason),
    refusal.element, h("p", { class: "actions" }, h("button", { class: "button primary" }, "Add silence")));
  const element = h(
    "section", { class: "panel asking silences", "aria-labelledby": "silences-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "silences-title" }, "Silences ", number)), stale.element, list, none, form,
  );

  async function add() {
    const done = await refusal.attempt(async () => {
      const lines = matchers.value.split("\n").map((line) => line.trim()).filter(Boolean);
      await send("POST", "/api/silences", { matchers: lines, ends_at: serverNow() + Number(length.value), reason: reason.value.trim(), by: person() });
      announce("The silence is added.");
    });
    if (done) matchers.value = reason.value = "";
    await Promise.all([source.refresh(), changed()]);
  }

  async function remove(silence, button) {
    if (!(await confirmed("Remove this silence?", "Alerts that it muted and that still fire will be paged.", "Remove"))) return;
    await whileBusy(button.parentElement, async () => {
      await refusal.attempt(async () => {
        await send("DELETE", `/api/silences/${encodeURIComponent(silence.id)}`);
        announce("The silence is removed.");
      });
      await Promise.all([source.refresh(), changed()]);
    });
  }

  function row(silence) {
    return h("li", {},
      h("p", { class: "conditions" }, silence.matchers.map((matcher) => h("code", { class: "matcher" }, String(matcher)))),
      h("p", {}, silence.reason, h("span", { class: "view-note" }, ` by ${silence.by}`)),
      h("p", { class: "view-note" }, `${silence.state ? `${silence.state}, ` : ""}${fullTime(silence.starts_at)} to ${fullTime(silence.ends_at)}`),
      h("p", { class: "actions" }, h("button", { class: "button small", "data-focus": "remove", "aria-label": `Remove the silence ${silence.matchers.join(", ")}`, onclick: (event) => remove(silence, event.currentTarget) }, "Remove")));
  }

  const stop = source.watch((value, problem) => {
    stale.show(problem);
    if (!value) return;
    number.textContent = count(value.length);
    keepFocus(element, () => syncList(list, value, (silence) => silence.id, row));
    none.hidden = value.length > 0;
  });
  return {
    element,
    propose(alert) {
      const lasting = Object.entries(alert.labels).filter(([name]) => LASTING.includes(name));
      matchers.value = [`name=${alert.name}`, ...lasting.map(([name, value]) => `${name}=${value}`)].join("\n");
      element.scrollIntoView({ block: "nearest" });
      reason.focus({ preventScroll: true });
    },
    remove: stop,
  };
}
