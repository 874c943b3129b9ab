/** Each agent: whether it proves who it is, what it was allowed and denied, its threats, containment and usage. */

const MOST = 200;
const OTHER = "other";
const MOST_THREATS = 1000;
const OPEN = ["OPEN", "INVESTIGATING", "ESCALATED"];

export function show(element, api) {
  const { h, format } = api;
  const known = { registered: [], summary: null, threats: [], contained: [], usage: [] };
  const none = h("p", { class: "empty" }, "No agent has asked for a decision in the last 24 hours, and none is registered. brain agents register gives one a key of its own.");
  const number = h("span", { class: "view-note" });
  const table = api.table("Agents in the last 24 hours", [
    ["Agent", ({ agent }) => agent],
    ["Identity", (row) => identityOf(h, format, row)],
    ["Decisions", ({ decisions }) => format.count(decisions), true],
    ["Denials", ({ denials }) => format.count(denials), true],
    ["Open threats", ({ threats }) => format.count(threats), true],
    ["Containment", ({ contained }) => containmentOf(h, format, contained)],
    ["Calls", ({ usage }) => format.count(usage?.calls ?? 0), true],
    ["Tokens", ({ usage }) => format.count((usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0)), true],
    ["Cost", ({ usage }) => (usage?.cost ?? null) === null ? "-" : usage.cost.toFixed(2), true],
  ]);
  const notices = ["registered", "summary", "threats", "contained", "usage"].map((part) => [part, api.stale()]);
  element.append(api.panel("Agents in the last 24 hours", [...notices.map(([, stale]) => stale.element), table.element, none], [number]));

  const follow = (part, path, options) => {
    const [, stale] = notices.find(([name]) => name === part);
    api.watch(path, (value, problem) => {
      stale.show(problem);
      if (!value) return;
      known[part] = value;
      fill();
    }, options);
  };
  const fill = () => {
    const rows = rowsOf(known);
    table.fill(rows, ({ agent }) => agent);
    const isCut = (known.summary?.denial_rate_by_agent ?? []).length >= MOST;
    number.textContent = `${format.plural(rows.length, "agent")}${isCut ? ", of those not registered the ones with the most denials" : ""}`;
    none.hidden = rows.length > 0;
  };
  follow("registered", "/api/access/agents", { events: ["access.*"] });
  follow("summary", "/api/metrics/summary", { parameters: { since: "24h", top: MOST }, events: ["policy.*"] });
  follow("threats", "/api/threats", { parameters: { status: OPEN, limit: MOST_THREATS }, events: ["threat.*"] });
  follow("contained", "/api/policy/containments", { events: ["policy.*"] });
  follow("usage", "/api/telemetry/usage", { parameters: { by: "agent" }, events: ["telemetry.agent_usage"] });
}

/** One row for each agent that is registered, contained, or asked for decisions; those with denials first. */
function rowsOf({ registered, summary, threats, contained, usage }) {
  const rates = new Map((summary?.denial_rate_by_agent ?? []).map((rate) => [rate.name, rate]));
  const held = new Map(contained.map((rule) => [rule.metadata.agent_id, rule]));
  const keys = new Map(registered.map((one) => [one.agent_id, one]));
  const used = new Map(usage.map((row) => [row.agent, row]));
  const names = new Set([...keys.keys(), ...held.keys(), ...rates.keys()]);
  names.delete(OTHER);
  return [...names].map((agent) => ({
    agent,
    key: keys.get(agent),
    decisions: rates.get(agent)?.decisions ?? 0,
    denials: rates.get(agent)?.denials ?? 0,
    threats: threats.filter(({ source }) => source === agent).length,
    contained: held.get(agent),
    usage: used.get(agent),
  })).sort((one, other) => other.denials - one.denials || one.agent.localeCompare(other.agent));
}

/** Whether the agent proves who it is, by what, and when it did last. */
function identityOf(h, format, { key }) {
  if (!key) return h("span", { class: "chip" }, "asserted");
  if (key.retired_at !== null) return h("span", { class: "chip", "data-level": "MEDIUM" }, "retired");
  const how = key.issuer ? `by tokens of ${key.issuer}` : "by its key";
  const last = key.last_used_at === null ? "not yet" : format.age(key.last_used_at);
  return h("span", {}, h("span", { class: "chip", "data-level": "GOOD" }, "registered"), ` ${how}, `, last);
}

function containmentOf(h, format, rule) {
  if (!rule) return "-";
  const until = format.clockTime(rule.expires_at);
  return h("span", {}, h("span", { class: "chip", "data-level": "CRITICAL" }, "contained"), ` until ${until}: ${rule.description}`);
}
