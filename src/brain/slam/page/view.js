// Where robots are: their map with zones, poses and tracks, a table of the same, and the versions of maps.

const WIDE = 720;
const HIGH = 480;
const MARGIN = 0.5;
const LEAST = 10; // metres across: one robot alone fills no drawing
const MOST_TRACKS = 8;
const COLOURS = { keepout: "var(--critical)", speed: "var(--high)" };

/** The corners of a map's picture, in metres: from its lower left one on, turned by its yaw. */
function cornersOf({ form: { origin: [x, y, yaw], resolution }, width, height }) {
  const [wide, high] = [width * resolution, height * resolution];
  return [[0, 0], [wide, 0], [wide, high], [0, high]].map(([a, b]) => [x + a * Math.cos(yaw) - b * Math.sin(yaw), y + a * Math.sin(yaw) + b * Math.cos(yaw)]);
}

/** How metres become places of the drawing, with all points in it: y points up. */
function scaled(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [[left, wide], [bottom, high]] = [[xs, LEAST], [ys, LEAST / 2]].map(([all, least]) => {
    const [low, top] = [Math.min(...all) - MARGIN, Math.max(...all) + MARGIN];
    const missing = Math.max(0, least - (top - low));
    return [low - missing / 2, top - low + missing];
  });
  const per = Math.min(WIDE / wide, HIGH / high);
  return { per, size: [wide * per, high * per], at: ([x, y]) => [(x - left) * per, (high - (y - bottom)) * per] };
}

/** A round length that is about a fifth of the drawing. */
function scaleLength(metres) {
  const power = 10 ** Math.floor(Math.log10(metres / 5));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= metres / 5) ?? power;
}

function drawing(api, name, map, robots, zones, tracks) {
  const { svg } = api;
  const points = [...robots.map(({ pose }) => [pose.x, pose.y]), ...zones.flatMap(({ polygon }) => polygon), ...tracks.flatMap((track) => track.map(({ x, y }) => [x, y])), ...(map ? cornersOf(map) : [])];
  if (!points.length) return null;
  const { per, size: [wide, high], at } = scaled(points);
  const line = (all) => all.map((point) => at(point).map((value) => value.toFixed(1)).join(",")).join(" ");
  const parts = [svg("rect", { x: 0.5, y: 0.5, width: wide - 1, height: high - 1, fill: "none", stroke: "currentColor", opacity: 0.25 })];
  if (map) {
    const [x, y] = at(map.form.origin);
    const { width, height, form: { resolution, origin: [, , yaw] } } = map;
    const turned = `translate(${x.toFixed(2)} ${y.toFixed(2)}) rotate(${(-yaw * 180 / Math.PI).toFixed(3)})`;
    const href = `/api/slam/maps/${encodeURIComponent(map.map)}/versions/${map.version}/picture`;
    const shape = { href, x: 0, y: -height * resolution * per, width: width * resolution * per, height: height * resolution * per, transform: turned, preserveAspectRatio: "none" };
    const picture = svg("image", { ...shape, opacity: 0.8, "image-rendering": "pixelated" });
    // White is free: on a dark page its dark counterpart is.
    if (document.documentElement.dataset.theme === "dark") picture.style.filter = "invert(1)";
    parts.push(picture);
  }
  for (const { zone, kind, most, polygon } of zones) {
    const [x, y] = at(polygon.reduce((best, point) => (point[1] > best[1] ? point : best)));
    const words = kind === "speed" ? `${zone}: ${most} m/s` : `${zone}: keep out`;
    parts.push(svg("polygon", { points: line(polygon), fill: COLOURS[kind], "fill-opacity": 0.12, stroke: COLOURS[kind], "stroke-dasharray": "5 3" }));
    parts.push(label(svg, x + 4, Math.max(y - 5, 12), words, COLOURS[kind], wide));
  }
  for (const track of tracks) parts.push(svg("polyline", { points: line(track.map(({ x, y }) => [x, y])), fill: "none", stroke: "var(--accent)", "stroke-width": 2, "stroke-linejoin": "round", opacity: 0.7 }));
  for (const robot of robots) parts.push(marker(svg, robot, at, per, wide));
  const length = scaleLength(wide / per);
  parts.push(svg("path", { d: `M10 ${high - 16}v6h${(length * per).toFixed(1)}v-6`, fill: "none", stroke: "currentColor" }));
  parts.push(label(svg, 14, high - 15, `${length} m`, "currentColor", wide));
  const shown = svg("svg", { viewBox: `0 0 ${wide.toFixed(1)} ${high.toFixed(1)}`, role: "img", "aria-label": `Robots and zones on ${name}` }, ...parts);
  Object.assign(shown.style, { width: `min(${Math.round(wide)}px, calc(100% - 24px))`, display: "block", margin: "8px 12px" });
  return shown;
}

/** Words that stay readable on a picture, and within the drawing. */
function label(svg, x, y, words, colour, wide) {
  const end = x > wide * 0.75;
  const halo = { "paint-order": "stroke", stroke: "var(--surface)", "stroke-width": 3 };
  return svg("text", { x: end ? x - 26 : x, y, fill: colour, "font-size": 12, "text-anchor": end ? "end" : "start", ...halo }, words);
}

