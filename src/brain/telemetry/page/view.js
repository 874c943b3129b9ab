/** Telemetry: what agents used of models and tools, live sources with their windows, services that send OpenTelemetry. */

const HOUR = 3600;

export function show(element, api) {
  const { h, format } = api;
  const parts = [usagePart(api), sourcesPart(api), servicesPart(api)];
  element.append(...parts.map((part) => part.element));

  function usagePart() {
    const stale = api.stale();
    const none = h("p", { class: "empty" }, "No agent has used a model or a tool in the last 24 hours. Set an OpenTelemetry exporter's endpoint to /api/telemetry.");
    const table = api.table("Usage by agent in the last 24 hours", [
      ["Agent", ({ agent }) => agent],
      ["Calls", ({ calls }) => format.count(calls), true],
      ["Errors", ({ errors }) => format.count(errors), true],
      ["Input tokens", ({ input_tokens: tokens }) => format.count(tokens), true],
      ["Output tokens", ({ output_tokens: tokens }) => format.count(tokens), true],
      ["Cost", (row) => costOf(row), true],
      ["Time", ({ seconds }) => format.duration(seconds), true],
    ]);
    api.watch("/api/telemetry/usage", (rows, problem) => {
      stale.show(problem);
      if (!rows) return;
      table.fill(rows, ({ agent }) => agent);
      none.hidden = rows.length > 0;
    }, { parameters: { by: "agent" }, events: ["telemetry.agent_usage"] });
    return { element: api.panel("Usage by agent in the last 24 hours", [stale.element, table.element, none]) };
  }

  function sourcesPart() {
    const stale = api.stale();
    const none = h("p", { class: "empty" }, "No source has connected yet. brain telemetry replay shows one.");
    const table = api.table("Sources", [
      ["Source", ({ id }) => h("a", { href: api.href({ source: id }) }, id)],
      ["State", ({ state, connected }) => (state === "live" && !connected ? "live, not connected" : state)],
      ["Samples", ({ samples }) => format.count(samples), true],
      ["Lost", ({ lost }) => format.count(lost), true],
      ["Number", ({ seq }) => format.count(seq), true],
      ["Seen", ({ seen_at: at }) => format.age(at)],
    ]);
    const values = h("div");
    api.watch("/api/telemetry/sources", (rows, problem) => {
      stale.show(problem);
      if (!rows) return;
      table.fill(rows, ({ id }) => id);
      none.hidden = rows.length > 0;
    }, { events: ["telemetry.*"] });
    let shown = null;
    return {
      element: api.panel("Sources", [stale.element, table.element, none, values]),
      update({ source }) {
        if (source === shown) return;
        shown = source;
        values.replaceChildren(...(source ? [windowsOf(source)] : []));
      },
    };
  }

  function windowsOf(source) {
    const stale = api.stale();
    const none = h("p", { class: "empty", hidden: true }, "No window is stored.");
    const table = api.table(`Last window of ${source}`, [
      ["Value", ({ name }) => name],
      ["Least", ({ min }) => number(min), true],
      ["Mean", ({ mean }) => number(mean), true],
      ["Greatest", ({ max }) => number(max), true],
      ["Samples", ({ count }) => format.count(count), true],
    ]);
    const block = h("div", { class: "telemetry-windows" }, h("div", { class: "panel-head" }, h("h3", {}, `Last window of ${source}`)), stale.element, table.element, none);
    const at = encodeURIComponent(source);
    api.watch(`/api/telemetry/sources/${at}`, (found, problem) => {
      stale.show(problem);
      if (!block.isConnected || !found) return;
      const since = Math.floor(found.measured_at / 10) * 10;
      api.get(`/api/telemetry/sources/${at}/series`, { since: String(since), until: String(since + HOUR), limit: 1000 }).then(
        (rows) => {
          const first = rows.filter((row) => row.at === since);
          table.fill(first, ({ name }) => name);
          none.hidden = first.length > 0;
        },
        (error) => stale.show(error),
      );
    }, { events: ["telemetry.*"] });
    return block;
  }

  function servicesPart() {
    const stale = api.stale();
    const none = h("p", { class: "empty" }, "No service has sent OpenTelemetry yet.");
    const table = api.table("Services that send OpenTelemetry", [
      ["Service", ({ service }) => service],
      ["Spans", ({ traces }) => format.count(traces), true],
      ["Data points", ({ metrics }) => format.count(metrics), true],
      ["Log records", ({ logs }) => format.count(logs), true],
      ["Refused", ({ refused }) => format.count(refused), true],
      ["Last", ({ last_at: at }) => format.age(at)],
    ]);
    api.watch("/api/telemetry/services", (rows, problem) => {
      stale.show(problem);
      if (!rows) return;
      table.fill(rows, ({ service }) => service);
      none.hidden = rows.length > 0;
    });
    return { element: api.panel("Services that send OpenTelemetry", [stale.element, table.element, none]) };
  }

  return {
    update(parameters) {
      for (const part of parts) part.update?.(parameters);
    },
  };
}

const costOf = ({ cost, unpriced_calls: unpriced }) => (cost === null || cost === undefined ? "no price" : `${cost.toFixed(4)}${unpriced ? " +" : ""}`);

const number = (value) => (Number.isInteger(value) ? String(value) : value.toPrecision(6));
