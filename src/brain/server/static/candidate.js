// "What would have changed?": candidate rules laid over the present ones, tried on the decisions on record. Changes nothing.

import { Problem, send, serverNow } from "./api.js";
import { announce } from "./announce.js";
import { h, whileBusy } from "./dom.js";
import { age, count, fullTime, plural } from "./format.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { createTable } from "./table.js";

const EXAMPLES = 10;
const ROWS = 12;
const PERIODS = [["3600", "the last hour"], ["86400", "the last day"], ["604800", "the last 7 days"], ["2592000", "the last 30 days"]];
const WEEK = "604800";

/** What became of a decision, in words, with the colour of what it is now. */
const KINDS = { newly_denied: ["newly denied", "DENY"], newly_allowed: ["newly allowed", "ALLOW"], effect_changed: ["another effect", "AUDIT"] };

const TEMPLATE = {
  id: "candidate", name: "No deletions outside working hours", effect: "DENY", priority: 100,
  conditions: [{ field: "action", operator: "==", value: "delete" }, { field: "environment.hour", operator: ">", value: 18 }],
};

/** The panel; `update(parameters, rules)` takes the rule that `try=` names into the form, `show()` goes there. */
export function createCandidate() {
  const text = h("textarea", { id: "candidate-rules", rows: 11, spellcheck: "false", placeholder: JSON.stringify(TEMPLATE, null, 2) });
  const period = h("select", { id: "candidate-period" }, PERIODS.map(([value, words]) => h("option", { value, selected: value === WEEK }, words)));
  const alone = h("input", { type: "checkbox" });
  const refusal = createRefusal();
  const result = h("div", { class: "replay", "aria-live": "polite" });
  const element = h(
    "section", { class: "panel asking candidate", id: "candidate", "aria-labelledby": "candidate-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "candidate-title", tabindex: -1 }, "Try a rule against history"),
      h("button", { class: "button small", onclick: () => (text.value = JSON.stringify(TEMPLATE, null, 2)) }, "Example")),
    h("form", { onsubmit: (event) => (event.preventDefault(), whileBusy(event.currentTarget, tryOut)) },
      h("label", { for: "candidate-rules", class: "wide" }, h("span", {}, "A rule or a list of rules, as JSON"), text),
      h("label", { for: "candidate-period" }, h("span", {}, "Decisions of"), period),
      h("label", { class: "check" }, alone, "instead of all present rules"),
      refusal.element,
      h("p", { class: "actions" }, h("button", { class: "button primary" }, "Try"), h("span", { class: "view-note" }, "Nothing is changed."))),
    result,
  );
  let shown = "";

  function go() {
    element.scrollIntoView({ block: "nearest" });
    text.focus({ preventScroll: true });
  }

  async function tryOut() {
    result.replaceChildren(h("p", { class: "view-note" }, "Deciding again…"));
    const done = await refusal.attempt(async () => {
      const body = { rules: rulesIn(text.value), alone: alone.checked, since: serverNow() - Number(period.value), examples: EXAMPLES };
      const report = await send("POST", "/api/policy/replay", body);
      show(result, report);
      announce(`${plural(changes(report), "decision")} of ${count(report.decisions)} would have changed.`);
    });
    if (!done) result.replaceChildren();
  }

  return {
    element,
    show: go,
    update({ try: id }, rules) {
      const rule = rules?.find((one) => one.id === id);
      if (!rule || shown === id) return;
      shown = id;
      text.value = JSON.stringify(rule, null, 2);
      result.replaceChildren();
      refusal.clear();
      go();
    },
  };
}

/** Rules as written: one, a list, or a policy file's `{rules: [...]}`. What a rule needs and lacks is given to it. */
function rulesIn(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch (error) {
    throw new Problem(0, "Invalid input", text.trim() ? `Not valid JSON: ${error.message}` : "Paste a rule, or press Try a change beside one of the rules.");
  }
  const rules = [given?.rules ?? given].flat();
  return rules.map((rule, place) => (rule && typeof rule === "object" ? { id: `candidate-${place + 1}`, name: rule.id ?? `candidate-${place + 1}`, ...rule } : rule));
}

const changes = (report) => report.newly_denied + report.newly_allowed + report.effect_changed;

function show(result, report) {
  const changed = changes(report);
  const span = report.first === null ? "" : ` from ${fullTime(report.first)} to ${fullTime(report.last)}`;
  const figures = Object.entries(KINDS).map(([kind, [words, level]]) =>
    h("li", { "data-level": report[kind] ? level : "" }, h("b", {}, count(report[kind])), ` ${words}`));
  result.replaceChildren(
    h("p", {}, h("b", {}, changed ? `${plural(changed, "decision")} would have changed` : "No decision would have changed"), ` of ${count(report.decisions)}${span}.`),
    h("ul", { class: "changes" }, figures),
    report.skipped ? h("p", { class: "view-note" }, `${plural(report.skipped, "decision")} of containments and the kill switch left out.`) : "",
    ...(changed ? [by("agent", report.by_agent), by("action", report.by_action), by("rule that decides now", report.by_rule, (id) => (id === "None" ? "the default effect" : id)), examples(report.examples)] : []),
  );
}

function by(what, counts, name = (text) => text) {
  const rows = Object.entries(counts);
  const table = createTable(`Changes by ${what}`, [
    [`By ${what}`, ([key]) => h("code", {}, name(key))],
    ...Object.entries(KINDS).map(([kind, [words]]) => [words, ([, numbers]) => count(numbers[kind] ?? 0), true]),
  ]);
  table.fill(rows.slice(0, ROWS), ([key]) => key);
  return h("div", {}, table.element, rows.length > ROWS ? h("p", { class: "view-note" }, `and ${count(rows.length - ROWS)} more`) : "");
}

function examples(list) {
  return h("div", {}, h("h3", {}, "Examples"), h("ul", { class: "traces" }, list.map((one) => h(
    "li", { class: "trace" },
    h("p", { class: "card-head" },
      h("span", { class: "chip", "data-level": one.before.effect }, one.before.effect), "→", h("span", { class: "chip", "data-level": one.after.effect }, one.after.effect),
      h("b", {}, KINDS[one.kind][0]), h("span", { class: "card-age" }, age(one.timestamp))),
    h("p", {}, ["agent_id", "agent_role", "action", "resource"].map((name) => one.context[name]).filter((value) => typeof value === "string" && value).join(" · "), " ",
      h("a", { href: router.href({ event: one.event_id }) }, "Event")),
    h("p", { class: "view-note" }, `${one.before.rule_id ?? "the default effect"} → ${one.after.rule_id ?? "the default effect"}: ${one.after.reason}`),
  ))));
}
