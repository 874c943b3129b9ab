// One incident: where it stands, what may be done, what happened, and the decisions behind it with their audit proofs.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { h, keepFocus, syncList, whileBusy } from "./dom.js";
import { age, clockTime, count, duration, fullTime, plural } from "./format.js";
import { person } from "./person.js";
import { proofButton } from "./proof.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";

const EVENTS = 50;
const STATE_LEVEL = { NEW: "CRITICAL", IN_PROGRESS: "HIGH", ON_HOLD: "MEDIUM", RESOLVED: "GOOD", CLOSED: "" };
const VERBS = { NEW: "Back to new", IN_PROGRESS: "Work on it", ON_HOLD: "Put on hold", RESOLVED: "Resolve", CLOSED: "Close" };

/** The incident of the address; `update(id)` shows it, or nothing without an id. */
export function createIncident(source) {
  const stale = staleNotice();
  const refusal = createRefusal();
  const head = h("header", { class: "panel-head" });
  const facts = h("ul", { class: "facts" });
  const moves = h("div", { class: "moves", role: "group", "aria-label": "Move the incident" });
  const reason = h("input", { id: "incident-reason", maxlength: 1000, placeholder: "why, for the record" });
  const owner = h("input", { id: "incident-owner", maxlength: 200, autocomplete: "off" });
  const note = h("textarea", { id: "incident-note", rows: 2, required: true });
  const timeline = h("ol", { class: "entries" });
  const decisions = h("ul", { class: "entries" });
  const parts = { threats: h("ul", { class: "entries" }), health: h("ul", { class: "entries" }), tickets: h("ul", { class: "entries" }), events: h("ol", { class: "entries" }) };
  const numbers = {};
  let opened = ""; // the incident whose heading was given the focus
  const section = (name, title, body) => {
    numbers[name] = h("span", { class: "number" });
    return h("section", { class: "panel", "aria-labelledby": `incident-${name}` }, h("header", { class: "panel-head" }, h("h3", { id: `incident-${name}` }, title, " ", numbers[name])), body);
  };
  const act = (form, path, body, said) => whileBusy(form, async () => {
    const id = source.value.id;
    const done = await refusal.attempt(async () => {
      await send("POST", `/api/incidents/${encodeURIComponent(id)}/${path}`, body());
      announce(said);
    });
    await source.refresh();
    return done;
  });
  const acts = h("div", { class: "acts" },
    h("div", { class: "act" }, h("label", { for: "incident-reason" }, "Reason"), reason, moves),
    h("form", { class: "act", onsubmit: (event) => (event.preventDefault(), act(event.currentTarget, "owner", () => ({ owner: owner.value.trim() || null, by: person() }), "The owner is changed.")) },
      h("label", { for: "incident-owner" }, "Owner"), owner, h("button", { class: "button small" }, "Assign")),
    h("form", { class: "act", onsubmit: async (event) => {
      event.preventDefault();
      const text = note.value;
      await act(event.currentTarget, "notes", () => ({ text, by: person() }), "The note is added.");
      if (refusal.element.hidden) note.value = "";
    } }, h("label", { for: "incident-note" }, "Note"), note, h("button", { class: "button small" }, "Add note")));
  const inside = h("div", { class: "incident-parts" },
    section("timeline", "Timeline", timeline),
    h("div", { class: "side" },
      section("decisions", "Decisions behind it", decisions), section("threats", "Threats", parts.threats),
      section("health", "Health", parts.health), section("tickets", "Tickets", parts.tickets), section("events", "Events", parts.events)));
  const body = [facts, acts, inside]; // shown once the answer about this address is here
  const element = h(
    "article", { class: "incident", hidden: true },
    h("p", {}, h("a", { href: "#/incidents", class: "back" }, "← All incidents")), stale.element,
    h("section", { class: "panel", "aria-labelledby": "incident-title" }, head, facts, acts, refusal.element), inside,
  );

  function show(incident, problem) {
    const unknown = problem?.status === 404;
    stale.show(unknown ? null : problem);
    if (unknown) blank("There is no incident with this id.");
    if (unknown || !incident || incident.id !== router.parameters.id) return;
    for (const part of body) part.hidden = false;
    keepFocus(element, () => {
      syncList(head, [incident], () => "head", title);
      syncList(facts, factsOf(incident), ([name]) => name, ([name, value]) => h("li", {}, `${name} `, h("b", {}, value)));
      syncList(moves, incident.allowed_states, (state) => state, (state) =>
        h("button", { class: "button small", onclick: () => act(moves, "state", () => ({ state, note: reason.value.trim(), by: person() }), `The incident is now ${state}.`) }, VERBS[state] ?? state));
      if (owner !== document.activeElement) owner.value = incident.owner ?? "";
      syncList(timeline, incident.timeline.map((entry, place, all) => ({ ...entry, number: all.length - place })), (entry) => entry.number, entryRow);
      syncList(decisions, incident.decisions, (decision) => decision.event_id, decisionRow);
      syncList(parts.threats, incident.threats, (threat) => threat.id, threatRow);
      syncList(parts.health, incident.health ?? [], (trouble) => trouble.number, (trouble) =>
        h("li", {}, h("b", {}, trouble.kind), ` ${trouble.module} · ${trouble.state} · `, age(trouble.at)));
      syncList(parts.tickets, incident.mirrors, (mirror) => mirror.system, (mirror) => h("li", {}, ticket(mirror), mirror.error ? h("p", { class: "view-note" }, mirror.error) : null));
      syncList(parts.events, incident.events.slice(0, EVENTS), (event) => event.id, (event) =>
        h("li", {}, h("a", { href: router.href({ event: event.id }), "data-focus": "event" }, event.type), " ", age(event.at)));
    });
    const sizes = { timeline: incident.timeline, decisions: incident.decisions, threats: incident.threats, health: incident.health ?? [], tickets: incident.mirrors, events: incident.events };
    for (const [name, items] of Object.entries(sizes)) {
      numbers[name].textContent = count(items.length);
      numbers[name].closest("section").hidden = items.length === 0;
    }
    // The link that was followed is hidden now.
    if (opened !== incident.id && document.activeElement === document.body) head.querySelector("h2").focus({ preventScroll: true });
    opened = incident.id;
  }

  /** Nothing of any incident, and no forms, under this heading. */
  function blank(words) {
    head.replaceChildren(h("h2", { id: "incident-title", tabindex: -1 }, words));
    for (const part of body) part.hidden = true;
    for (const field of [reason, owner, note]) field.value = "";
    refusal.clear();
  }

  let stop = null;
  return {
    element,
    update(id) {
      element.hidden = !id;
      if (!id) opened = "";
      if (!id) return void (stop = stop?.() ?? null);
      source.change({}, `/api/incidents/${encodeURIComponent(id)}`);
      if (source.value?.id !== id) blank("Incident");
      stop ??= source.watch(show);
    },
    remove: () => stop?.(),
  };
}

