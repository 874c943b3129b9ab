// A chart over time: drawn by uPlot (vendor/uplot), with a legend in words and the same figures as a table on demand.

import { h, syncList } from "./dom.js";
import { staleNotice } from "./stale.js";
import { createTable } from "./table.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 128;
const PLAIN = ["--low-fill", "--medium-fill", "--good-fill", "--high-fill", "--critical-fill", "--plain-fill"];
/** Severities of threats and of health events stand in one chart, so that each has a colour of its own. */
const LEVEL_FILL = {
  CRITICAL: "--critical-fill", HIGH: "--high-fill", MEDIUM: "--medium-fill", LOW: "--low-fill", WARNING: "--violet-fill", INFO: "--teal-fill",
  DENY: "--violet-fill", WARN: "--high-fill", AUDIT: "--medium-fill", ALLOW: "--good-fill", none: "--plain-fill",
};

const colourOf = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
const fillOf = (name, place) => LEVEL_FILL[name] ?? PLAIN[place % PLAIN.length];

/**
 * A panel with a chart. `bars` are stacked counts, otherwise lines. `format(value)` writes a value, `total(points)` gives
 * what the legend says of a series, `top` fixes the scale's end. `show(content, problem)` takes
 * {since, until, step, series: [{name, points: [[t, value], ...]}], note}; Unix seconds. `remove()` when it is no more needed.
 */
export function createChart(title, { bars = false, format, total, top = null }) {
  const plot = h("div", { class: "plot", role: "img" });
  const legend = h("ul", { class: "tile-parts" });
  const note = h("p", { class: "tile-note" });
  const none = h("p", { class: "plot-empty" }, "Nothing in this time.");
  const stale = staleNotice();
  const details = h("details", { ontoggle: () => details.open && fillTable() }, h("summary", {}, "Table"));
  const element = h("section", { class: "panel chart", "aria-label": title },
    h("header", {}, h("h3", {}, title)), stale.element, h("div", { class: "plot-frame" }, plot, none), legend, note, details);
  let content = null;
  let drawn = null; // {uplot, names}

  function show(next, problem) {
    stale.show(problem);
    if (!next) return;
    content = next;
    const { series } = next;
    const empty = series.every(({ points }) => points.every(([, value]) => !value));
    none.hidden = !empty || (!bars && series.some(({ points }) => points.length));
    const words = series.map(({ name, points }) => [name, total(points)]);
    syncList(legend, words.map(([name, text], place) => ({ name, text, fill: fillOf(name, place) })), ({ name }) => name, ({ name, text, fill }) =>
      h("li", {}, h("span", { class: "key", "data-fill": fill.slice(2) }), `${name} `, h("b", {}, text)));
    note.textContent = next.note ?? "";
    plot.setAttribute("aria-label", `${title}: ${words.map(([name, text]) => `${name} ${text}`).join(", ") || "nothing"}`);
    draw();
    if (details.open) fillTable();
  }

  function draw() {
    const width = plot.clientWidth;
    if (!content || !width) return;
    const { xs, columns } = aligned(content, bars);
    const names = content.series.map(({ name }) => name).join("\n");
    const data = [xs, ...(bars ? stacked(columns) : columns)];
    if (drawn?.names !== names) {
      drawn?.uplot.destroy();
      drawn = { names, uplot: new uPlot(options(content.series, width), data, plot) };
    } else drawn.uplot.setData(data);
  }

  function options(series, width) {
    const seconds = () => content.until - content.since;
    return {
      width, height: HEIGHT, legend: { show: false }, cursor: { points: { show: false }, drag: { x: false, y: false } }, padding: [8, 18, 0, 0],
      scales: { x: { time: true, range: () => [content.since, content.until] }, y: { range: (_, __, most) => [0, top ?? Math.max(1, most) * 1.06] } },
      axes: [
        { ...axis(), size: 24, values: (_, moments) => moments.map((moment) => moment && clock(moment, seconds())) },
        { ...axis(), size: 46, values: (_, values) => values.map((value) => format(value)) },
      ],
      series: [{}, ...order(series, bars).map(({ name, place }) => ({
        label: name,
        ...(bars
          ? { paths: uPlot.paths.bars({ size: [0.86, 24], align: 1 }), fill: () => colourOf(fillOf(name, place)), width: 0, points: { show: false } }
          : { stroke: () => colourOf(fillOf(name, place)), width: 2, spanGaps: true, points: { size: 4 } }),
      }))],
    };
  }

  const axis = () => ({ stroke: () => colourOf("--muted"), grid: { stroke: () => colourOf("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" });

  function fillTable() {
    const { xs, columns } = content ? aligned(content, bars) : { xs: [], columns: [] };
    const series = content?.series ?? [];
    const table = createTable(`${title}, as a table`, [
      ["Time", (row) => clock(row.at, Infinity)],
      ...series.map(({ name }, place) => [name, (row) => (row.values[place] === null ? "–" : format(row.values[place])), true]),
    ]);
    const rows = xs.map((at, place) => ({ at, values: columns.map((column) => column[place] ?? null) })).reverse();
    table.fill(rows.filter((row) => row.values.some((value) => value)), (row) => row.at);
    details.replaceChildren(details.firstElementChild, rows.length ? table.element : h("p", { class: "empty" }, "Nothing in this time."));
  }

  const themed = new MutationObserver(() => drawn?.uplot.redraw(false));
  themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const sized = new ResizeObserver(() => requestAnimationFrame(() => {
    if (drawn && plot.clientWidth && plot.clientWidth !== drawn.uplot.width) drawn.uplot.setSize({ width: plot.clientWidth, height: HEIGHT });
    else if (!drawn) draw();
  }));
  sized.observe(plot);
  return {
    element,
    show,
    remove() {
      themed.disconnect();
      sized.disconnect();
      drawn?.uplot.destroy();
    },
  };
}

/** Bars are drawn from the highest sum to the lowest, so that each leaves its own part in sight. */
function order(series, bars) {
  const placed = series.map(({ name }, place) => ({ name, place }));
  return bars ? placed.reverse() : placed;
}

/** One column of values for each series over the same moments; bars have 0 where nothing was counted, lines a gap. */
function aligned({ since, until, step, series }, bars) {
  const moments = new Set(series.flatMap(({ points }) => points.map(([at]) => at)));
  if (bars) for (let at = Math.ceil(since / step) * step; at < until; at += step) moments.add(at);
  const xs = [...moments].sort((a, b) => a - b);
  const columns = series.map(({ points }) => {
    const values = new Map(points);
    return xs.map((at) => values.get(at) ?? (bars ? 0 : null));
  });
  return { xs, columns };
}

/** Sums of each column and those before it, the last and highest first. */
function stacked(columns) {
  const sums = [];
  for (const column of columns) sums.push(column.map((value, place) => value + (sums.at(-1)?.[place] ?? 0)));
  return sums.reverse();
}

const HOUR = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A moment as precise as the span it stands in asks for. */
function clock(moment, span) {
  const form = span === Infinity ? FULL : span > 3 * 86400 ? DAY : HOUR;
  return form.format(moment * 1000);
}
