/** What the detections found, with the threats that hold it, and the detections that run. */

const MOST = 100;
const LEVELS = { informational: "INFO", low: "LOW", medium: "MEDIUM", high: "HIGH", critical: "CRITICAL" };

export function show(element, api) {
  element.append(hitsPanel(api), runningPanel(api));
}

function levelOf(h, level) {
  return h("span", { class: "chip", "data-level": LEVELS[level] ?? "" }, level);
}

/** The last hits. One that is not yet reported has no threat. */
function hitsPanel(api) {
  const { h, format } = api;
  const stale = api.stale();
  const none = h("p", { class: "empty" }, "Nothing was found yet. What detections find in events and in logs (brain ingest) stands here.");
  const table = api.table(`The last ${MOST} hits`, [
    ["Detection", ({ title }) => title],
    ["Level", ({ level }) => levelOf(h, level)],
    ["About", ({ source }) => source],
    ["Events", ({ count }) => format.count(count), true],
    ["First", ({ opened_at: at }) => format.age(at)],
    ["Last", ({ last_at: at }) => format.age(at)],
    ["Threat", (one) => threatOf(h, one)],
  ]);
  api.watch("/api/detections/hits", (hits, problem) => {
    stale.show(problem);
    if (!hits) return;
    table.fill(hits, ({ id }) => id);
    none.hidden = hits.length > 0;
  }, { parameters: { limit: MOST }, events: ["detections.*"] });
  return api.panel("Hits", [stale.element, table.element, none]);
}

function threatOf(h, { threat, title, source }) {
  if (threat === null) return h("span", { class: "view-note" }, "not reported yet");
  const address = `#/threats?${new URLSearchParams({ id: threat })}`;
  return h("a", { href: address, "data-focus": "threat", "aria-label": `Threat: ${title}, ${source}` }, "Threat");
}

/** The detections, what is only part of others last. */
function runningPanel(api) {
  const { h, format } = api;
  const stale = api.stale();
  const number = h("span", { class: "view-note" });
  const none = h("p", { class: "empty" }, "No detection runs. The table [detections] of brain.toml switches them on.");
  const table = api.table("Detections that run", [
    ["Detection", ({ title }) => title],
    ["Name", ({ name }) => name],
    ["Kind", ({ kind, reports }) => (reports ? kind : `${kind}, part of others`)],
    ["Level", ({ level }) => levelOf(h, level)],
    ["Tags", ({ tags }) => tags.join(", ")],
  ]);
  api.watch("/api/detections", (found, problem) => {
    stale.show(problem);
    if (!found) return;
    table.fill([...found].sort((one, other) => other.reports - one.reports), ({ id }) => id);
    number.textContent = format.plural(found.length, "detection");
    none.hidden = found.length > 0;
  });
  return api.panel("Detections that run", [stale.element, table.element, none], [number]);
}