function title(incident) {
  return h("div", { class: "incident-head" },
    h("span", { class: "chip", "data-level": incident.severity }, incident.severity), stateChip(incident.state),
    h("h2", { id: "incident-title", tabindex: -1, "data-focus": "title" }, `#${incident.number} ${incident.title}`),
    h("a", { href: router.href({ timeline: incident.correlation_id }), "data-focus": "timeline" }, "Timeline of its events"));
}

function factsOf(incident) {
  return [
    ["opened", fullTime(incident.opened_at)],
    ["resolved", incident.resolved_at && `${fullTime(incident.resolved_at)}, after ${duration(incident.resolved_at - incident.opened_at)}`],
    ["owner", incident.owner ?? "nobody"],
    ["agents", incident.agents.join(", ")],
    ["correlation id", incident.correlation_id],
  ].filter(([, value]) => value);
}

function entryRow(entry) {
  return h("li", {},
    h("time", { class: "event-time", title: fullTime(entry.at) }, clockTime(entry.at)), " ", h("span", { class: "chip", "data-level": "" }, entry.kind), " ",
    entry.text, entry.by ? h("span", { class: "view-note" }, ` by ${entry.by}`) : null,
    entry.count > 1 ? h("span", { class: "view-note" }, ` (${plural(entry.count, "time")})`) : null,
    entry.event_id ? h("a", { class: "detail-link", href: router.href({ event: entry.event_id }), "data-focus": "event" }, " Event") : null);
}

function decisionRow(decision) {
  return h("li", {},
    h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": decision.effect }, decision.effect),
      h("b", {}, decision.agent), [decision.action, decision.resource].filter(Boolean).join(" "), h("span", { class: "card-age" }, age(decision.at))),
    h("p", { class: "card-text" }, decision.reason),
    h("p", { class: "actions" }, h("a", { href: router.href({ event: decision.event_id }), "data-focus": "event" }, "Event"),
      decision.proof ? h("span", { class: "view-note" }, `audit entry ${count(decision.proof.index)}`) : null, proofButton(decision.event_id)));
}

function threatRow(threat) {
  return h("li", {}, h("span", { class: "chip", "data-level": threat.severity }, threat.severity), ` ${threat.type} from ${threat.source} · ${threat.status} · `,
    h("a", { href: `#/threats?id=${encodeURIComponent(threat.id)}`, "data-focus": "threat" }, "what happened"));
}

/** A state's chip. */
export function stateChip(state) {
  return h("span", { class: "chip", "data-level": STATE_LEVEL[state] ?? "" }, state.replaceAll("_", " "));
}

/** A ticket in another system: a link once it is there. */
export function ticket(mirror) {
  const words = `${mirror.system}: ${mirror.key ?? "not yet"}${mirror.state ? ` (${mirror.state})` : ""}`;
  // The address comes from the ticket system: only a web page may be behind it.
  const link = /^https?:\/\//.test(mirror.url ?? "") ? h("a", { href: mirror.url, target: "_blank", rel: "noreferrer" }, words) : words;
  return h("span", { class: "ticket" }, link, mirror.error ? h("span", { class: "chip", "data-level": "WARN", title: mirror.error }, "not up to date") : null);
}
