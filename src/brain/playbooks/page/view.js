/** Playbooks: what runs now and what ran, step by step; what limits stopped; the playbooks that are loaded. */

const MOST = 100;
const EVENTS = ["playbook.*"];
const LEVELS = { SUCCEEDED: "GOOD", FAILED: "HIGH", WAITING: "MEDIUM", RUNNING: "INFO", VERIFYING: "INFO" };

export function show(element, api) {
  element.append(runsPanel(api), stopsPanel(api), loadedPanel(api));
}

/** A panel with a table that follows `path`; `empty` says that there is nothing. */
function panel(api, title, columns, path, empty, key, parameters = {}) {
  const { h } = api;
  const stale = api.stale();
  const none = h("p", { class: "empty" }, empty);
  const table = api.table(title, columns);
  api.watch(path, (rows, problem) => {
    stale.show(problem);
    if (!rows) return;
    table.fill(rows, key);
    none.hidden = rows.length > 0;
  }, { parameters, events: EVENTS });
  return api.panel(title, [stale.element, table.element, none]);
}

function runsPanel(api) {
  const { h, format } = api;
  return panel(api, "Runs", [
    ["Playbook", ({ playbook }) => playbook],
    ["About", ({ subject }) => subject],
    ["State", (run) => stateOf(api, run)],
    ["Steps", ({ steps }) => steps.map(({ step, kind, state, detail }) => `${step}. ${kind}: ${state} ${detail}`).join(" · ")],
    ["Correlation id", ({ correlation_id: id }) => h("a", { href: api.href({ timeline: id }), "data-focus": "timeline" }, id)],
    ["Started", ({ created_at: at }) => format.age(at)],
  ], "/api/playbooks/runs", "No playbook ran yet.", ({ id }) => id, { limit: MOST });
}

/** The run's state with its reason, and the buttons that answer what it asks. */
function stateOf(api, { id, state, reason, asked, dry_run: dry, playbook }) {
  const { h } = api;
  const chip = h("span", { class: "chip", "data-level": LEVELS[state] ?? "" }, state);
  const words = [chip, dry ? " dry run" : "", reason ? ` ${reason}` : ""];
  if (state !== "WAITING" || !asked) return h("span", {}, ...words);
  const refusal = api.refusal();
  const answer = (yes, text) => h("button", {
    type: "button", "aria-label": `${text}: ${playbook}`,
    onclick: () => refusal.attempt(() => api.send("POST", `/api/playbooks/runs/${id}/answer`, { yes, by: api.person("a person at the page") })),
  }, text);
  return h("span", {}, ...words, " ", answer(true, "Yes"), " ", answer(false, "No"), refusal.element);
}

function stopsPanel(api) {
  const { format } = api;
  return panel(api, "Stopped by a limit", [
    ["Playbook", ({ playbook }) => playbook],
    ["Limit", ({ reason }) => reason.replaceAll("_", " ")],
    ["About", ({ subject }) => subject],
    ["Times", ({ count }) => format.count(count), true],
    ["Last", ({ last_at: at }) => format.age(at)],
  ], "/api/playbooks/stops", "No limit stopped a playbook.", (one) => `${one.playbook} ${one.reason} ${one.subject}`);
}

function loadedPanel(api) {
  const { format } = api;
  return panel(api, "Playbooks", [
    ["Playbook", ({ name }) => name],
    ["Starts with", ({ trigger }) => trigger.join(", ")],
    ["Steps", ({ steps }) => steps.join(", ")],
    ["Most in an hour", ({ per_hour: most }) => format.count(most), true],
    ["For", ({ description }) => description],
  ], "/api/playbooks", "No playbook is loaded.", ({ name }) => name);
}