/** A robot: an arrow that points where it looks, and how sure it is of its place: two standard deviations. */
function marker(svg, { robot, pose, loss }, at, per, wide) {
  const [x, y] = at([pose.x, pose.y]);
  const colour = loss ? "var(--critical)" : "var(--accent)";
  const [rx, ry] = [pose.var_x, pose.var_y].map((variance) => 2 * Math.sqrt(variance) * per);
  const arrow = { d: "M10 0L-7 6L-4 0L-7 -6Z", fill: loss ? "none" : colour, stroke: colour, "stroke-width": 2 };
  return svg("g", {},
    svg("ellipse", { cx: x, cy: y, rx, ry, fill: colour, "fill-opacity": 0.12, stroke: colour, "stroke-opacity": 0.4 }),
    svg("path", { ...arrow, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${(-pose.theta * 180 / Math.PI).toFixed(1)})` }),
    label(svg, x + 13, y + 4, robot, "currentColor", wide));
}

/** One drawing for each map that a robot is on, or that there is. */
function drawings(api, robots, zones, maps, tracks) {
  const names = [...new Set([...robots.map(({ map }) => map), ...maps.map(({ map }) => map), ...zones.map(({ map }) => map)])].filter((name) => name !== null);
  if (!names.length || robots.some(({ map }) => map === null)) names.push(null);
  return names.sort().flatMap((name) => {
    const here = robots.filter(({ map }) => map === name);
    const mine = here.map(({ robot }) => tracks[robot]).filter(Boolean);
    const shown = drawing(api, name ?? "no map", maps.find(({ map }) => map === name), here, zones.filter(({ map }) => map === null || map === name), mine);
    if (!shown) return [];
    const [figure, caption] = [api.h("figure", {}), api.h("figcaption", {}, name ?? "Without a map")];
    figure.style.margin = "0";
    caption.style.margin = "8px 12px 0";
    figure.append(caption, shown);
    return [figure];
  });
}

export function show(element, api) {
  const { h, format } = api;
  const old = api.stale();
  const drawn = h("div", {});
  const none = h("p", { class: "empty" }, "No robot has said where it is yet: POST /api/slam/robots/NAME/pose, or name its link in [slam.robots.NAME].");
  const table = api.table("Robots", [
    ["Robot", ({ robot }) => robot],
    ["State", ({ loss }) => h("span", { class: "chip", "data-level": loss ? "CRITICAL" : "GOOD" }, loss ? `lost: ${loss.reason}` : "localised")],
    ["Map", ({ map }) => map ?? ""],
    ["Position", ({ pose }) => `${pose.x.toFixed(2)}, ${pose.y.toFixed(2)} m`, true],
    ["Accuracy (2σ)", ({ pose }) => `${(2 * Math.sqrt(Math.max(pose.var_x, pose.var_y))).toFixed(2)} m`, true],
    ["Zones", ({ zones }) => zones.join(", ")],
    ["Updated", ({ pose }) => format.age(pose.at)],
  ]);
  const versions = api.table("Maps", [
    ["Map", ({ map }) => map],
    ["Version", ({ version }) => version, true],
    ["Size", ({ width, height, form: { resolution } }) => `${(width * resolution).toFixed(1)} × ${(height * resolution).toFixed(1)} m`, true],
    ["Known", ({ known_ratio }) => `${(known_ratio * 100).toFixed(0)} %`, true],
    ["SHA-256", ({ sha256 }) => sha256.slice(0, 16)],
    ["Approved by", ({ approved_by }) => approved_by ?? h("span", { class: "chip", "data-level": "HIGH" }, "nobody")],
  ]);
  const kept = api.panel("Maps", [versions.element]);
  const placed = api.panel("Robots", [table.element]);
  kept.hidden = placed.hidden = true;
  element.append(old.element, api.panel("Map", [drawn, none]), placed, kept);
  const known = { robots: [], zones: [], maps: [], tracks: {} };
  const draw = () => drawn.replaceChildren(...drawings(api, known.robots, known.zones, known.maps, known.tracks));
  api.watch("/api/slam/zones", (found) => {
    known.zones = found ?? known.zones;
    draw();
  });
  api.watch("/api/slam/maps", (found) => {
    if (!found) return;
    known.maps = found;
    kept.hidden = !found.length;
    versions.fill(found, ({ map }) => map);
    draw();
  }, { events: ["slam.map_published", "slam.map_approved"] });
  api.watch("/api/slam/robots", async (robots, problem) => {
    old.show(problem);
    if (!robots) return;
    none.hidden = robots.length > 0;
    placed.hidden = !robots.length;
    table.fill(robots, ({ robot }) => robot);
    known.robots = robots;
    try {
      const tracks = await Promise.all(robots.slice(0, MOST_TRACKS).map(({ robot }) => api.get(`/api/slam/robots/${encodeURIComponent(robot)}/track`, { limit: 300 })));
      known.tracks = Object.fromEntries(tracks.map((track, place) => [robots[place].robot, [robots[place].pose, ...track]]));
    } catch (error) {
      old.show(error); // the robots are drawn with the tracks as they were
    }
    draw();
  }, { events: ["slam.*"] });
  const themes = new MutationObserver(draw);
  themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return { remove: () => themes.disconnect() };
}
