/** Every connector with how it is; one that is chosen with its last deliveries. */

const LEVELS = { OK: "GOOD", ERROR: "CRITICAL", STOPPED: "HIGH", UNKNOWN: "LOW" };

export function show(element, api) {
  const { h, format } = api;
  const stale = api.stale();
  const refusal = api.refusal();
  const none = h("p", { class: "empty" }, "No connector is set up. The table [connectors] of brain.toml lists those that take data in or send it out.");
  const table = api.table("Connectors", [
    ["Connector", (one) => name(one)],
    ["Kind", ({ kind, direction }) => `${kind}, ${direction === "inbound" ? "in" : "out"}`],
    ["Status", (one) => status(one)],
    ["In", ({ received }) => format.count(received), true],
    ["Known", ({ duplicates }) => format.count(duplicates), true],
    ["Refused", ({ refused }) => format.count(refused), true],
    ["Out", ({ sent }) => format.count(sent), true],
    ["Failed", ({ failed }) => format.count(failed), true],
    ["Last in", ({ direction, last_at: at }) => (at !== null ? format.age(at) : direction === "inbound" ? "never" : "")],
    ["Change", (one) => deeds(one)],
  ]);
  const deliveries = deliveriesPanel(api);
  element.append(
    h("section", { class: "panel", "aria-label": "Connectors" }, stale.element, refusal.element, table.element, none),
    deliveries.element,
  );

  function name(one) {
    if (one.webhook === null) return one.name;
    return h("a", { href: api.href({ connector: one.name }), "data-focus": "connector" }, one.name);
  }

  function status({ status, error }) {
    const chip = h("span", { class: "chip", "data-level": LEVELS[status] }, status);
    return error === null ? chip : h("span", {}, chip, " ", h("span", { class: "view-note" }, error));
  }

  function deeds(one) {
    if (!one.origin.startsWith("connectors.")) return h("span", { class: "view-note" }, `in [${one.origin}]`);
    const deed = one.status === "STOPPED" ? "resume" : "pause";
    const words = deed === "pause" ? "Pause" : "Resume";
    const group = h("span", { class: "actions" });
    group.append(h("button", { class: "button small", "data-focus": deed, "aria-label": `${words} ${one.name}`, onclick: () => change(group, one, deed) }, words));
    return group;
  }

  function change(group, one, deed) {
    return api.whileBusy(group, () => refusal.attempt(async () => {
      await api.send("POST", `/api/connectors/${encodeURIComponent(one.name)}/${deed}`, {});
      api.announce(`${one.name} is ${deed === "pause" ? "paused" : "resumed"}.`);
    }));
  }

  api.watch("/api/connectors", (found, problem) => {
    stale.show(problem);
    if (!found) return;
    table.fill(found, (one) => one.name);
    none.hidden = found.length > 0;
  }, { events: ["connector.*"] });
  return { update: ({ connector }) => deliveries.choose(connector ?? "") };
}

/** What came through one connector. It is asked for when it is chosen, and by its button. */
function deliveriesPanel(api) {
  const { h, format } = api;
  const title = h("h2", {});
  const refusal = api.refusal();
  const none = h("p", { class: "empty" }, "Nothing is kept of this connector.");
  const table = api.table("Deliveries", [
    ["Delivery", ({ id }) => String(id)],
    ["Came", ({ received_at }) => format.age(received_at)],
    ["From", ({ remote }) => remote ?? ""],
    ["State", ({ state, error }) => (error === null ? state : `${state}: ${error}`)],
    ["Events", ({ events }) => format.count(events), true],
    ["Bytes", ({ bytes }) => format.count(bytes), true],
  ]);
  const again = h("button", { class: "button small", onclick: () => load() }, "Look again");
  const element = h("section", { class: "panel", "aria-label": "Deliveries", hidden: true },
    h("header", { class: "panel-head" }, title, again), refusal.element, table.element, none);
  let chosen = "";

  async function load() {
    const asked = chosen;
    await refusal.attempt(async () => {
      const found = await api.get(`/api/connectors/${encodeURIComponent(asked)}/deliveries`, { limit: 20 });
      if (asked !== chosen) return;
      table.fill(found, ({ id }) => id);
      none.hidden = found.length > 0;
    });
  }

  return {
    element,
    choose(name) {
      chosen = name;
      element.hidden = name === "";
      title.replaceChildren(h("span", {}, `Last deliveries of ${name}`));
      if (name !== "") load();
    },
  };
}
