/** Missions, the one that is looked at with the graph of its tasks, and the agents that do them. */
import { drawGraph, levelOf } from "./graph.js";

const STATUSES = ["all", "running", "paused", "stopping", "compensating", "completed", "failed", "cancelled", "ready"];
const EVENTS = { events: ["mission.*", "task.*", "agent.*"] };
const MOST = 200;

export function show(element, api) {
  const { h, format } = api;
  element.append(h("link", { rel: "stylesheet", href: "/plugins/missions/view.css" }));
  const chosen = createChosen(api);
  const status = h("select", { onchange: () => api.change({ status: status.value === "all" ? null : status.value }) },
    STATUSES.map((name) => h("option", { value: name }, name)));
  const stale = api.stale();
  const figures = h("p", { class: "missions-figures" });
  const none = h("p", { class: "empty" }, "No missions.");
  const table = api.table("Missions", [
    ["Mission", ({ id, name }) => h("a", { href: api.href({ mission: id }), "data-focus": id }, name)],
    ["Status", ({ status }) => chip(h, status)],
    ["Done", ({ completed_tasks, total_tasks }) => `${format.count(completed_tasks)} of ${format.count(total_tasks)}`, true],
    ["Priority", ({ priority }) => priority],
    ["Made", ({ created_at }) => format.age(created_at)],
    ["Reason", ({ reason, overdue, ended_at }) => (overdue && ended_at === null ? "overdue" : reason)],
  ]);
  const nobody = h("p", { class: "empty" }, "No agent has asked for tasks.");
  const agents = api.table("Agents", [
    ["Agent", ({ id }) => id],
    ["State", ({ online, contained }) => chip(h, contained ? "contained" : online ? "online" : "offline")],
    ["Holds", ({ running }) => format.count(running), true],
    ["Completed", ({ completed }) => format.count(completed), true],
    ["Failed", ({ failed }) => format.count(failed), true],
    ["Seen", ({ seen_at }) => format.age(seen_at)],
    ["Capabilities", ({ capabilities }) => capabilities.join(", ")],
  ]);
  element.append(
    chosen.element,
    api.panel("Missions", [stale.element, figures, table.element, none], [h("label", { class: "missions-filter" }, h("span", {}, "Status "), status)]),
    api.panel("Agents", [agents.element, nobody]),
  );

  const list = api.watch("/api/missions", (missions, problem) => {
    stale.show(problem);
    if (!missions) return;
    table.fill(missions, ({ id }) => id);
    none.hidden = missions.length > 0;
  }, { parameters: { limit: MOST }, ...EVENTS });
  api.watch("/api/missions/stats", (stats) => {
    if (stats) figures.textContent = words(stats, format);
  }, EVENTS);
  api.watch("/api/agents", (found) => {
    if (!found) return;
    agents.fill(found, ({ id }) => id);
    nobody.hidden = found.length > 0;
  }, EVENTS);
  return {
    update({ mission = null, status: wanted = "all" }) {
      status.value = STATUSES.includes(wanted) ? wanted : "all";
      list.change(status.value === "all" ? { limit: MOST } : { limit: MOST, status: status.value });
      chosen.choose(mission);
    },
  };
}

/** How many there are, in words. */
function words({ missions, tasks, agents }, format) {
  const some = (counts, one) => Object.entries(counts).map(([name, count]) => `${format.count(count)} ${name}`).join(", ") || `no ${one}s`;
  return `Missions: ${some(missions, "mission")}. Tasks: ${some(tasks, "task")}. Agents: ${some(agents, "agent")}.`;
}

function chip(h, status) {
  return h("span", { class: "chip", "data-level": levelOf(status) }, status);
}

