// "Why would this be decided so?": a context in, the decision and every rule's part in it out. Changes and records nothing.

import { Problem, send } from "./api.js";
import { h, whileBusy } from "./dom.js";
import { plural } from "./format.js";
import { createRefusal } from "./refusal.js";

const TEXTS = [
  ["agent_id", "Agent", "agent-7"],
  ["agent_role", "Role", "guest"],
  ["action", "Action", "delete"],
  ["resource", "Resource", "db/customers"],
];
const OBJECTS = [
  ["params", "Params, as JSON", "{}"],
  ["environment", "Environment, as JSON", "{}"],
];

/** The panel; `update(parameters)` fills the form from the address. */
export function createExplain() {
  const inputs = Object.fromEntries([
    ...TEXTS.map(([name, , example]) => [name, h("input", { id: `explain-${name}`, name, placeholder: example, autocomplete: "off", spellcheck: "false" })]),
    ...OBJECTS.map(([name, , example]) => [name, h("textarea", { id: `explain-${name}`, name, rows: 2, spellcheck: "false", placeholder: example })]),
  ]);
  const refusal = createRefusal();
  const result = h("div", { class: "explanation", "aria-live": "polite" });
  const element = h(
    "section", { class: "panel asking explain", "aria-labelledby": "explain-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "explain-title" }, "Explain a decision")),
    h("form", { onsubmit: (event) => (event.preventDefault(), whileBusy(event.currentTarget, explain)) },
      [...TEXTS, ...OBJECTS].map(([name, label]) => h("label", { for: `explain-${name}`, class: name in { params: 1, environment: 1 } ? "wide" : null }, h("span", {}, label), inputs[name])),
      refusal.element, h("p", { class: "actions" }, h("button", { class: "button primary" }, "Explain"))),
    result,
  );

  async function explain() {
    const done = await refusal.attempt(async () => show(result, await send("POST", "/api/policy/explain", contextOf(inputs))));
    if (!done) result.replaceChildren();
  }

  return {
    element,
    update(parameters) {
      for (const [name, input] of Object.entries(inputs)) if (parameters[name] !== undefined) input.value = parameters[name];
    },
  };
}

/** The context in the form; an empty text is left out, as a field that the agent did not send. */
function contextOf(inputs) {
  const context = {};
  for (const [name] of TEXTS) if (inputs[name].value !== "") context[name] = inputs[name].value;
  for (const [name, label] of OBJECTS) {
    const text = inputs[name].value.trim();
    try {
      context[name] = text ? JSON.parse(text) : {};
    } catch (error) {
      throw new Problem(0, "Invalid input", `${label.split(",")[0]}: not valid JSON: ${error.message}`);
    }
  }
  return context;
}

function show(result, explanation) {
  const { decision, why, rules, considered } = explanation;
  result.replaceChildren(
    h("p", { class: "card-head" }, h("span", { class: "chip big", "data-level": decision.effect }, decision.effect), h("b", {}, decision.allowed ? "Allowed" : "Denied")),
    h("p", {}, decision.reason), h("p", { class: "card-text" }, why),
    h("ol", { class: "traces" }, rules.map(trace)),
    considered > rules.length ? h("p", { class: "empty" }, `and ${plural(considered - rules.length, "rule")} further from matching`) : "",
  );
}

function trace(rule) {
  return h(
    "li", { class: rule.outcome === "won" ? "trace is-won" : "trace" },
    h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": rule.effect }, rule.effect), h("b", {}, rule.name)),
    h("p", { class: "view-note" }, `${rule.outcome} · priority ${rule.priority}`),
    h("ul", { class: "checks" }, rule.conditions.map((one) => h(
      "li", { class: one.holds ? "holds" : "fails" },
      h("span", { class: "mark" }, one.holds ? "holds" : "fails"), h("span", {},
        h("code", {}, one.field), ` ${one.operator} `, h("code", { class: "value" }, JSON.stringify(one.expected)),
        one.holds ? "" : one.present ? h("span", {}, ", is ", h("code", { class: "value" }, JSON.stringify(one.actual))) : ", is missing"),
    ))),
  );
}
