// A tile of the overview: one figure, what it is made of, one line beside it.

import { h, plain, svg } from "./dom.js";
import { count } from "./format.js";

/**
 * A tile; `show({figure, unit, level, counts, note, share})`, where `counts` is [[level, number], ...], the parts of the
 * bar. `share`, [level, per cent], fills the bar to that part instead.
 */
export function createTile(title, href) {
  const figure = h("span", { class: "tile-figure" }, "–");
  const unit = h("span", { class: "tile-unit" });
  const parts = h("ul", { class: "tile-parts" });
  const bar = svg("svg", { class: "tile-bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
  const note = h("p", { class: "tile-note" });
  const name = href ? h("a", { href }, title) : title;
  const element = h("section", { class: "tile" }, h("h2", {}, name), h("p", { class: "tile-head" }, figure, unit), bar, parts, note);
  return {
    element,
    show(content) {
      figure.textContent = plain(String(content.figure));
      figure.dataset.level = content.level ?? "";
      unit.textContent = content.unit ?? "";
      note.replaceChildren(...[content.note ?? ""].flat());
      parts.replaceChildren(
        ...content.counts.map(([level, number]) =>
          h("li", { "data-level": level }, h("span", { class: "key" }), `${level || "NONE"} `, h("b", {}, count(number)))),
      );
      if (content.share) drawBar(bar, [content.share], 100);
      else drawBar(bar, content.counts, content.counts.reduce((total, [, number]) => total + number, 0));
    },
  };
}

function drawBar(bar, counts, sum) {
  let from = 0;
  const pieces = [];
  for (const [level, number] of counts) {
    const width = sum ? (100 * number) / sum : 0;
    if (width) pieces.push(svg("rect", { x: from, y: 0, width, height: 4, "data-level": level }));
    from += width;
  }
  bar.replaceChildren(...pieces);
}
