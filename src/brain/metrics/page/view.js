/** Objectives, limits and metrics that users define, and one metric over the last hour. */

const SPAN = 3600;
const STEP = 60;
const WIDTH = 160;
const HEIGHT = 28;
const NAMES = { 60: "min", 3600: "h", 86400: "d" };
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const short = (value) => (Math.abs(value) < 100 ? String(Number(value.toPrecision(3))) : null);

export function show(element, api) {
  const { h, format } = api;
  const stale = api.stale();
  const figure = (value) => (value === null || value === undefined ? "–" : (short(value) ?? format.count(value)));
  const number = () => h("span", { class: "number" });
  const numbers = { slos: number(), limits: number(), definitions: number() };

  const slos = api.table("Objectives", [
    ["Objective", ({ name }) => name],
    ["State", ({ burning_since: since }) => (since === null ? "well" : ["burning since ", format.age(since)])],
    ["Good", ({ definition }) => `${100 * definition.objective} %`, true],
    ["Budget left", ({ budget_left: left }) => percent(left), true],
    ["Burn rates", ({ burn_rates: rates, definition }) => definition.windows.map(({ long_seconds: seconds, burn }) => `${span(seconds)} ${figure(rates[seconds])} of ${burn}`).join(" · ")],
  ]);
  const limits = api.table("Limits", [
    ["Limit", ({ name }) => name],
    ["On", ({ definition: { metric, by } }) => (by ? `${metric} by ${by}` : metric)],
    ["Crossed by", ({ definition: { above, below, window_seconds: seconds } }) => `${above === null ? `${below} and less` : `${above} and more`} in ${format.duration(seconds)}`],
    ["Over it now", ({ crossed }) => crossed.map(({ label, value }) => `${label || "all"} (${figure(value)})`).join(", ") || "nothing"],
  ]);
  const metrics = api.table("Metrics", [
    ["Metric", ({ name }) => h("a", { href: api.href({ metric: name }), "data-focus": name }, name)],
    ["Kind", ({ definition }) => definition.kind],
    ["Of", ({ definition }) => definition.events.join(", ")],
    ["By", ({ definition }) => Object.keys(definition.labels).join(", ") || "–"],
    ["Definition", ({ epoch }) => format.count(epoch), true],
    ["Defined", ({ began_at: at }) => format.age(at)],
  ]);
  const lines = api.table("The last hour", [
    ["Label", ({ label }) => label],
    ["Over time", ({ label, points }) => drawn(api, label, points, figure)],
    ["Last", ({ points }) => figure(points.at(-1)?.[1]), true],
    ["Highest", ({ points }) => figure(points.length ? Math.max(...points.map(([, value]) => value)) : null), true],
  ]);
  const none = h("p", { class: "empty" }, "Nothing is defined. Define metrics in brain.toml, or with: brain metrics define FILE");
  const empty = h("p", { class: "empty" }, "Nothing in the last hour.");
  const title = h("h2", { id: "metrics-series" });
  const panel = (id, heading, count, table) => h("section", { class: "panel", "aria-labelledby": id },
    h("header", { class: "panel-head" }, h("h2", { id }, `${heading} `, count)), table.element);
  const panels = {
    slos: panel("metrics-slos", "Objectives", numbers.slos, slos),
    limits: panel("metrics-limits", "Limits", numbers.limits, limits),
    definitions: panel("metrics-defined", "Metrics", numbers.definitions, metrics),
  };
  element.append(stale.element, none, panels.slos, panels.limits, panels.definitions,
    h("section", { class: "panel", "aria-labelledby": "metrics-series" }, h("header", { class: "panel-head" }, title), lines.element, empty));

  let chosen = null;
  let first = null;
  const name = () => chosen ?? first ?? "events";
  const series = api.watch("/api/metrics/series", (found, problem) => {
    if (problem || !found) {
      empty.textContent = problem?.message ?? "";
      empty.hidden = !problem;
      if (problem) lines.fill([], () => "");
      return;
    }
    title.textContent = `${found.name}${found.by ? ` by ${found.by}` : ""}${found.statistic ? `, ${found.statistic}` : ""}, the last hour by the minute`;
    const rows = found.series.map(({ labels, points }) => ({ label: Object.values(labels)[0] ?? found.name, points }));
    lines.fill(rows, ({ label }) => label);
    empty.textContent = "Nothing in the last hour.";
    empty.hidden = rows.length > 0;
  }, { parameters: () => ({ name: name(), since: `${SPAN}s`, step: STEP, top: 8 }) });

  api.watch("/api/metrics/definitions", (found, problem) => {
    stale.show(problem);
    if (!found) return;
    slos.fill(found.slos, (one) => one.name);
    limits.fill(found.limits, (one) => one.name);
    metrics.fill(found.definitions, (one) => one.name);
    for (const [kind, one] of Object.entries(panels)) {
      numbers[kind].textContent = format.count(found[kind].length);
      one.hidden = found[kind].length === 0;
    }
    none.hidden = Object.keys(panels).some((kind) => found[kind].length > 0);
    const before = name();
    first = found.definitions[0]?.name ?? null;
    if (name() !== before) series.refresh();
  }, { events: ["metrics.*"] });

  return {
    update(parameters) {
      const wanted = parameters.metric ?? null;
      if (wanted === chosen) return;
      chosen = wanted;
      series.refresh();
    },
  };
}

/** `5 min`, `6 h`, `3 d`. */
function span(seconds) {
  const unit = [86400, 3600, 60].find((one) => seconds % one === 0);
  return unit ? `${seconds / unit} ${NAMES[unit]}` : `${seconds} s`;
}

/** The points as a line, with its words for those who hear the page. */
function drawn({ svg }, label, points, figure) {
  if (points.length === 0) return "–";
  const values = points.map(([, value]) => value);
  const most = Math.max(...values);
  const least = Math.min(0, ...values);
  const from = Date.now() / 1000 - SPAN;
  const place = ([at, value]) => {
    const x = Math.max(0, Math.min(1, (at - from) / SPAN)) * (WIDTH - 4) + 2;
    const y = HEIGHT - 3 - (most > least ? (value - least) / (most - least) : 0) * (HEIGHT - 6);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  const words = `${label}: from ${figure(Math.min(...values))} to ${figure(most)}, last ${figure(values.at(-1))}`;
  return svg("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    svg("polyline", { points: points.map(place).join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
}
