// Puts the page together: the live connection, what is asked for every 5 s, the views, the address.

import { mountAlerts } from "./alerts.js";
import { Problem, session } from "./api.js";
import { mountAudit } from "./audit.js";
import { loadCatalogue } from "./catalogue.js";
import { connectionBadge } from "./connection.js";
import { mountDeadLetters } from "./deadletters.js";
import { mountEvents } from "./events.js";
import { createFeed } from "./feed.js";
import { renewAges } from "./format.js";
import { mountIncidents } from "./incidents.js";
import { createInspector } from "./inspector.js";
import { Live } from "./live.js";
import { mountOverview } from "./overview.js";
import { loadPluginViews } from "./plugins.js";
import { mountPolicy } from "./policy.js";
import { Recent } from "./recent.js";
import { router } from "./router.js";
import { createSignIn } from "./signin.js";
import { Source } from "./sources.js";
import { BOARD, BOARD_CLOSED, SHORT_LIST, mountThreats } from "./threats.js";
import { createTrendSources } from "./trends.js";

/**
 * A view is a name in the address, a title, and a function (root, context) => {update, remove, tick?}. Those of plug-ins
 * are added once the server has listed them.
 */
const VIEWS = {
  overview: { title: "Overview", mount: mountOverview },
  events: { title: "Events", mount: mountEvents },
  threats: { title: "Threats", mount: mountThreats },
  incidents: { title: "Incidents", mount: mountIncidents },
  alerts: { title: "Alerts", mount: mountAlerts },
  policy: { title: "Policy", mount: mountPolicy },
  audit: { title: "Audit", mount: mountAudit },
  "dead-letters": { title: "Dead letters", mount: mountDeadLetters },
};

const RETRY_MS = 2000;

const live = new Live();
const recent = new Recent(live);
const context = {
  live,
  recent,
  feed: createFeed(live, recent),
  health: new Source("/api/immune/health"),
  threats: new Source("/api/threats", BOARD),
  closed: new Source("/api/threats", BOARD_CLOSED),
  older: new Source("/api/threats"),
  worst: new Source("/api/threats/worst", SHORT_LIST),
  stats: new Source("/api/threats/stats"),
  threat: new Source("/api/threats"),
  timeline: new Source("/api/threats"),
  rules: new Source("/api/policy/rules"),
  groups: new Source("/api/groups"),
  letters: new Source("/api/dead-letters"),
  trends: createTrendSources(),
  incidents: new Source("/api/incidents"),
  incident: new Source("/api/incidents"),
  alerts: new Source("/api/alerts"),
  silences: new Source("/api/silences"),
  audit: new Source("/api/audit"),
  entries: new Source("/api/audit/entries"),
};
const inspector = createInspector(live, recent);
const main = document.getElementById("main");
let current = { name: "", view: { update() {}, remove() {} } };

function show({ detail: { view: name, parameters } }) {
  const chosen = VIEWS[name] ? name : "overview";
  const first = current.name === "";
  if (chosen !== current.name) {
    current.view.remove();
    main.replaceChildren();
    current = { name: chosen, view: VIEWS[chosen].mount(main, context) };
    main.dataset.view = chosen;
    if (!first) main.querySelector("h1").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  current.view.update(parameters);
  if (live.pattern === null) live.follow("*"); // a view without the feed was opened first
  inspector.update(parameters);
  for (const link of document.querySelectorAll("#views a")) {
    const here = link.dataset.view === chosen;
    if (here) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" }); // on a narrow screen the views are one long line
      link.href = router.href({ event: null, timeline: null }, chosen); // coming back finds the filters as they were
    } else link.removeAttribute("aria-current");
  }
  showTitle();
}

function showTitle() {
  const open = context.stats.value?.active ?? 0;
  document.title = `${open ? `(${open}) ` : ""}${VIEWS[current.name].title} · BRAiN EventStream`;
  document.getElementById("open-count").textContent = open || "";
}

/** An event that changes a state of affairs brings the panels up to date sooner than their 5 s. */
function hintSources({ detail }) {
  const changed = (test) => detail.events.some(({ event }) => test(event.type));
  if (changed((type) => type.startsWith("threat."))) {
    context.threats.hint();
    context.closed.hint();
    context.older.hint();
    context.worst.hint();
    context.threat.hint();
    context.stats.hint();
  }
  const wellbeing = (type) => type.startsWith("immune.") || type.startsWith("threat.") || type === "policy.action_denied";
  if (changed(wellbeing)) context.health.hint();
  if (changed((type) => type.startsWith("incident."))) {
    context.incidents.hint();
    context.incident.hint();
  }
  if (changed((type) => type.startsWith("alert.") || type.startsWith("silence."))) {
    context.alerts.hint();
    context.silences.hint();
  }
  if (changed((type) => type.startsWith("policy.rule_") && type !== "policy.rule_evaluated")) context.rules.hint();
}

/** Events have no priority of their own, so nothing is shown before the catalogue is there, and the plug-ins' views. */
async function declarationsLoaded() {
  try {
    const [views] = await Promise.all([loadPluginViews(), loadCatalogue()]);
    Object.assign(VIEWS, { ...views, ...VIEWS }); // the page's own names go first
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    await new Promise((resolve) => {
      session.addEventListener("opened", resolve, { once: true });
      if (error.status !== 401) setTimeout(resolve, RETRY_MS);
    });
    return false;
  }
}

async function start() {
  document.getElementById("connection").append(connectionBadge(live));
  document.getElementById("frame").append(inspector.element);
  document.body.append(createSignIn(document.getElementById("sign-out")));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.querySelector("h1").focus();
  });
  live.addEventListener("batch", hintSources);
  while (!(await declarationsLoaded()));
  router.addEventListener("route", show);
  router.start();
  context.stats.watch(showTitle);
  setInterval(() => {
    renewAges();
    if (!document.hidden) current.view.tick?.();
  }, 1000);
}

start();
