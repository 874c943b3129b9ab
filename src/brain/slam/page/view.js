// Where robots are: a drawing with zones, poses and a track, and a table of the same.

const SIZE = 480;

/** What maps metres to the drawing, with all points in it. */
function scaled(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, bottom] = [Math.min(...xs) - 1, Math.min(...ys) - 1];
  const span = Math.max(Math.max(...xs) + 1 - left, Math.max(...ys) + 1 - bottom);
  return ([x, y]) => [((x - left) / span) * SIZE, SIZE - ((y - bottom) / span) * SIZE];
}

function drawing({ svg }, robots, zones, track) {
  const points = [...robots.map(({ pose }) => [pose.x, pose.y]), ...zones.flatMap(({ polygon }) => polygon), ...track.map(({ x, y }) => [x, y])];
  if (!points.length) return null;
  const at = scaled(points);
  const line = (all) => all.map((point) => at(point).map((value) => value.toFixed(1)).join(",")).join(" ");
  const place = ({ robot, pose, loss }) => {
    const [x, y] = at([pose.x, pose.y]);
    const label = svg("text", { x: x + 8, y: y + 4, fill: "currentColor", "font-size": 12 }, robot);
    return svg("g", {}, svg("circle", { cx: x, cy: y, r: 5, fill: loss ? "none" : "currentColor", stroke: "currentColor" }), label);
  };
  return svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, width: SIZE, height: SIZE, role: "img", "aria-label": "Map of robots and zones" },
    ...zones.map(({ polygon }) => svg("polygon", { points: line(polygon), fill: "none", stroke: "currentColor", "stroke-dasharray": "4 3" })),
    svg("polyline", { points: line(track.map(({ x, y }) => [x, y])), fill: "none", stroke: "currentColor", opacity: 0.5 }),
    ...robots.map(place));
}

export function show(element, api) {
  const { h, format } = api;
  const old = api.stale();
  const map = h("div", {});
  const none = h("p", { class: "empty" }, "No robot has said where it is yet.");
  const table = api.table("Robots", [
    ["Robot", ({ robot }) => robot],
    ["State", ({ loss }) => h("span", { class: "chip", "data-level": loss ? "CRITICAL" : null }, loss ? `lost: ${loss.reason}` : "localised")],
    ["Place", ({ pose }) => `${pose.x.toFixed(2)}, ${pose.y.toFixed(2)} m`, true],
    ["Zones", ({ zones }) => zones.join(", ")],
    ["Said", ({ pose }) => format.age(pose.at)],
  ]);
  element.append(old.element, api.panel("Map", [map, none]), api.panel("Robots", [table.element]));
  let zones = [];
  let track = [];
  api.watch("/api/slam/zones", (found) => (zones = found ?? zones));
  api.watch("/api/slam/robots", async (robots, problem) => {
    old.show(problem);
    if (!robots) return;
    none.hidden = robots.length > 0;
    table.fill(robots, ({ robot }) => robot);
    try {
      track = robots.length ? await api.get(`/api/slam/robots/${encodeURIComponent(robots[0].robot)}/track`) : [];
    } catch (error) {
      old.show(error); // the robots are drawn with the track as it was
    }
    map.replaceChildren(...[drawing(api, robots, zones, track)].filter(Boolean));
  }, { events: ["slam.*"] });
}
