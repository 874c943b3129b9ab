// The policy rules in order of precedence, with a switch each, and a form that explains a decision.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { h, syncList } from "./dom.js";
import { createCandidate } from "./candidate.js";
import { createExplain } from "./explain.js";
import { count, plural } from "./format.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";

const MOST = 500;
const MEASURES = ["containment", "kill-switch"]; // tags that no rule can have

/** Whether it is a containment or the kill switch, which are in force for a time and no rules of the policy. */
const isMeasure = (rule) => rule.tags.some((tag) => MEASURES.includes(tag));

/** The view `#/policy`. */
export function mountPolicy(root, { rules: source }) {
  const search = h("input", { type: "search", placeholder: "name, field, value…", oninput: () => router.change({ q: search.value }, { replace: true }) });
  const summary = h("p", { class: "view-note" });
  const list = h("ul", { class: "rules" });
  const none = h("p", { class: "empty" });
  const refusal = createRefusal();
  const stale = staleNotice();
  const explain = createExplain();
  const candidate = createCandidate();
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Policy"), summary),
    h("div", { class: "policy" },
      h("div", { class: "side" }, h("section", { class: "panel", "aria-labelledby": "rules-title" },
        h("header", { class: "panel-head" }, h("h2", { id: "rules-title" }, "Rules, the first that matches decides"),
          h("button", { class: "button small", onclick: candidate.show }, "Try a new rule"),
          h("form", { class: "filters", role: "search", "aria-label": "Filter rules", onsubmit: (event) => event.preventDefault() },
            h("label", {}, h("span", {}, "Contains"), search))),
        stale.element, refusal.element, list, none), candidate.element),
      explain.element),
  );

  const show = () => {
    const rules = source.value ?? [];
    const q = (router.parameters.q ?? "").toLowerCase();
    if (search !== document.activeElement) search.value = router.parameters.q ?? "";
    const fitting = rules.filter((rule) => !q || JSON.stringify(rule).toLowerCase().includes(q));
    const lasting = rules.filter((rule) => !isMeasure(rule));
    const on = lasting.filter((rule) => rule.enabled).length;
    const measures = rules.length - lasting.length;
    summary.textContent = `${plural(lasting.length, "rule")}, ${count(on)} enabled${measures ? `; ${plural(measures, "measure")}` : ""}`;
    syncList(list, fitting.slice(0, MOST), (rule) => rule.id, (rule) => ruleRow(rule, (enabled) => flip(rule, enabled)));
    none.hidden = fitting.length > 0 && fitting.length <= MOST;
    none.textContent = fitting.length ? `and ${count(fitting.length - MOST)} more: narrow the filter to see them` : q ? "No rule fits this filter." : "No rules: the default effect decides everything.";
  };

  async function flip(rule, enabled) {
    const done = await refusal.attempt(async () => {
      await send("POST", `/api/policy/rules/${encodeURIComponent(rule.id)}/${enabled ? "enable" : "disable"}`);
      announce(`Rule ${rule.name} is ${enabled ? "enabled" : "disabled"}.`);
    });
    await source.refresh();
    return done;
  }

  const stop = source.watch((value, problem) => {
    stale.show(problem);
    if (!value) return;
    show();
    candidate.update(router.parameters, value);
  });
  return {
    update(parameters) {
      show();
      explain.update(parameters);
      candidate.update(parameters, source.value);
    },
    remove: stop,
  };
}

function ruleRow(rule, flip) {
  const measure = isMeasure(rule);
  const toggle = h("button", {
    disabled: measure, class: "switch", role: "switch", "aria-checked": String(rule.enabled), "aria-label": `Enabled: ${rule.name}`, "data-focus": "switch",
    onclick: async () => {
      toggle.setAttribute("aria-checked", String(!rule.enabled));
      if (!(await flip(!rule.enabled))) toggle.setAttribute("aria-checked", String(rule.enabled));
    },
  });
  return h(
    "li", { class: rule.enabled ? "rule" : "rule is-off" }, toggle,
    h("div", { class: "rule-main" },
      h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": rule.effect }, rule.effect), h("b", {}, rule.name),
        h("span", { class: "card-age" }, `priority ${rule.priority}`),
        measure ? null : h("a", { class: "detail-link", href: router.href({ try: rule.id }), "data-focus": "try", "aria-label": `Try a change of ${rule.name}` }, "Try a change")),
      conditionList(rule.conditions),
      h("p", { class: "card-text" }, h("code", {}, rule.id), ...notes(rule))),
  );
}

function notes(rule) {
  const found = [];
  if (rule.tags.includes("containment")) found.push(" · a measure: brain policy lift ends it");
  if (rule.tags.includes("kill-switch")) found.push(" · a measure: brain policy kill-switch off ends it");
  if (rule.mode === "shadow") found.push(" · shadow: recorded, not applied");
  if (rule.expires_at) found.push(" · expires ", new Date(rule.expires_at * 1000).toLocaleString());
  if (rule.not_before && rule.not_before > Date.now() / 1000) found.push(" · from ", new Date(rule.not_before * 1000).toLocaleString());
  if (rule.description) found.push(` · ${rule.description}`);
  return found;
}

function conditionList(conditions) {
  if (conditions.length === 0) return h("p", { class: "conditions" }, "everything");
  const parts = conditions.flatMap(({ field, operator, value }, place) => [
    place ? h("span", { class: "and" }, " and ") : null,
    h("span", { class: "condition" }, h("code", {}, field), ` ${operator} `, h("code", { class: "value" }, JSON.stringify(value))),
  ]);
  return h("p", { class: "conditions" }, parts);
}
