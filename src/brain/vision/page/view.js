// Cameras: their zones and who is in them, how each is, the models, and the blurred pictures that are kept.

const [WIDE, HIGH] = [320, 240];
const ALARM = "var(--critical)";

function drawing({ svg }, { camera, present, up }, tracks) {
  const place = ([x, y]) => `${(x * WIDE).toFixed(1)},${(y * HIGH).toFixed(1)}`;
  const zone = ({ zone: name, polygon, robot }) => {
    const count = present[name] ?? 0;
    const colour = count && robot ? ALARM : "currentColor";
    const [x, y] = polygon.reduce((found, point) => (point[1] < found[1] ? point : found));
    const words = `${name}: ${count}${robot ? ` (${robot})` : ""}`;
    const label = text(svg, x * WIDE + 4, Math.min(y * HIGH + 14, HIGH - 4), words, colour);
    const shape = { points: polygon.map(place).join(" "), fill: colour, "fill-opacity": count ? 0.15 : 0, stroke: colour, "stroke-dasharray": "4 3" };
    return svg("g", {}, svg("polygon", shape), label);
  };
  const line = ({ line: name, start, end }) => svg("g", {},
    svg("line", { x1: start[0] * WIDE, y1: start[1] * HIGH, x2: end[0] * WIDE, y2: end[1] * HIGH, stroke: "var(--accent)", "stroke-width": 2 }),
    text(svg, start[0] * WIDE + 4, Math.max(12, start[1] * HIGH - 4), name, "var(--accent)"));
  const box = ({ label, box: [x, y, w, h] }) => svg("g", {},
    svg("rect", { x: x * WIDE, y: y * HIGH, width: w * WIDE, height: h * HIGH, fill: "none", stroke: "currentColor", "stroke-width": 2 }, svg("title", {}, label)),
    text(svg, x * WIDE, Math.max(12, y * HIGH - 3), label, "currentColor"));
  const frame = svg("rect", { x: 0.5, y: 0.5, width: WIDE - 1, height: HIGH - 1, fill: "none", stroke: "currentColor", opacity: 0.4 });
  return svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, width: "100%", role: "img", "aria-label": `Zones of camera ${camera.camera}` },
    frame, ...camera.zones.map(zone), ...camera.lines.map(line), ...tracks.map(box),
    up ? null : svg("text", { x: WIDE / 2, y: HIGH / 2, fill: "currentColor", "font-size": 14, "text-anchor": "middle", opacity: 0.7 }, "nothing comes"));
}

/** Words that stay within the drawing, and readable over what is below them. */
function text(svg, x, y, words, colour) {
  const end = x > WIDE * 0.65;
  const halo = { "paint-order": "stroke", stroke: "var(--surface)", "stroke-width": 3 };
  return svg("text", { x: end ? WIDE - 6 : x, y, fill: colour, "font-size": 12, "text-anchor": end ? "end" : "start", ...halo }, words);
}

function state({ h }, { up, reason, fault }) {
  const [level, words] = up ? (fault ? ["HIGH", fault] : ["GOOD", "up"]) : ["CRITICAL", `down: ${reason}`];
  return h("span", { class: "chip", "data-level": level }, words);
}

const counts = (found) => Object.entries(found).map(([name, count]) => `${name} ${count}`).join(", ");

async function tracksOf(api, { camera, up }) {
  if (!up) return [];
  try {
    return await api.get(`/api/vision/cameras/${encodeURIComponent(camera.camera)}/tracks`);
  } catch {
    return []; // another server plays it
  }
}

export function show(element, api) {
  const { h, format } = api;
  const old = api.stale();
  const pictures = h("div", {});
  Object.assign(pictures.style, { display: "flex", flexWrap: "wrap" });
  const none = h("p", { class: "empty" }, "No camera is set up yet: brain vision cameras add NAME --source rtsp://...");
  const cameras = api.table("Cameras", [
    ["Camera", ({ camera }) => camera.camera],
    ["State", (one) => state(api, one)],
    ["In its zones", ({ present }) => counts(present) || "no zones"],
    ["Last window", ({ summary }) => (summary.frames ? `${format.plural(summary.frames, "picture")}; ${counts(summary.tracks) || "nothing"}` : "none yet")],
    ["Came last", ({ seen_at }) => (seen_at ? format.age(seen_at) : "never")],
  ]);
  const models = api.table("Models", [
    ["Model", ({ model }) => model],
    ["SHA-256", ({ sha256 }) => (sha256 ?? "cannot be read").slice(0, 16)],
    ["Approved by", ({ approved_by }) => approved_by ?? h("span", { class: "chip", "data-level": "HIGH" }, "nobody")],
  ]);
  const evidence = api.table("Blurred pictures", [
    ["Picture", ({ ref }) => ref],
    ["Camera", ({ camera }) => camera],
    ["Zone", ({ zone }) => zone],
    ["Made", ({ at }) => format.age(at)],
    ["Deleted", ({ expires_at }) => format.fullTime(expires_at)],
  ]);
  const kept = api.panel("Blurred pictures", [evidence.element]);
  const approved = api.panel("Models", [models.element]);
  kept.hidden = approved.hidden = true;
  element.append(old.element, api.panel("Cameras", [pictures, cameras.element, none]), approved, kept);
  api.watch("/api/vision/cameras", async (found, problem) => {
    old.show(problem);
    if (!found) return;
    none.hidden = found.length > 0;
    cameras.fill(found, ({ camera }) => camera.camera);
    const tracks = await Promise.all(found.map((one) => tracksOf(api, one)));
    pictures.replaceChildren(...found.map((one, place) => {
      const figure = h("figure", {}, drawing(api, one, tracks[place]), h("figcaption", {}, one.camera.camera));
      Object.assign(figure.style, { margin: "8px 12px", width: `min(${WIDE}px, calc(100% - 24px))` });
      return figure;
    }));
  }, { events: ["vision.*"] });
  api.watch("/api/vision/models", (found) => {
    if (!found) return;
    approved.hidden = !found.length;
    models.fill(found, ({ model }) => model);
  }, { events: ["vision.model_approved"] });
  api.watch("/api/vision/evidence", (found) => {
    if (!found) return;
    kept.hidden = !found.length;
    evidence.fill(found, ({ ref }) => ref);
  }, { events: ["vision.evidence_saved"] });
}
