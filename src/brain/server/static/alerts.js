// The view `#/alerts`: the alerts, who acknowledged them and what mutes them; and the silences.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { h, keepFocus, syncList, whileBusy } from "./dom.js";
import { age, count, fullTime, plural } from "./format.js";
import { createPages } from "./pages.js";
import { nameField, person } from "./person.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { createSilences } from "./silences.js";
import { staleNotice } from "./stale.js";

const MOST = 100;
const SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW"];
const STATES = [["firing", "firing"], ["resolved", "resolved"], ["all", "all"]];

/** Shows alerts (`state=` resolved or all; firing otherwise) and silences. */
export function mountAlerts(root, { alerts: source, silences: silenceSource }) {
  const summary = h("p", { class: "view-note" });
  const stale = staleNotice();
  const state = h("select", { onchange: () => router.change({ state: state.value === "firing" ? null : state.value, before: null }, { replace: true }) },
    STATES.map(([value, words]) => h("option", { value }, words)));
  const search = h("input", { type: "search", placeholder: "name, agent, label…", oninput: () => router.change({ q: search.value }, { replace: true }) });
  const list = h("ul", { class: "cards" });
  const none = h("p", { class: "empty" });
  const pages = createPages("alerts", MOST);
  const silences = createSilences(silenceSource, () => source.refresh());
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Alerts"), summary,
      h("form", { class: "filters", role: "search", "aria-label": "Filter alerts", onsubmit: (event) => event.preventDefault() },
        h("label", {}, h("span", {}, "State"), state), h("label", {}, h("span", {}, "Contains"), search)), nameField()),
    h("div", { class: "policy" },
      h("section", { class: "panel", "aria-labelledby": "alerts-title" },
        h("header", { class: "panel-head" }, h("h2", { id: "alerts-title" }, "Alerts, the worst first")), stale.element, list, none, pages.element),
      silences.element),
  );

  const act = (alert, deed, said) => (button, refusal) => whileBusy(button.parentElement, async () => {
    await refusal.attempt(async () => {
      await send("POST", `/api/alerts/${encodeURIComponent(alert.id)}/${deed}`, { by: person() });
      announce(said);
    });
    await source.refresh();
  });
  const deeds = (alert) => ({
    acknowledge: act(alert, "acknowledge", `${alert.name} is acknowledged.`),
    close: act(alert, "close", `${alert.name} is closed.`),
    silence: () => silences.propose(alert),
  });

  function show(value, problem) {
    stale.show(problem);
    if (!value) return;
    const { q = "" } = router.parameters;
    if (search !== document.activeElement) search.value = q;
    state.value = STATES.some(([name]) => name === router.parameters.state) ? router.parameters.state : "firing";
    const firing = value.filter((alert) => alert.state === "firing");
    const waiting = firing.filter((alert) => !alert.acknowledged_by && !muteOf(alert));
    pages.show(value, ({ id }) => id);
    summary.textContent = `${plural(firing.length, "alert")} firing${pages.scope()}, ${count(waiting.length)} not acknowledged`;
    const rank = (alert) => 4 * (alert.state !== "firing") + SEVERITIES.indexOf(alert.severity);
    const fitting = value
      .filter((alert) => !q || JSON.stringify(alert).toLowerCase().includes(q.toLowerCase()))
      .sort((a, b) => rank(a) - rank(b) || b.last_at - a.last_at);
    keepFocus(root, () => syncList(list, fitting, (alert) => alert.id, (alert) => card(alert, deeds(alert))));
    none.hidden = fitting.length > 0;
    none.textContent = pages.nothing(q, "No alerts.");
  }

  let stop = null;
  return {
    update(parameters) {
      const wanted = parameters.state === "all" ? {} : { state: parameters.state === "resolved" ? "resolved" : "firing" };
      source.change({ ...pages.wanted(parameters), ...wanted });
      if (stop) show(source.value, source.problem);
      else stop = source.watch(show);
    },
    remove() {
      stop?.();
      silences.remove();
    },
  };
}

/** What mutes the alert, or "". */
function muteOf(alert) {
  if (alert.silenced_by) return `silenced by ${alert.silenced_by}`;
  if (alert.inhibited_by) return `inhibited by ${alert.inhibited_by}`;
  if (alert.held_until && alert.held_until > Date.now() / 1000) return `held until ${fullTime(alert.held_until)}: a healing action runs`;
  return "";
}

function card(alert, deeds) {
  const refusal = createRefusal();
  const mute = muteOf(alert);
  const firing = alert.state === "firing";
  const button = (name, words) => h("button", { class: "button small", "data-focus": name, onclick: (event) => deeds[name](event.currentTarget, refusal) }, words);
  const labels = Object.entries(alert.labels).map(([name, value]) => h("li", {}, `${name} `, h("b", {}, String(value))));
  return h(
    "li", { class: "card", "data-level": firing ? alert.severity : "" },
    h("p", { class: "card-head" }, h("span", { class: "chip", "data-level": alert.severity }, alert.severity),
      h("span", { class: "chip", "data-level": firing ? "CRITICAL" : "GOOD" }, alert.state),
      mute ? h("span", { class: "chip", "data-level": "INFO" }, "muted") : null, h("span", { class: "card-age" }, age(alert.last_at))),
    h("div", { class: "card-title" }, h("h3", {}, alert.name), h("a", { class: "detail-link", href: router.href({ timeline: alert.correlation_id }), "data-focus": "timeline" }, "Timeline")),
    h("p", { class: "card-text" }, alert.summary),
    h("ul", { class: "facts" }, labels, h("li", {}, "first ", h("b", {}, fullTime(alert.first_at))), alert.count > 1 ? h("li", {}, "triggered ", h("b", {}, plural(alert.count, "time"))) : null),
    mute ? h("p", {}, mute) : null,
    alert.acknowledged_by ? h("p", {}, `Acknowledged by ${alert.acknowledged_by} `, age(alert.acknowledged_at)) : null,
    alert.refused_by?.length ? h("p", { class: "refusal" }, `Not reached: ${alert.refused_by.join(", ")}; tried again while it fires`) : null,
    alert.notifications.length ? h("details", {}, h("summary", { "data-focus": "notifications" }, plural(alert.notifications.length, "notification")),
      h("ol", { class: "plain" }, alert.notifications.map((one) => h("li", {}, `${one.action ?? "sent"} to ${one.notifier}: ${one.state} `, age(one.at), one.error ? h("span", { class: "refusal" }, ` ${one.error}`) : null)))) : null,
    firing ? h("div", { class: "moves", role: "group", "aria-label": `Alert ${alert.name}` },
      alert.acknowledged_by ? null : button("acknowledge", "Acknowledge"), button("silence", "Silence"), button("close", "Close")) : null,
    refusal.element,
  );
}
