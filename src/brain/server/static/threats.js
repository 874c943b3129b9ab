// Threats: a board by status, a short list for the overview, the moves each threat may make as buttons, one in full.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { breakable, h, keepFocus, syncList, whileBusy } from "./dom.js";
import { age, count, duration, plural } from "./format.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { createThreat, VERBS } from "./threat.js";

const SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW"];
const COLUMNS = ["OPEN", "INVESTIGATING", "ESCALATED", "MITIGATED"];
const CLOSED = ["RESOLVED", "IGNORED"];
const ACTIVE = ["OPEN", "INVESTIGATING", "ESCALATED"];
const SHORT_LIST = 8;

/** The threats that still ask for work, worst first. */
export function openThreats(answer) {
  return bySeverity((answer ?? []).filter((threat) => ACTIVE.includes(threat.status)));
}

/** [[severity, number], ...] of these threats, worst first. */
export function countSeverities(threats) {
  return SEVERITIES.map((severity) => [severity, threats.filter((threat) => threat.severity === severity).length]);
}

function bySeverity(threats) {
  const rank = (threat) => SEVERITIES.indexOf(threat.severity);
  return [...threats].sort((a, b) => rank(a) - rank(b) || b.last_seen - a.last_seen);
}

/** The overview's panel: the worst open threats. */
export function createOpenThreats(source) {
  const refresh = () => source.refresh();
  const list = h("ul", { class: "cards" });
  const more = h("p", { class: "empty" });
  const stale = staleNotice();
  const element = h(
    "section", { class: "panel", "aria-labelledby": "open-threats" },
    h("header", { class: "panel-head" }, h("h2", { id: "open-threats" }, "Open threats"), h("a", { href: "#/threats" }, "Board")),
    stale.element, list, more,
  );
  const stop = source.watch((answer, problem) => {
    stale.show(problem);
    const threats = openThreats(answer);
    keepFocus(element, () => syncList(list, threats.slice(0, SHORT_LIST), (threat) => threat.id, (threat) => card(threat, refresh)));
    more.hidden = threats.length > 0 && threats.length <= SHORT_LIST;
    more.textContent = threats.length ? `and ${count(threats.length - SHORT_LIST)} more on the board` : "No open threats.";
  });
  return { element, remove: stop };
}

/** The view `#/threats`: the board, or the threat `id=`. */
export function mountThreats(root, { live, threats: source, closed: closedSource, stats, threat: one, story }) {
  const closed = h("input", { type: "checkbox", onchange: () => router.change({ closed: closed.checked ? "1" : null }, { replace: true }) });
  const search = h("input", { type: "search", placeholder: "address, agent, type…", oninput: () => router.change({ q: search.value }, { replace: true }) });
  const summary = h("p", { class: "view-note" });
  const stale = staleNotice();
  const refresh = () => Promise.all([source.refresh(), closedSource.refresh(), stats.refresh()]);
  const columns = [...COLUMNS, ...CLOSED].map(column);
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter threats", onsubmit: (event) => event.preventDefault() },
    h("label", {}, h("span", {}, "Contains"), search), h("label", { class: "check" }, closed, "Show resolved and ignored"));
  const board = h("div", { class: "board" }, columns.map(({ element }) => element));
  const detail = createThreat(one, story, live, refresh);
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Threats"), summary, form),
    stale.element, board, detail.element,
  );
  const show = () => {
    const { q = "", closed: withClosed } = router.parameters;
    closed.checked = Boolean(withClosed);
    if (search !== document.activeElement) search.value = q;
    const all = [...(source.value ?? []), ...(withClosed ? (closedSource.value ?? []) : [])];
    const fitting = bySeverity(all).filter((threat) => !q || JSON.stringify(threat).toLowerCase().includes(q.toLowerCase()));
    keepFocus(root, () => {
      for (const { status, element, fill } of columns) {
        element.hidden = CLOSED.includes(status) && !withClosed;
        fill(fitting.filter((threat) => threat.status === status), refresh);
      }
    });
  };
  const stops = [
    source.watch((_, problem) => {
      stale.show(problem);
      show();
    }),
    stats.watch((value) => {
      if (value) summary.textContent = statsLine(value);
    }),
  ];
  let stopClosed = null; // asked for only while they are shown
  function update(parameters) {
    board.hidden = form.hidden = Boolean(parameters.id);
    detail.update(parameters.id);
    if (parameters.closed && !stopClosed) stopClosed = closedSource.watch(show);
    else if (!parameters.closed && stopClosed) stopClosed = stopClosed() ?? null;
    show();
  }
  return {
    update,
    remove() {
      for (const stop of stops) stop();
      stopClosed?.();
      detail.remove();
    },
  };
}

