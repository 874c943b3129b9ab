// The overview's charts: what happened over the last hour, day or week, from the recorded metrics.

import { serverNow } from "./api.js";
import { createChart } from "./chart.js";
import { h } from "./dom.js";
import { count, duration } from "./format.js";
import { router } from "./router.js";
import { Source } from "./sources.js";

/** Name in the address: seconds shown, seconds a point, words. */
const RANGES = { "1h": [3600, 60, "1 h"], "24h": [86_400, 1800, "24 h"], "7d": [604_800, 10_800, "7 d"] };
const USUAL = "1h";
/** From the ground of the stack upwards: what asks for attention is on top. */
const SEVERITIES = ["INFO", "LOW", "WARNING", "MEDIUM", "HIGH", "CRITICAL"];
const EFFECTS = ["ALLOW", "AUDIT", "WARN", "DENY"];

const sum = (points) => points.reduce((all, [, value]) => all + (value ?? 0), 0);
const latest = (points) => points.findLast(([, value]) => value !== null)?.[1];
const whole = (value) => count(Math.round(value));

/** What the charts show: metric, label, order of labels, how it is written, note from the summary. */
const CHARTS = [
  { title: "Events by severity", name: "events", by: "severity", labels: SEVERITIES, bars: true, format: count, total: (points) => count(sum(points)) },
  {
    title: "Decisions by effect", name: "decisions", by: "effect", labels: EFFECTS, bars: true, format: count, total: (points) => count(sum(points)),
    note: ({ denial_rate: rate }) => (rate === null ? "" : `${(100 * rate).toFixed(1)} % denied`),
  },
  { title: "Health score", name: "health_score", labels: [], top: 100, format: whole, total: (points) => (points.length ? whole(latest(points)) : "–") },
  {
    title: "Time to mitigate (MTTM)", name: "mttm_seconds", labels: [], format: duration, total: (points) => (points.length ? duration(latest(points)) : "–"),
    note: ({ mttm_seconds: mttm, open }) => [
      mttm === null ? "none mitigated" : `mean ${duration(mttm)}`,
      // Never without the ages of those still open: alone it would look best when nothing gets done.
      open.count ? `${count(open.count)} open, mean age ${duration(open.mean_age_seconds)}, oldest ${duration(open.oldest_age_seconds)}` : "none open",
    ].join(" · "),
  },
];

/** The sources behind the charts, made once: `summary`, and one for each chart. */
export function createTrendSources() {
  const since = (step) => Math.floor((serverNow() - rangeOf(router.parameters)[0]) / step) * step;
  const parameters = ({ name, by }) => () => {
    const [, step] = rangeOf(router.parameters);
    return { name, ...(by ? { by } : {}), since: since(step), step };
  };
  return {
    summary: new Source("/api/metrics/summary", () => ({ since: since(1) })),
    charts: CHARTS.map((chart) => new Source("/api/metrics/series", parameters(chart))),
  };
}

const rangeOf = ({ range }) => RANGES[range] ?? RANGES[USUAL];

/** The charts in a row; `update()` follows the address. */
export function createTrends({ summary, charts: sources }) {
  const charts = CHARTS.map((chart) => createChart(chart.title, chart));
  const links = Object.entries(RANGES).map(([name, [, , words]]) => h("a", { class: "button small", "data-range": name }, words));
  const element = h("section", { class: "trends", "aria-labelledby": "trends-title" },
    h("header", { class: "trends-head" }, h("h2", { id: "trends-title" }, "Over time"), h("nav", { class: "ranges", "aria-label": "Time shown" }, links)),
    h("div", { class: "charts" }, charts.map((chart) => chart.element)));
  let shown = null;

  const show = (place) => {
    const { value, problem } = sources[place];
    charts[place].show(value && { ...value, series: named(value.series, CHARTS[place]), note: noteOf(CHARTS[place]) }, problem);
  };
  const noteOf = ({ note }) => (note && summary.value ? note(summary.value) : "");
  const stops = [
    ...sources.map((source, place) => source.watch(() => show(place))),
    summary.watch(() => sources.forEach((source, place) => source.value && show(place))),
  ];
  return {
    element,
    update(parameters) {
      const range = parameters.range in RANGES ? parameters.range : USUAL;
      for (const link of links) {
        link.href = router.href({ range: link.dataset.range === USUAL ? null : link.dataset.range });
        if (link.dataset.range === range) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      if (shown !== null && shown !== range) for (const source of [summary, ...sources]) source.refresh();
      shown = range;
    },
    remove() {
      for (const stop of stops) stop();
      for (const chart of charts) chart.remove();
    },
  };
}

/** The series with a name each, in the order of the labels that are known; the others follow, what has no label last. */
function named(series, { by, labels, title }) {
  const rank = (name) => (labels.includes(name) ? labels.indexOf(name) : labels.length);
  return series
    .map(({ labels: given, points }) => ({ name: by ? String(given[by] ?? "none") : title, points }))
    .sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
}
