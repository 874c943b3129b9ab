// The event inspector: one whole envelope, and all events of its correlation id as a timeline.

import { Problem, get } from "./api.js";
import { priorityOf, purposeOf } from "./catalogue.js";
import { h, plain, syncList } from "./dom.js";
import { age, duration, fullTime, plural } from "./format.js";
import { jsonTree } from "./json.js";
import { proofButton } from "./proof.js";
import { router } from "./router.js";
import { timelineStep } from "./timeline.js";

const MOST_EVENTS = 500;
const RENEW_MS = 500; // least time between two looks at a timeline that goes on
const WIDE = matchMedia("(min-width: 1180px)");

/** The inspector as a dialog beside the view, or over it on a small screen; `update(parameters)` follows the address. */
export function createInspector(live, recent) {
  const title = h("h2", { id: "inspector-title", tabindex: -1 });
  const body = h("div", { class: "inspector-body" });
  const close = () => router.change({ event: null, timeline: null });
  const element = h(
    "dialog", { id: "inspector", class: "inspector", "aria-labelledby": "inspector-title" },
    h("div", { class: "panel-head" }, title, h("button", { class: "button small", onclick: close }, "Close")), body,
  );
  let shown = "";
  let opener = null;
  let controller = new AbortController();
  let renew = null; // shows the open timeline again, when there is one
  let renewing;

  // A timeline that goes on while it is looked at grows.
  live.addEventListener("batch", ({ detail }) => {
    if (renew === null || !detail.events.some(({ event }) => event.meta.correlation_id === renew.correlationId)) return;
    clearTimeout(renewing);
    renewing = setTimeout(() => renew?.tell(), RENEW_MS);
  });

  document.addEventListener("keydown", (key) => {
    if (key.key === "Escape" && element.open && !document.querySelector("dialog.ask") && !key.target.matches("input, textarea, select")) close();
  });
  element.addEventListener("cancel", (event) => (event.preventDefault(), close()));
  WIDE.addEventListener("change", () => element.open && (element.close(), open()));

  function open() {
    if (WIDE.matches) element.show();
    else element.showModal();
    title.focus();
  }

  async function update({ event: id, timeline: correlationId }) {
    const wanted = id || correlationId ? `${id ?? ""} ${correlationId ?? ""}` : "";
    if (wanted === shown) return;
    shown = wanted;
    controller.abort();
    renew = null;
    if (!wanted) return hide();
    controller = new AbortController();
    const { signal } = controller;
    if (!element.open) {
      opener = document.activeElement;
      body.replaceChildren();
    }
    title.textContent = id ? "Event" : "Timeline";
    if (element.open) title.focus();
    else open();
    try {
      const event = id ? (recent.find(id) ?? (await get(`/api/events/${encodeURIComponent(id)}`, {}, signal)).event) : null;
      if (signal.aborted) return;
      const timeline = h("section", { class: "event-timeline" });
      body.replaceChildren(...(event ? envelope(event) : []), timeline);
      body.scrollTop = 0;
      title.textContent = event ? plain(event.type) : "Timeline";
      await follow(timeline, event?.meta.correlation_id ?? correlationId ?? null, id, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Problem)) throw error;
      body.replaceChildren(h("p", { class: "refusal", role: "alert" }, error.message));
    }
  }

  function hide() {
    if (!element.open) return;
    element.close();
    if (opener?.isConnected) opener.focus({ preventScroll: true });
    opener = null;
  }

  async function follow(place, correlationId, id, signal) {
    const summary = h("p", { class: "view-note" }, "Looking for the events of its correlation id…");
    const list = h("ol", { class: "timeline" });
    place.append(h("h3", {}, "Timeline"), summary, list);
    if (correlationId === null) return summary.replaceChildren("This event has no correlation id, so it has no timeline.");
    const tell = async () => {
      const page = await get("/api/events", { correlation_id: correlationId, limit: MOST_EVENTS, newest_first: false }, signal);
      const events = page.events.map((stored) => stored.event);
      const first = events[0]?.timestamp;
      const span = events[events.length - 1]?.timestamp - first;
      summary.replaceChildren(...(events.length
        ? [`${plural(events.length, "event")}${page.next ? " so far" : ""} in ${duration(span)} · `, h("code", {}, correlationId)]
        : ["No event of this correlation id is in the stream."]));
      syncList(list, events, (event) => event.id, (event) => timelineStep(event, first, { id }));
    };
    await tell();
    renew = { correlationId, tell: () => tell().catch(quiet) };
  }

  /** What could not be brought up to date is tried again with the next event of the timeline. */
  function quiet(error) {
    if (error.name !== "AbortError" && !(error instanceof Problem)) throw error;
  }

  return { element, update };
}

function envelope(event) {
  const priority = priorityOf(event.type);
  const copied = h("span", { role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(JSON.stringify(event, null, 2));
    copied.textContent = "Copied";
  };
  const facts = [
    ["id", h("code", {}, event.id)], ["time", h("span", {}, fullTime(event.timestamp), " · ", age(event.timestamp))],
    ["source", event.source], ["target", event.target], ["correlation", event.meta.correlation_id && h("code", {}, event.meta.correlation_id)],
  ];
  const more = Object.fromEntries(Object.entries(event.meta).filter(([name]) => name !== "correlation_id"));
  return [
    h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": priority }, priority || "NONE"), h("span", {}, purposeOf(event.type))),
    h("dl", { class: "envelope" }, facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("h3", {}, "Payload"), jsonTree(event.payload),
    h("h3", {}, "Meta"), jsonTree(more),
    h("p", { class: "actions" }, navigator.clipboard ? h("button", { class: "button small", onclick: copy }, "Copy as JSON") : null, copied, proofButton(event.id, "Audit proof")),
  ];
}
