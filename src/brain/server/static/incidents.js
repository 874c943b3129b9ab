// The view `#/incidents`: what is being worked on as a table, one incident in full when the address names it.

import { h } from "./dom.js";
import { age, count, plural } from "./format.js";
import { createIncident, stateChip, ticket } from "./incident.js";
import { createPages } from "./pages.js";
import { nameField } from "./person.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { createTable } from "./table.js";

/** States of an incident, and which are still worked on. */
const OPEN = ["NEW", "IN_PROGRESS", "ON_HOLD"];
const MOST = 100;

/** Shows the list, or the incident `id=`; `state=all` lists those that are over as well. */
export function mountIncidents(root, { incidents: source, incident: one }) {
  const summary = h("p", { class: "view-note" });
  const stale = staleNotice();
  const over = h("input", { type: "checkbox", onchange: () => router.change({ state: over.checked ? "all" : null, before: null }, { replace: true }) });
  const search = h("input", { type: "search", placeholder: "title, owner, ticket…", oninput: () => router.change({ q: search.value }, { replace: true }) });
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter incidents", onsubmit: (event) => event.preventDefault() },
    h("label", {}, h("span", {}, "Contains"), search), h("label", { class: "check" }, over, "Show resolved and closed"));
  const table = createTable("Incidents", [
    ["Incident", (incident) => h("a", { href: router.href({ id: incident.id }), "data-focus": "open" }, `#${incident.number} ${incident.title}`)],
    ["Severity", (incident) => h("span", { class: "chip", "data-level": incident.severity }, incident.severity)],
    ["State", (incident) => stateChip(incident.state)],
    ["Owner", (incident) => incident.owner ?? "nobody"],
    ["Tickets", (incident) => incident.mirrors.map(ticket)],
    ["Opened", (incident) => age(incident.opened_at)],
  ]);
  const none = h("p", { class: "empty" });
  const pages = createPages("incidents", MOST);
  const list = h("section", { class: "panel", "aria-label": "Incidents" }, stale.element, table.element, none, pages.element);
  const detail = createIncident(one);
  root.append(h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Incidents"), summary, form, nameField()), list, detail.element);

  function show(value, problem) {
    stale.show(problem);
    if (!value) return;
    const open = value.filter(({ state }) => OPEN.includes(state));
    const { q = "", state } = router.parameters;
    if (search !== document.activeElement) search.value = q;
    over.checked = state === "all";
    const fitting = value.filter((incident) => !q || JSON.stringify(incident).toLowerCase().includes(q.toLowerCase()));
    pages.show(value, ({ id }) => id);
    summary.textContent = `${plural(open.length, "open incident")}${pages.scope()}${open.some(({ owner }) => !owner) ? `, ${count(open.filter(({ owner }) => !owner).length)} without an owner` : ""}`;
    table.fill(fitting, (incident) => incident.id);
    none.hidden = fitting.length > 0;
    none.textContent = pages.nothing(q, state === "all" ? "No incidents." : "No open incidents.");
  }

  let stop = null;
  return {
    update(parameters) {
      const { id, state } = parameters;
      list.hidden = form.hidden = Boolean(id);
      source.change({ ...pages.wanted(parameters), ...(state === "all" ? {} : { state: OPEN }) });
      if (stop) show(source.value, source.problem);
      else stop = source.watch(show);
      detail.update(id);
    },
    remove() {
      stop?.();
      detail.remove();
    },
  };
}
