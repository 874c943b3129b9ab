// One threat: whose it is, what was written about it, and the timeline of all around it, from the decisions to the release.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { h, keepFocus, syncList, whileBusy } from "./dom.js";
import { clockTime, count, duration, fullTime } from "./format.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { timelineStep } from "./timeline.js";

/** What each move is called on its button. */
export const VERBS = {
  OPEN: "Reopen",
  INVESTIGATING: "Investigate",
  ESCALATED: "Escalate",
  MITIGATED: "Mitigate",
  RESOLVED: "Resolve",
  IGNORED: "Ignore",
};

/** The threat of the address; `update(id)` shows it, or nothing without an id. `changed` is called after what is done here. */
export function createThreat(source, timeline, live, changed) {
  const stale = staleNotice();
  const refusal = createRefusal();
  const head = h("header", { class: "panel-head" });
  const facts = h("ul", { class: "facts" });
  const moves = h("div", { class: "moves", role: "group", "aria-label": "Move the threat" });
  const reason = h("input", { id: "threat-reason", maxlength: 1000, placeholder: "why, for the record" });
  const assignee = h("input", { id: "threat-assignee", maxlength: 200, autocomplete: "off" });
  const comment = h("textarea", { id: "threat-comment", rows: 2, required: true, maxlength: 2000 });
  const lists = { timeline: h("ol", { class: "timeline" }), comments: h("ol", { class: "entries" }), moves: h("ol", { class: "entries" }) };
  const numbers = {};
  const section = (name, title) => {
    numbers[name] = h("span", { class: "number" });
    return h("section", { class: "panel", "aria-labelledby": `threat-${name}` }, h("header", { class: "panel-head" }, h("h3", { id: `threat-${name}` }, title, " ", numbers[name])), lists[name]);
  };
  const act = (form, path, body, said) => whileBusy(form, async () => {
    const { id } = source.value;
    await refusal.attempt(async () => {
      await send("POST", `/api/threats/${encodeURIComponent(id)}/${path}`, body());
      announce(said);
    });
    await Promise.all([source.refresh(), changed()]);
  });
  const acts = h("div", { class: "acts" },
    h("div", { class: "act" }, h("label", { for: "threat-reason" }, "Reason"), reason, moves),
    h("form", { class: "act", onsubmit: (event) => (event.preventDefault(), act(event.currentTarget, "assignee", () => ({ assignee: assignee.value.trim() || null }), "The threat is assigned.")) },
      h("label", { for: "threat-assignee" }, "Assignee"), assignee, h("button", { class: "button small" }, "Assign")),
    h("form", { class: "act", onsubmit: async (event) => {
      event.preventDefault();
      const text = comment.value;
      await act(event.currentTarget, "comments", () => ({ text }), "The comment is added.");
      if (refusal.element.hidden) comment.value = "";
    } }, h("label", { for: "threat-comment" }, "Comment"), comment, h("button", { class: "button small" }, "Add comment")));
  const inside = h("div", { class: "incident-parts" }, section("timeline", "What happened"),
    h("div", { class: "side" }, section("comments", "Comments"), section("moves", "Moves")));
  const body = [facts, acts, inside]; // shown once the answer about this address is here
  const element = h(
    "article", { class: "incident", hidden: true },
    h("p", {}, h("a", { href: "#/threats", class: "back" }, "← All threats")), stale.element,
    h("section", { class: "panel", "aria-labelledby": "threat-title" }, head, facts, acts, refusal.element), inside,
  );
  let opened = ""; // the threat whose heading was given the focus

  function fill(name, items, key, row) {
    syncList(lists[name], items, key, row);
    numbers[name].textContent = count(items.length);
    numbers[name].closest("section").hidden = items.length === 0;
  }

  function show(threat, problem) {
    const unknown = problem?.status === 404;
    stale.show(unknown ? null : problem);
    if (unknown) blank("There is no threat with this id.");
    if (unknown || !threat || threat.id !== router.parameters.id) return;
    for (const part of body) part.hidden = false;
    keepFocus(element, () => {
      syncList(head, [threat], () => "head", title);
      syncList(facts, factsOf(threat), ([name]) => name, ([name, value]) => h("li", {}, `${name} `, h("b", {}, value)));
      syncList(moves, threat.allowed_moves, (status) => status, (status) => h("button", { class: "button small", onclick: () =>
        act(moves, "status", () => ({ status, reason: reason.value.trim() }), `Threat from ${threat.source} is now ${status}.`) }, VERBS[status] ?? status));
      moves.parentElement.hidden = threat.allowed_moves.length === 0; // the end of its way
      if (assignee !== document.activeElement) assignee.value = threat.assignee ?? "";
      fill("comments", threat.comments.toReversed(), ({ id }) => id, noted);
      fill("moves", threat.history.map((move, number) => ({ ...move, number })).reverse(), ({ number }) => number, (move) =>
        noted({ ...move, text: `${move.old} → ${move.new}${move.reason ? `: ${move.reason}` : ""}` }));
    });
    // The link that was followed is hidden now.
    if (opened !== threat.id && document.activeElement === document.body) head.querySelector("h2").focus({ preventScroll: true });
    opened = threat.id;
  }

  function showTimeline(found) {
    if (!found || found.correlation_id !== source.value?.correlation_id) return;
    const first = found.steps.reduce((least, { timestamp }) => Math.min(least, timestamp), Infinity);
    keepFocus(element, () => fill("timeline", found.steps, ({ event }) => event.id, ({ event, depth }) => timelineStep(event, first, { depth })));
    if (!found.whole) numbers.timeline.textContent += " of a longer timeline: the middle is left out";
  }

  /** Nothing of any threat, and no forms, under this heading. */
  function blank(words) {
    head.replaceChildren(h("h2", { id: "threat-title", tabindex: -1 }, words));
    for (const list of Object.values(lists)) list.replaceChildren();
    for (const part of body) part.hidden = true;
    for (const field of [reason, assignee, comment]) field.value = "";
    refusal.clear();
  }

  /** A timeline that goes on while it is looked at grows. */
  function follow({ detail }) {
    if (detail.events.some(({ event }) => event.meta.correlation_id === source.value?.correlation_id)) timeline.hint();
  }

  let stops = [];
  function stop() {
    for (const end of stops) end();
    stops = [];
    live.removeEventListener("batch", follow);
  }
  return {
    element,
    update(id) {
      element.hidden = !id;
      if (!id) opened = "";
      if (!id) return stop();
      const path = `/api/threats/${encodeURIComponent(id)}`;
      source.change({}, path);
      timeline.change({}, `${path}/timeline`);
      if (source.value?.id !== id) blank("Threat");
      if (stops.length) return;
      live.addEventListener("batch", follow);
      stops = [source.watch((threat, problem) => (show(threat, problem), showTimeline(timeline.value))), timeline.watch(showTimeline)];
    },
    remove: stop,
  };
}

function title(threat) {
  return h("div", { class: "incident-head" },
    h("span", { class: "chip", "data-level": threat.severity }, threat.severity), h("span", { class: "card-status" }, threat.status),
    h("h2", { id: "threat-title", tabindex: -1, "data-focus": "title" }, `${threat.type} from ${threat.source}`));
}

function factsOf(threat) {
  const took = (seconds) => seconds !== null && duration(seconds);
  const evidence = Object.entries(threat.metadata.evidence ?? {}).map(([name, number]) => `${name.replaceAll("_", " ")} ${count(number)}`);
  return [
    ["assignee", threat.assignee ?? "nobody"],
    ["detected", fullTime(threat.detected_at)],
    ["time to detect", took(threat.detect_seconds)],
    ["to the first move", took(threat.investigate_seconds)],
    ["to mitigate", took(threat.mitigate_seconds)],
    ["evidence", evidence.join(", ")],
    ["seen", threat.description],
    ["correlation id", threat.correlation_id],
  ].filter(([, value]) => value);
}

function noted({ at, text, by }) {
  return h("li", {}, h("time", { class: "event-time", title: fullTime(at) }, clockTime(at)), " ", text, by ? h("span", { class: "view-note" }, ` by ${by}`) : null);
}
