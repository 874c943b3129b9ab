// The live feed: newest first, a bounded number of rows that are filled again and again, filters, pause.

import { priorityOf, PRIORITIES } from "./catalogue.js";
import { describe } from "./describe.js";
import { h, plain } from "./dom.js";
import { createFilterForm } from "./filters.js";
import { clockTime, fullTime, plural } from "./format.js";
import { connectionNotice } from "./connection.js";
import { router } from "./router.js";

const ROWS = 300;

/** What the address says the feed shows. */
export function filterOf(parameters) {
  return {
    pattern: parameters.pattern || "*",
    least: PRIORITIES.includes(parameters.priority) ? parameters.priority : "",
    text: parameters.q ?? "",
  };
}

/**
 * The feed of `live` as one element, which views show in turn. The address holds its filters; `update(parameters)`, called
 * with the element in place, takes what the address says.
 */
export function createFeed(live, recent) {
  const list = h("ol", { class: "feed-rows", tabindex: 0, "aria-label": "Events, newest first" });
  const empty = h("p", { class: "empty", hidden: true });
  const held = h("button", { class: "held", hidden: true, onclick: () => pause(false) });
  const pauseButton = h("button", { class: "button", "aria-pressed": "false", onclick: () => pause(!paused) }, "Pause");
  const gap = h("p", { class: "gap", hidden: true });
  const { form, refusal, showFilter, showRefusal } = createFilterForm();
  const element = h(
    "section", { class: "panel feed", "aria-labelledby": "feed-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "feed-title" }, "Live events"), form, pauseButton),
    refusal, connectionNotice(live), gap, held, h("div", { class: "feed-body" }, list, empty),
  );

  let filter = filterOf({});
  let paused = false;
  let waiting = [];
  let arrivedWhilePaused = 0;
  let skipped = 0;
  let stale = true; // events came while no view showed the feed

  const wanted = ({ event, text }) => {
    if (filter.least && !atLeast(priorityOf(event.type), filter.least)) return false;
    return !filter.text || text.toLowerCase().includes(filter.text.toLowerCase());
  };

  function pause(on) {
    paused = on;
    pauseButton.setAttribute("aria-pressed", String(on));
    pauseButton.textContent = on ? "Resume" : "Pause";
    element.classList.toggle("is-paused", on);
    if (!on) {
      show(waiting);
      waiting = [];
      arrivedWhilePaused = 0;
    }
    showHeld();
  }

  function showHeld() {
    held.hidden = !paused;
    held.textContent = arrivedWhilePaused
      ? `Paused: ${plural(arrivedWhilePaused, "new event")}${arrivedWhilePaused > ROWS ? `, the last ${ROWS} kept` : ""}. Resume`
      : "Paused: nothing new yet. Resume";
  }

  function onBatch({ detail }) {
    const fitting = detail.events.filter(wanted);
    skipped += detail.skipped;
    gap.hidden = skipped === 0;
    gap.textContent = `${plural(skipped, "event")} came faster than the page shows them; they are in the stream.`;
    if (paused) {
      arrivedWhilePaused += fitting.length;
      waiting = waiting.concat(fitting).slice(-ROWS);
      showHeld();
    } else if (element.isConnected) show(fitting);
    else stale = true;
  }

  function show(entries) {
    const added = entries.slice(-ROWS);
    const spare = [];
    while (list.childElementCount + added.length > ROWS && list.lastElementChild) {
      const last = list.lastElementChild;
      // A row under the keyboard's focus is not taken away from it.
      if (last.contains(document.activeElement)) break;
      last.remove();
      spare.push(last);
    }
    const fresh = document.createDocumentFragment();
    for (let place = added.length - 1; place >= 0; place -= 1) fresh.append(fillRow(spare.pop() ?? newRow(), added[place]));
    list.prepend(fresh);
    showEmpty();
  }

  function showEmpty() {
    empty.hidden = list.childElementCount > 0;
    const filtered = filter.pattern !== "*" || filter.least || filter.text;
    empty.textContent = filtered ? "No event fits these filters yet." : "No events yet. They appear here as they are published.";
  }

  function reset() {
    list.replaceChildren();
    waiting = [];
    arrivedWhilePaused = 0;
    skipped = 0;
    gap.hidden = true;
    if (paused) pause(false);
    showEmpty();
  }

  function update(parameters) {
    const next = filterOf(parameters);
    const again = stale || next.least !== filter.least || next.text !== filter.text;
    filter = next;
    showFilter(filter);
    live.follow(filter.pattern);
    if (again && !paused) {
      list.replaceChildren();
      show(recent.all().filter(wanted));
      stale = false;
    }
    for (const row of list.querySelectorAll("a")) {
      row.href = router.href({ event: row.dataset.id });
      row.toggleAttribute("aria-current", row.dataset.id === parameters.event);
    }
  }

  live.addEventListener("batch", onBatch);
  live.addEventListener("reset", reset);
  live.addEventListener("state", () => showRefusal(live.state === "refused" ? live.problem : null));
  list.addEventListener("keydown", moveFocus);
  return { element, update };
}

function atLeast(priority, least) {
  const place = PRIORITIES.indexOf(priority);
  return place !== -1 && place <= PRIORITIES.indexOf(least);
}

function newRow() {
  return h("li", {}, h(
    "a", { class: "event-row", tabindex: -1 },
    h("time", { class: "event-time" }), h("span", { class: "chip" }),
    h("span", { class: "event-type" }), h("span", { class: "event-text" }, h("b"), h("span")),
  ));
}

/** A decision has the colour of its effect, whatever its priority; everything else that of its priority. */
function levelOf(event, priority) {
  if (event.type === "policy.action_denied") return "DENY";
  return event.type === "policy.rule_evaluated" ? (event.payload.effect ?? "") : priority;
}

function fillRow(row, { event }) {
  const link = row.firstElementChild;
  const [time, chip, type, text] = link.children;
  const priority = priorityOf(event.type);
  link.href = router.href({ event: event.id });
  link.dataset.id = event.id;
  const level = levelOf(event, priority);
  link.dataset.level = level;
  link.toggleAttribute("aria-current", router.parameters.event === event.id);
  time.textContent = clockTime(event.timestamp);
  time.title = fullTime(event.timestamp);
  chip.textContent = priority || "NONE";
  chip.dataset.level = level;
  chip.title = "priority";
  type.textContent = plain(event.type);
  const said = describe(event);
  text.firstElementChild.textContent = plain(said.mark);
  text.firstElementChild.dataset.level = said.mark;
  text.lastElementChild.textContent = plain(said.text);
  return row;
}

/** Up, down, home and end walk through the rows; the list itself is one stop of the tab key. */
function moveFocus(key) {
  const rows = key.currentTarget.children;
  const here = document.activeElement?.closest("li");
  const target = {
    ArrowDown: here?.nextElementSibling ?? (here ? null : rows[0]),
    ArrowUp: here?.previousElementSibling,
    Home: rows[0],
    End: rows[rows.length - 1],
  }[key.key];
  if (!target) return;
  key.preventDefault();
  target.firstElementChild.focus();
}
