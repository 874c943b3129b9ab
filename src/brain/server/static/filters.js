// The feed's filters: event types by pattern, least priority, text. They live in the address; typing changes it shortly after.

import { suggestedPatterns } from "./catalogue.js";
import { h } from "./dom.js";
import { router } from "./router.js";

const TYPING_MS = 500;

/** The form, the line for what the server refused, and how to show what the address says. */
export function createFilterForm() {
  const options = h("datalist", { id: "patterns" });
  const pattern = h("input", {
    id: "feed-pattern", name: "pattern", list: "patterns", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    placeholder: "*", "aria-describedby": "feed-refusal",
  });
  const priority = h(
    "select", { id: "feed-priority", name: "priority" },
    h("option", { value: "" }, "any"), h("option", { value: "HIGH" }, "HIGH and above"), h("option", { value: "CRITICAL" }, "CRITICAL"),
  );
  const text = h("input", { id: "feed-text", name: "q", type: "search", placeholder: "agent, address, id…", autocomplete: "off" });
  const refusal = h("p", { id: "feed-refusal", class: "refusal", role: "alert", hidden: true });
  const apply = () => {
    clearTimeout(timer);
    const wanted = pattern.value.trim();
    router.change({ pattern: wanted === "*" ? null : wanted, priority: priority.value, q: text.value }, { replace: true });
  };
  let timer;
  const typed = () => {
    clearTimeout(timer);
    timer = setTimeout(apply, TYPING_MS);
  };
  pattern.addEventListener("input", typed);
  pattern.addEventListener("focus", () => options.replaceChildren(...suggestedPatterns().map((value) => h("option", { value }))));
  text.addEventListener("input", typed);
  const form = h(
    "form", { class: "filters", role: "search", "aria-label": "Filter events", onchange: apply, onsubmit: (event) => (event.preventDefault(), apply()) },
    h("label", { for: "feed-pattern" }, h("span", {}, "Types"), pattern), options,
    h("label", { for: "feed-priority" }, h("span", {}, "Priority"), priority),
    h("label", { for: "feed-text" }, h("span", {}, "Contains"), text),
  );
  const put = (control, value) => {
    // What someone is typing right now is not overwritten.
    if (control !== document.activeElement || control.tagName === "SELECT") control.value = value;
  };
  return {
    form,
    refusal,
    showFilter(filter) {
      put(pattern, filter.pattern === "*" ? "" : filter.pattern);
      put(priority, filter.least);
      put(text, filter.text);
    },
    showRefusal(problem) {
      refusal.hidden = problem === null;
      refusal.textContent = problem ? problem.message : "";
      pattern.toggleAttribute("aria-invalid", problem !== null);
    },
  };
}
