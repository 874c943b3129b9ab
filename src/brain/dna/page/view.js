/** Genomes: what runs and how it does, agents with their versions, and studies. */

const EVENTS = ["dna.*"];

export function show(element, api) {
  const { h } = api;
  const agents = agentList(api).element;
  const detail = agentDetail(api);
  const all = h("div", { class: "side" }, running(api), agents, studies(api));
  element.append(all, detail.element);
  return {
    update({ agent = null }) {
      all.hidden = agent !== null;
      detail.update(agent);
    },
  };
}

/** A panel with a table that follows `path`; `empty` says that there is nothing. */
function panel(api, title, columns, path, empty, { key, rows = (value) => value, parameters = {} }) {
  const { h } = api;
  const stale = api.stale();
  const table = api.table(title, columns);
  const none = h("p", { class: "empty" }, empty);
  const element = api.panel(title, [stale.element, table.element, none]);
  const source = api.watch(path, (value, problem) => {
    stale.show(problem);
    if (!value) return;
    const items = rows(value);
    table.fill(items, key);
    none.hidden = items.length > 0;
  }, { parameters, events: [...EVENTS, "policy.rule_evaluated"] });
  return { element, source };
}

const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "none yet");
const agentLink = ({ h, href }, id) => h("a", { href: href({ agent: id }), "data-focus": `agent-${id}` }, id);

function running(api) {
  const { format } = api;
  return panel(api, "Running", [
    ["Agent", (one) => agentLink(api, one.agent_id)],
    ["Snapshot", (one) => String(one.snapshot_id), true],
    ["Share", (one) => `${+(100 * one.share).toFixed(2)} %`, true],
    ["Watched", (one) => (one.watched ? "yes" : "no baseline")],
    ["Decisions", (one) => format.count(one.decisions), true],
    ["Denied", (one) => percent(one.denials, one.decisions), true],
    ["Errors", (one) => format.count(one.errors), true],
    ["Passed", (one) => format.count(one.passed), true],
    ["Since", (one) => format.age(one.started_at)],
  ], "/api/dna/rollouts", "No genome is promoted: agents run without one.", { key: (one) => one.id }).element;
}

function agentList(api) {
  const { format } = api;
  return panel(api, "Agents", [
    ["Agent", (one) => agentLink(api, one.agent_id)],
    ["Versions", (one) => format.count(one.versions), true],
    ["Runs", (one) => (one.current_snapshot_id === null ? "nothing yet" : `snapshot ${one.current_snapshot_id}`)],
  ], "/api/dna/agents", "No agent has a genome. brain dna snapshot keeps a first one.", { key: (one) => one.agent_id });
}

function studies(api) {
  const { format } = api;
  return panel(api, "Studies", [
    ["Study", (one) => one.id],
    ["Agent", (one) => agentLink(api, one.agent_id)],
    ["Objective", (one) => `${one.objective.direction} ${one.objective.kind.replaceAll("_", " ")}`],
    ["Sampler", (one) => `${one.sampler}, seed ${one.seed}`],
    ["Budget", (one) => format.count(one.budget), true],
    ["State", (one) => one.state],
    ["Started", (one) => format.age(one.created_at)],
  ], "/api/dna/studies", "No study was started.", { key: (one) => one.id }).element;
}

/** One agent: its versions with what came of them, and its rollouts. */
function agentDetail(api) {
  const { h } = api;
  const element = h("div", { class: "side" });
  let shown = null;
  return {
    element,
    update(agent) {
      if (agent === shown) return;
      shown = agent;
      element.replaceChildren();
      if (agent === null) return;
      const below = `/api/dna/agents/${encodeURIComponent(agent)}`;
      element.append(
        h("p", { class: "view-note" }, h("a", { href: api.href({ agent: null }) }, "All agents"), ` · ${agent}`),
        versions(api, below),
        outcomes(api, below),
        rollouts(api, agent),
      );
    },
  };
}

function versions(api, below) {
  const { h, format } = api;
  const values = (one) => h("code", {}, JSON.stringify({ ...one.dna, ...one.traits }).slice(0, 120));
  return panel(api, "Versions", [
    ["Version", (one) => `${one.version}`],
    ["Snapshot", (one) => String(one.id), true],
    ["Made by", (one) => [one.source, one.by].filter(Boolean).join(", ")],
    ["From", (one) => (one.parent_snapshot_id === null ? "nothing" : String(one.parent_snapshot_id)), true],
    ["Genome", (one) => one.genome_hash.slice(0, 8)],
    ["Karma", (one) => (one.karma_score === null ? "none" : String(one.karma_score)), true],
    ["Values", values],
    ["Made", (one) => format.age(one.created_at)],
  ], `${below}/history`, "No versions.", { key: (one) => one.id, parameters: { limit: 50 } }).element;
}

function outcomes(api, below) {
  const { format } = api;
  return panel(api, "Outcomes", [
    ["Genome", (one) => one.genome_hash.slice(0, 8)],
    ["Decisions", (one) => format.count(one.decisions), true],
    ["Denied", (one) => percent(one.denials, one.decisions), true],
    ["Errors", (one) => format.count(one.errors), true],
  ], `${below}/outcomes`, "Nothing was seen of its genomes.", { key: (one) => one.genome_hash, rows: (value) => value.genomes }).element;
}

function rollouts(api, agent) {
  const { format } = api;
  return panel(api, "Rollouts", [
    ["Rollout", (one) => one.id],
    ["Snapshot", (one) => String(one.snapshot_id), true],
    ["Share", (one) => `${+(100 * one.share).toFixed(2)} %`, true],
    ["State", (one) => one.state.replaceAll("_", " ").toLowerCase()],
    ["Reason", (one) => one.reason || "none given"],
    ["Began", (one) => format.age(one.started_at)],
  ], "/api/dna/rollouts", "Nothing was promoted.", { key: (one) => one.id, parameters: { agent_id: agent } }).element;
}
