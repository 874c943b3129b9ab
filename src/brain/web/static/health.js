// The fleet's health: the score's tile, why the score is what it is, and the health events by severity.

import { h, syncList } from "./dom.js";
import { count, plural } from "./format.js";
import { staleNotice } from "./stale.js";

/** Severities of health events, worst first. */
export const SEVERITIES = ["CRITICAL", "WARNING", "INFO"];

/** [[severity, number], ...] of a health summary. */
export function healthCounts(summary) {
  return SEVERITIES.map((severity) => [severity, summary.by_severity?.[severity] ?? 0]);
}

/** What the score's tile shows. */
export function scoreContent(summary) {
  return {
    figure: String(summary.score),
    unit: `of 100 · ${word(summary.score)}`,
    level: level(summary.score),
    counts: [],
    share: [level(summary.score), summary.score],
    note: summary.reasons?.length ? reasonText(summary.reasons[0]) : `Nothing wrong in the last ${window(summary)}`,
  };
}

/** How long the summary looks back, in words. */
export function window(summary) {
  return summary.minutes === 60 ? "hour" : plural(summary.minutes ?? 0, "minute");
}

function word(score) {
  return score >= 90 ? "healthy" : score >= 60 ? "strained" : "critical";
}

function level(score) {
  return score >= 90 ? "GOOD" : score >= 60 ? "WARNING" : "CRITICAL";
}

function reasonText(reason) {
  return typeof reason === "string" ? reason : (reason.text ?? reason.reason ?? JSON.stringify(reason));
}

/** The overview's panel: what lowers the score, worst first. */
export function createReasons(source) {
  const list = h("ul", { class: "reasons" });
  const none = h("p", { class: "empty" }, "Nothing lowers the score.");
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
    const reasons = summary.reasons ?? [];
    syncList(list, reasons, reasonText, (reason) => h("li", {}, reasonText(reason)));
    none.hidden = reasons.length > 0;
    const byKind = Object.entries(summary.by_kind ?? {}).filter(([, number]) => number);
    kinds.replaceChildren(...byKind.map(([kind, number]) => h("li", {}, `${kind.toLowerCase().replaceAll("_", " ")} `, h("b", {}, count(number)))));
  });
  return { element, remove: stop };
}