function column(status) {
  const number = h("span", { class: "number" });
  const list = h("ul", { class: "cards" });
  const none = h("p", { class: "empty" }, "None");
  const element = h("section", { class: "column", "aria-label": status }, h("h2", {}, status, " ", number), list, none);
  return {
    status,
    element,
    fill(threats, refresh) {
      number.textContent = count(threats.length);
      none.hidden = threats.length > 0;
      syncList(list, threats, (threat) => threat.id, (threat) => card(threat, refresh));
    },
  };
}

/** MTTM never without the ages of those still open: alone it would look best when nothing gets done. */
export function statsLine(stats) {
  const parts = [`${plural(stats.active, "threat")} open`];
  if (stats.mttm_seconds !== null) parts.push(`mean time to mitigate ${duration(stats.mttm_seconds)} over ${count(stats.mitigated)}`);
  if (stats.mttd_seconds !== null) parts.push(`to detect ${duration(stats.mttd_seconds)}`);
  if (stats.mtti_seconds !== null) parts.push(`to the first move ${duration(stats.mtti_seconds)}`);
  if (stats.resolution_rate !== null) parts.push(`resolved ${Math.round(stats.resolution_rate * 100)} %`);
  if (stats.active_oldest_age_seconds) parts.push(`oldest open ${duration(stats.active_oldest_age_seconds)}`);
  return parts.join(" · ");
}

function card(threat, refresh) {
  const refusal = createRefusal();
  const moves = threat.allowed_moves.map((status) =>
    h("button", { class: "button small", "data-focus": status, "data-move": status, onclick: (event) => whileBusy(event.currentTarget.parentElement, () => move(threat, status, refusal, refresh)) },
      VERBS[status] ?? status));
  const evidence = Object.entries(threat.metadata.evidence ?? {}).map(([name, number]) => h("li", {}, `${name.replaceAll("_", " ")} `, h("b", {}, count(number))));
  const noted = [threat.assignee && ["assigned to", threat.assignee], threat.comments.length > 0 && ["comments", count(threat.comments.length)]]
    .filter(Boolean).map(([name, value]) => h("li", {}, `${name} `, h("b", {}, value)));
  return h(
    "li", { class: "card", "data-level": threat.severity },
    h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": threat.severity }, threat.severity),
      h("span", { class: "card-status" }, threat.status), h("span", { class: "card-age" }, age(threat.last_seen))),
    h("div", { class: "card-title" }, h("h3", {}, h("a", { href: `#/threats?id=${encodeURIComponent(threat.id)}`, "data-focus": "open" }, breakable(threat.type), " ", h("span", { class: "from" }, threat.source))),
      h("a", { class: "story-link", href: router.href({ story: threat.correlation_id }), "data-focus": "story" }, "Timeline")),
    threat.description ? h("p", { class: "card-text" }, threat.description) : null,
    evidence.length || noted.length ? h("ul", { class: "facts" }, evidence, noted) : null,
    moves.length === 0 ? null : h("div", { class: "moves", role: "group", "aria-label": `Move threat ${threat.source}` }, moves),
    refusal.element,
  );
}

async function move(threat, status, refusal, refresh) {
  await refusal.attempt(async () => {
    await send("POST", `/api/threats/${encodeURIComponent(threat.id)}/status`, { status });
    announce(`Threat from ${threat.source} is now ${status}.`);
  });
  await refresh();
}
