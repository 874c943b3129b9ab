// The fleet's health: the score's tile, why the score is what it is, and the health events by severity.

import { h, syncList } from "./dom.js";
import { count, plural } from "./format.js";
import { staleNotice } from "./stale.js";

/** Severities of health events, worst first. */
const SEVERITIES = ["CRITICAL", "WARNING", "INFO"];
const LEVELS = { HEALTHY: "GOOD", DEGRADED: "WARNING", CRITICAL: "CRITICAL" };
const SHORT_LIST = 4;

/** [[severity, number], ...] of a health summary. */
export function healthCounts(summary) {
  return SEVERITIES.map((severity) => [severity, summary.by_severity[severity] ?? 0]);
}

/** What the score's tile shows. */
export function scoreContent(summary) {
  if (summary.score === null) {
    return { figure: "–", unit: "no data", level: "", counts: [], note: "Nothing has been recorded yet." };
  }
  const [first] = summary.reasons;
  const note = first ? first.text : `Nothing wrong in the last ${period(summary)}.`;
  return {
    figure: String(summary.score),
    unit: `of 100 · ${summary.status}`,
    level: LEVELS[summary.status],
    counts: [],
    share: [LEVELS[summary.status], summary.score],
    note,
  };
}

/** How long the summary looks back, in words. */
export function period(summary) {
  return summary.minutes === 60 ? "hour" : plural(summary.minutes, "minute");
}

/** The overview's panel: what takes points off, the gravest first. */
export function createReasons(source) {
  const list = h("ul", { class: "reasons" });
  const none = h("p", { class: "empty" });
  const kinds = h("ul", { class: "facts" });
  const stale = staleNotice();
  const element = h(
    "section", { class: "panel", "aria-labelledby": "reasons" },
    h("header", { class: "panel-head" }, h("h2", { id: "reasons" }, "Why this score"), h("a", { href: "#/events?pattern=immune.*" }, "Health events")),
    stale.element, list, none, kinds,
  );
  const stop = source.watch((summary, problem) => {
    stale.show(problem);
    if (!summary) return;
    const { reasons } = summary;
    syncList(list, reasons.slice(0, SHORT_LIST), (reason) => reason.text, (reason) => h("li", {}, h("span", { class: "points" }, `−${count(reason.points)}`), reason.text));
    none.hidden = reasons.length > 0 && reasons.length <= SHORT_LIST;
    none.textContent = reasons.length ? `and ${plural(reasons.length - SHORT_LIST, "smaller reason")}` : summary.score === null ? "Nothing has been recorded yet." : "Nothing takes points off.";
    const byKind = Object.entries(summary.by_kind).filter(([, number]) => number);
    kinds.replaceChildren(...byKind.map(([kind, number]) => h("li", {}, `${kind.toLowerCase().replaceAll("_", " ")} `, h("b", {}, count(number)))));
  });
  return { element, remove: stop };
}
