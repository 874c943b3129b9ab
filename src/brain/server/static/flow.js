// The tile of the live feed: how many events a second, and the last five minutes by priority.

import { PRIORITIES } from "./catalogue.js";
import { svg, h } from "./dom.js";
import { serverNow } from "./api.js";
import { count } from "./format.js";
import { BIN_SECONDS } from "./recent.js";

const LEVELS = [...PRIORITIES, ""];
const HEIGHT = 40;
const RATE_BINS = 3; // the running one among them

/** The tile's element and `renew()`, which the page calls once a second. */
export function createFlow(live, recent) {
  const figure = h("span", { class: "tile-figure" }, "0");
  const chart = svg("svg", { class: "flow-chart", preserveAspectRatio: "none", role: "img" });
  const note = h("p", { class: "tile-note" });
  const parts = h("ul", { class: "tile-parts" });
  const element = h(
    "section", { class: "tile" }, h("h2", {}, h("a", { href: "#/events" }, "Live events")),
    h("p", { class: "tile-head" }, figure, h("span", { class: "tile-unit" }, "a second, by priority")), chart, parts, note,
  );

  function renew() {
    const now = serverNow();
    const bins = recent.bins(now);
    const sums = bins.map((bin) => LEVELS.reduce((sum, level) => sum + (bin[level] ?? 0), 0));
    const latest = sums.slice(-RATE_BINS).reduce((sum, number) => sum + number, 0);
    const rate = latest / ((RATE_BINS - 1) * BIN_SECONDS + (now % BIN_SECONDS));
    const minutes = (bins.length * BIN_SECONDS) / 60;
    figure.textContent = rate >= 10 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1);
    const totals = LEVELS.map((level) => [level, bins.reduce((sum, bin) => sum + (bin[level] ?? 0), 0)]);
    const shown = totals.filter(([, number]) => number);
    parts.replaceChildren(...shown.map(([level, number]) =>
      h("li", { "data-level": level }, h("span", { class: "key" }), `${level || "NONE"} `, h("b", {}, count(number)))));
    const pattern = live.pattern === "*" ? "all types" : live.pattern;
    note.textContent = `${pattern}, in ${minutes} min on this page`;
    chart.setAttribute("aria-label", `Events in the last ${minutes} minutes: ${shown.map(([level, n]) => `${n} ${level || "without priority"}`).join(", ")}`);
    draw(chart, bins, Math.max(4, ...sums));
  }

  renew();
  return { element, renew };
}

function draw(chart, bins, most) {
  chart.setAttribute("viewBox", `0 0 ${bins.length} ${HEIGHT}`);
  const bars = [];
  bins.forEach((bin, place) => {
    let top = HEIGHT;
    for (const level of LEVELS) {
      const height = ((bin[level] ?? 0) / most) * HEIGHT;
      if (!height) continue;
      top -= height;
      bars.push(svg("rect", { x: place + 0.1, y: top, width: 0.8, height, "data-level": level }));
    }
  });
  chart.replaceChildren(...bars);
}
