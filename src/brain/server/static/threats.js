// Threats: a board by status, a short list for the overview, the moves each threat may make as buttons, one in full.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { breakable, h, keepFocus, plain, syncList, whileBusy } from "./dom.js";
import { age, count, duration, plural } from "./format.js";
import { createPages } from "./pages.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { createThreat, VERBS } from "./threat.js";

const SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW"];
const COLUMNS = ["OPEN", "INVESTIGATING", "ESCALATED", "MITIGATED"];
const CLOSED = ["RESOLVED", "IGNORED"];
/** What the overview asks for: the worst of those that still ask for work. */
export const SHORT_LIST = { limit: 8 };
/** How many of those that are open, and of those that are over, the board has at first; a page of older ones is of both. */
const MOST = 500;
const MOST_CLOSED = 100;
/** What the sources of the board's first page ask for. */
export const BOARD = { status: COLUMNS, limit: MOST };
export const BOARD_CLOSED = { status: CLOSED, limit: MOST_CLOSED };

/** [[severity, number], ...] of the threats that still ask for work, worst first. */
export function activeCounts(stats) {
  return SEVERITIES.map((severity) => [severity, stats.active_by_severity[severity] ?? 0]);
}

function bySeverity(threats) {
  const rank = (threat) => SEVERITIES.indexOf(threat.severity);
  return [...threats].sort((a, b) => rank(a) - rank(b) || b.last_seen - a.last_seen);
}

/** The overview's panel: the worst open threats. */
export function createOpenThreats(source, stats) {
  const refresh = () => Promise.all([source.refresh(), stats.refresh()]);
  const list = h("ul", { class: "cards" });
  const more = h("p", { class: "empty" });
  const stale = staleNotice();
  const element = h(
    "section", { class: "panel", "aria-labelledby": "open-threats" },
    h("header", { class: "panel-head" }, h("h2", { id: "open-threats" }, "Open threats"), h("a", { href: "#/threats" }, "Board")),
    stale.element, list, more,
  );
  function show() {
    const threats = source.value;
    if (!threats) return;
    keepFocus(element, () => syncList(list, threats, (threat) => threat.id, (threat) => card(threat, refresh)));
    const others = threats.length < SHORT_LIST.limit ? 0 : Math.max(0, (stats.value?.active ?? 0) - threats.length);
    more.hidden = threats.length > 0 && others === 0;
    more.textContent = threats.length ? `and ${count(others)} more on the board` : "No open threats.";
  }
  const stops = [
    source.watch((_, problem) => {
      stale.show(problem);
      show();
    }),
    stats.watch(show),
  ];
  return { element, remove: () => stops.forEach((stop) => stop()) };
}

/** The view `#/threats`: the board, or the threat `id=`. */
export function mountThreats(root, { live, threats: source, closed: closedSource, older, stats, threat: one, timeline }) {
  const closed = h("input", { type: "checkbox", onchange: () => router.change({ closed: closed.checked ? "1" : null, before: null }, { replace: true }) });
  const search = h("input", { type: "search", placeholder: "address, agent, type…", oninput: () => router.change({ q: search.value }, { replace: true }) });
  const summary = h("p", { class: "view-note" });
  const stale = staleNotice();
  const refresh = () => Promise.all([source.refresh(), closedSource.refresh(), older.refresh(), stats.refresh()]);
  const columns = [...COLUMNS, ...CLOSED].map(column);
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter threats", onsubmit: (event) => event.preventDefault() },
    h("label", {}, h("span", {}, "Contains"), search), h("label", { class: "check" }, closed, "Show resolved and ignored"));
  const board = h("div", { class: "board" }, columns.map(({ element }) => element));
  const pages = createPages("threats", MOST);
  const none = h("p", { class: "empty" });
  const detail = createThreat(one, timeline, live, refresh);
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Threats"), summary, form),
    stale.element, board, none, pages.element, detail.element,
  );
  const show = () => {
    const { q = "", closed: withClosed, before } = router.parameters;
    closed.checked = Boolean(withClosed);
    if (search !== document.activeElement) search.value = q;
    const lists = before ? [[older, MOST]] : [[source, MOST], ...(withClosed ? [[closedSource, MOST_CLOSED]] : [])];
    const all = lists.flatMap(([{ value }]) => value ?? []);
    showPages(lists);
    const fitting = bySeverity(all).filter((threat) => !q || JSON.stringify(threat).toLowerCase().includes(q.toLowerCase()));
    none.hidden = fitting.length > 0 || !(q || before) || board.hidden;
    none.textContent = pages.nothing(q, "");
    keepFocus(root, () => {
      for (const { status, element, fill } of columns) {
        element.hidden = CLOSED.includes(status) && !withClosed;
        fill(fitting.filter((threat) => threat.status === status), refresh);
      }
    });
  };

  /** The next page begins where the first of the cut lists ends, so that it leaves nothing out. */
  function showPages(lists) {
    const cut = lists.filter(([{ value }, most]) => value?.length === most).map(([{ value }]) => value.at(-1));
    pages.show(cut.sort((a, b) => b.detected_at - a.detected_at).slice(0, 1), ({ id }) => id, cut.length > 0);
  }

  const followed = new Map(); // the sources of what is shown, and how to follow each no longer
  function follow(wanted) {
    for (const [one, stop] of followed) {
      if (wanted.includes(one)) continue;
      stop();
      followed.delete(one);
    }
    for (const one of wanted) {
      if (followed.has(one)) continue;
      followed.set(one, one.watch((_, problem) => {
        if (one !== closedSource) stale.show(problem);
        show();
      }));
    }
  }

  const stopStats = stats.watch((value) => {
    if (value) summary.textContent = plain(statsLine(value));
  });
  return {
    update(parameters) {
      board.hidden = form.hidden = pages.element.hidden = Boolean(parameters.id);
      detail.update(parameters.id);
      if (parameters.before) older.change({ ...pages.wanted(parameters), status: parameters.closed ? [...COLUMNS, ...CLOSED] : COLUMNS });
      follow(parameters.before ? [older] : parameters.closed ? [source, closedSource] : [source]);
      show();
    },
    remove() {
      stopStats();
      follow([]);
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
      h("a", { class: "detail-link", href: router.href({ timeline: threat.correlation_id }), "data-focus": "timeline" }, "Timeline")),
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
