// The view `#/dead-letters`: how far each consumer group is, what it gave up on, and what to do about that.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { priorityOf } from "./catalogue.js";
import { confirmed } from "./confirm.js";
import { describe } from "./describe.js";
import { h, keepFocus, syncList, whileBusy } from "./dom.js";
import { age, count, fullTime, plural } from "./format.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { createTable } from "./table.js";

const MOST = 200;

/** Shows groups and letters; `group=` in the address narrows to one group. */
export function mountDeadLetters(root, { groups, letters }) {
  const staleGroups = staleNotice();
  const staleLetters = staleNotice();
  const refusal = createRefusal();
  const summary = h("p", { class: "view-note" });
  const table = createTable("Consumer groups", [
    ["Group", (group) => h("a", { href: router.href({ group: group.name }), "data-focus": "group" }, group.name)],
    ["Lag", (group) => count(group.lag), true],
    ["Dead letters", (group) => h("span", { class: "chip", "data-level": group.dead ? "CRITICAL" : "GOOD" }, count(group.dead)), true],
    ["In flight", (group) => count(group.pending), true],
    ["Consumers", (group) => (group.consumers === null ? "by position" : count(group.consumers)), true],
    ["Reads", (group) => h("code", {}, group.pattern.replaceAll(",", ", "))],
  ]);
  const noGroups = h("p", { class: "empty" }, "No group reads the stream yet.");
  const chosen = h("select", { onchange: () => router.change({ group: chosen.value }) });
  const bulk = h("div", { class: "actions" });
  const list = h("ul", { class: "cards" });
  const none = h("p", { class: "empty" });
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Dead letters"), summary),
    h("section", { class: "panel", "aria-labelledby": "groups-title" },
      h("header", { class: "panel-head" }, h("h2", { id: "groups-title" }, "Consumer groups")), staleGroups.element, table.element, noGroups),
    h("section", { class: "panel letters", "aria-labelledby": "letters-title" },
      h("header", { class: "panel-head" }, h("h2", { id: "letters-title" }, "What groups gave up on"),
        h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, h("label", {}, h("span", {}, "Group"), chosen)), bulk),
      staleLetters.element, refusal.element, list, none),
  );

  const total = () => (groups.value ?? []).reduce((sum, group) => sum + (!router.parameters.group || group.name === router.parameters.group ? group.dead : 0), 0);

  async function dispose(button, deed, group, positions, number) {
    const what = positions ? "this dead letter" : `all ${plural(number, "dead letter")} of ${group}`;
    if (deed === "discard" && !(await confirmed(`Discard ${what}?`, "The group will never be given it again. The events themselves stay in the stream.", "Discard"))) return;
    await whileBusy(button.parentElement, async () => {
      await refusal.attempt(async () => {
        const answer = await send("POST", `/api/dead-letters/${deed}`, { group, positions });
        announce(`${plural(answer.count, "dead letter")} ${deed === "redrive" ? "delivered again" : "discarded"}.`);
      });
      await Promise.all([letters.refresh(), groups.refresh()]);
    });
  }

  function showGroups(value, problem) {
    staleGroups.show(problem);
    if (!value) return;
    table.fill(value, (group) => group.name);
    noGroups.hidden = value.length > 0;
    const dead = value.reduce((sum, group) => sum + group.dead, 0);
    const furthest = Math.max(0, ...value.map((group) => group.lag));
    summary.textContent = `${plural(value.length, "group")}, ${plural(dead, "dead letter")}, furthest behind by ${plural(furthest, "event")}`;
    const wanted = router.parameters.group ?? "";
    const names = [...new Set([...value.map((group) => group.name), wanted])].filter(Boolean);
    syncList(chosen, ["", ...names], (name) => name, (name) => h("option", { value: name }, name || "all"));
    chosen.value = wanted;
    showBulk();
    showNone();
  }

  function showBulk() {
    const { group } = router.parameters;
    const number = total();
    const deeds = group && number ? [{ deed: "redrive", group, number }, { deed: "discard", group, number }] : [];
    keepFocus(root, () => syncList(bulk, deeds, ({ deed }) => deed, ({ deed }) => h("button", { class: deed === "discard" ? "button small danger" : "button small",
      onclick: (event) => dispose(event.currentTarget, deed, group, null, number) }, deed === "redrive" ? "Redrive all" : "Discard all")));
  }

  function showNone() {
    const shown = letters.value?.length ?? 0;
    none.hidden = shown > 0 && shown < MOST;
    none.textContent = shown ? `The first ${count(shown)} of ${count(total())}; the others follow when these are dealt with.` : "No dead letters: every event was handled.";
  }

  function showLetters(value, problem) {
    staleLetters.show(problem);
    if (!value) return;
    keepFocus(root, () => syncList(list, value, (letter) => `${letter.group} ${letter.position}`, (letter) => card(letter, dispose)));
    showNone();
  }

  const stops = [];
  return {
    update({ group }) {
      letters.change({ limit: MOST, ...(group ? { group } : {}) });
      if (!stops.length) stops.push(groups.watch(showGroups), letters.watch(showLetters));
      else showGroups(groups.value, groups.problem);
    },
    remove() {
      for (const stop of stops) stop();
    },
  };
}

function card(letter, dispose) {
  const { event, group, position } = letter;
  const said = event ? describe(event) : { mark: "", text: "These bytes are no event." };
  const button = (deed, words, style = "") => h("button", { class: `button small ${style}`, "data-focus": deed,
    onclick: (click) => dispose(click.currentTarget, deed, group, [position], 1) }, words);
  return h(
    "li", { class: "card", "data-level": event ? priorityOf(event.type) : "CRITICAL" },
    h("p", { class: "card-head" }, h("b", {}, group), h("span", { class: "view-note" }, `at ${position}, ${plural(letter.attempts, "attempt")}`), h("span", { class: "card-age" }, age(letter.buried_at))),
    h("div", { class: "card-title" }, h("h3", {}, event ? event.type : "not an event"),
      event ? h("a", { class: "detail-link", href: router.href({ event: event.id }), "data-focus": "event" }, "Inspect") : null),
    h("p", { class: "card-text" }, said.mark ? `${said.mark} · ${said.text}` : said.text),
    h("p", { class: "refusal" }, letter.error),
    letter.history.length ? h("details", {}, h("summary", { "data-focus": "attempts" }, "Attempts"),
      h("ol", { class: "plain" }, letter.history.map((attempt) => h("li", {}, attempt.at ? h("span", { class: "view-note" }, `${fullTime(attempt.at)} `) : null, attempt.error)))) : null,
    letter.data_base64 === null ? null : h("details", {}, h("summary", { "data-focus": "bytes" }, "Bytes, in base64"), h("code", {}, letter.data_base64)),
    h("div", { class: "moves", role: "group", "aria-label": `Dead letter ${position} of ${group}` }, button("redrive", "Redrive"), button("discard", "Discard", "danger")),
  );
}