/** The mission that is looked at. */
function createChosen(api) {
  const { h, format } = api;
  const title = h("h2", { tabindex: -1 });
  const facts = h("ul", { class: "facts" });
  const refusal = api.refusal();
  const moves = h("div", { class: "moves missions-moves", role: "group", "aria-label": "Move the mission" });
  const questions = h("div", { class: "missions-questions" });
  const drawing = h("div", { class: "missions-graph", tabindex: 0, role: "group", "aria-label": "Graph of the tasks" });
  const table = api.table("Tasks", [
    ["Task", ({ name }) => name],
    ["Type", ({ type }) => type],
    ["Status", ({ status }) => chip(h, status)],
    ["Tries", ({ attempts, max_attempts }) => `${attempts} of ${max_attempts}`, true],
    ["Agent", ({ agent }) => agent ?? ""],
    ["Until", ({ due_at }) => (due_at === null ? "" : format.clockTime(due_at))],
    ["What came of it", ({ error, result }) => error ?? (result === null ? "" : JSON.stringify(result).slice(0, 200))],
  ]);
  const stale = api.stale();
  const element = h("section", { class: "panel missions-chosen", "aria-label": "The mission", hidden: true },
    h("header", { class: "panel-head" }, title, h("a", { href: api.href({ mission: null }) }, "Close")),
    stale.element, facts, moves, refusal.element, questions, drawing, table.element);
  let source = null;
  let id = null;
  let shown = "";

  const act = (path, body, said) => (event) => api.whileBusy(event.currentTarget.parentElement, async () => {
    if (await refusal.attempt(() => api.send("POST", path, body))) api.announce(said);
    await source?.refresh();
  });
  const person = () => api.person("a person at the page");

  function showMission(mission, problem) {
    stale.show(problem);
    const signature = JSON.stringify(mission);
    if (!mission || mission.id !== id || signature === shown) return;
    shown = signature;
    element.hidden = false;
    title.replaceChildren(h("span", {}, mission.name));
    const fact = (name, value) => h("li", {}, `${name} `, h("b", {}, value));
    facts.replaceChildren(h("li", {}, chip(h, mission.status)), fact("done", `${mission.completed_tasks} of ${mission.total_tasks}`),
      fact("priority", mission.priority), mission.by ? fact("by", mission.by) : "",
      mission.deadline === null ? "" : fact("until", format.fullTime(mission.deadline)), mission.reason ? fact("reason", mission.reason) : "",
      mission.compensated === null ? "" : fact("undone", mission.compensated ? "all" : "not all"));
    const move = (name, text) => h("button", { class: "button small", "data-focus": name,
      onclick: act(`/api/missions/${mission.id}/${name}`, { by: person() }, `${mission.name}: ${text}.`) }, text);
    const possible = { ready: [["start", "Start"], ["cancel", "Cancel"]], running: [["pause", "Pause"], ["cancel", "Cancel"]],
      paused: [["resume", "Resume"], ["cancel", "Cancel"]], failed: [["retry", "Retry"]] };
    moves.replaceChildren(...(possible[mission.status] ?? []).map(([name, text]) => move(name, text)));
    const asked = mission.tasks.filter(({ status, person: question }) => status === "waiting" && question);
    questions.replaceChildren(...asked.map((task) => h("div", { class: "moves missions-moves", role: "group", "aria-label": `Answer ${task.name}` },
      h("p", {}, task.person), ...[[true, "Yes"], [false, "No"]].map(([approved, text]) => h("button", { class: "button small",
        onclick: act(`/api/tasks/${task.id}/answer`, { approved, by: person() }, `${task.name} is answered.`) }, text)))));
    drawing.replaceChildren(drawGraph(api.svg, mission.tasks));
    table.fill(mission.tasks, (task) => task.id);
  }

  return {
    element,
    choose(wanted) {
      if (wanted === id) return;
      id = wanted;
      element.hidden = true;
      shown = "";
      if (id === null) return;
      const path = `/api/missions/${encodeURIComponent(id)}`;
      if (source) source.change({}, path);
      else source = api.watch(path, showMission, EVENTS);
    },
  };
}
