// Hosts and robots: how they are, what soon is used up, who drives; and the stop, which asks nobody.

const MOST = 200;
const SOMEBODY = "a person at the page"; // a stop does not wait for a name

/** The values of a host in the order in which people look for them; null where it is not available. */
function values(host) {
  const bytes = (count) => `${(count / 2 ** 30).toFixed(1)} GiB`;
  const percent = (value) => (value === null || value === undefined ? null : `${value.toFixed(1)} %`);
  const sensors = (found, unit) => found?.map(({ name, value }) => [name, `${value.toFixed(0)} ${unit}`]) ?? [];
  const rows = [
    ["Processors", host.cpu && [percent(host.cpu.percent) ?? "measuring", host.cpu.usable && `${host.cpu.usable} usable`, host.cpu.load && `load ${host.cpu.load[0].toFixed(2)}`].filter(Boolean).join(", ")],
    ["Waiting for processors", percent(host.pressure?.cpu)],
    ["Memory", host.memory && `${percent(host.memory.percent)} of ${bytes(host.memory.total)}`],
    ["Swap", percent(host.memory?.swap_percent)],
    ...(host.disks?.map((disk) => [`Disk ${disk.path}`, `${percent(disk.percent)}, ${bytes(disk.free)} free`]) ?? [["Disks", null]]),
    ...(host.network?.filter(({ up }) => up).map((one) => [`Network ${one.name}`, `${bytes(one.received)} in, ${bytes(one.sent)} out`]) ?? [["Network", null]]),
    ["Battery", host.battery && `${percent(host.battery.percent)}${host.battery.plugged ? ", plugged in" : ""}`],
    ...(host.gpus?.map((card, number) => [`Graphics card ${number}`, [card.name, percent(card.percent), card.temperature !== null && `${card.temperature} °C`].filter(Boolean).join(", ")]) ?? [["Graphics cards", null]]),
    ...(host.temperatures ? sensors(host.temperatures, "°C") : [["Temperatures", null]]),
    ...(host.fans ? sensors(host.fans, "rpm") : [["Fans", null]]),
  ];
  return rows.map(([name, value]) => ({ name, value: value || null }));
}

/** The robots, with a button to stop each and one to stop all. */
function robotsPanel({ h, table, format, refusal, whileBusy, send, announce, person }) {
  const said = refusal();
  const stop = (robot, button) => whileBusy(button.closest("section"), () => said.attempt(async () => {
    const report = await send("POST", "/api/hardware/stop", { robot_id: robot, by: person(SOMEBODY), reason: "stopped on the page" });
    const missed = report.robots.filter(({ reached }) => !reached).map((one) => one.robot);
    announce(missed.length ? `Not reached: ${missed.join(", ")}` : `Stopped: ${report.robots.map((one) => one.robot).join(", ")}`);
    source?.hint();
  }));
  const clear = (robot, button) => whileBusy(button.closest("section"), () => said.attempt(async () => {
    await send("POST", "/api/hardware/clear", { robot_id: robot, by: person(SOMEBODY), reason: "cleared on the page" });
    announce(`${robot} may be driven again`);
    source?.hint();
  }));
  const all = h("button", { class: "button danger", "data-focus": "all", onclick: (event) => stop(null, event.currentTarget) }, "Stop all robots");
  const list = table("Robots", [
    ["Robot", ({ robot }) => robot],
    ["State", ({ stopped_at, holder }) => h("span", { class: "chip", "data-level": stopped_at ? "CRITICAL" : null }, stopped_at ? "stopped" : holder ? "driven" : "free")],
    ["Driven by", ({ holder }) => holder ?? "nobody"],
    ["Stopped", ({ stopped_at, stopped_by, stop_reason }) => (stopped_at ? [format.age(stopped_at), ` by ${stopped_by}: ${stop_reason}`] : "")],
    ["Waiting", ({ waiting }) => format.count(waiting), true],
    ["Driver", ({ driver }) => driver],
    ["Action", ({ robot, stopped_at }) => (stopped_at
      ? h("button", { class: "button small", "data-focus": "clear", onclick: (event) => clear(robot, event.currentTarget) }, `Clear ${robot}`)
      : h("button", { class: "button small danger", "data-focus": "stop", onclick: (event) => stop(robot, event.currentTarget) }, `Stop ${robot}`))],
  ]);
  let source = null;
  const element = h("section", { class: "panel", "aria-label": "Robots", hidden: true },
    h("div", { class: "panel-head" }, h("h2", {}, "Robots"), all), said.element, list.element);
  return {
    element,
    follow: (watched) => (source = watched),
    show(robots) {
      element.hidden = robots.length === 0;
      list.fill(robots.slice(0, MOST), ({ robot }) => robot);
    },
  };
}

export function show(element, api) {
  const { h, table, format, stale, watch } = api;
  const old = stale();
  const robots = robotsPanel(api);
  const troubles = table("Limits and forecasts", [
    ["Device", ({ device }) => device],
    ["What", ({ metric }) => metric],
    ["Now", ({ now }) => now],
    ["Since", ({ since }) => (since ? format.age(since) : "")],
  ]);
  const quiet = h("p", { class: "empty" }, "No limit is crossed, and nothing is about to be used up.");
  const devices = table("Devices", [
    ["Device", ({ id }) => id],
    ["By", ({ driver }) => driver],
    ["Last reading", ({ seen_at }) => (seen_at ? format.age(seen_at) : "none yet")],
    ["Memory", ({ reading }) => (reading?.memory ? `${reading.memory.percent.toFixed(1)} %` : "not available"), true],
    ["Fullest disk", ({ reading }) => (reading?.disks ? `${Math.max(...reading.disks.map(({ percent }) => percent)).toFixed(1)} %` : "not available"), true],
  ]);
  const none = h("p", { class: "empty" }, "No device is known yet: the tasks of this plug-in add their host within seconds.");
  const heading = h("h2", {}, "This host");
  const host = table("This host", [
    ["What", ({ name }) => name],
    ["Now", ({ value }) => value ?? h("span", { class: "view-note" }, "not available")],
  ]);
  element.append(
    old.element,
    robots.element,
    api.panel("Limits and forecasts", [troubles.element, quiet]),
    api.panel("Devices", [devices.element, none]),
    h("section", { class: "panel", "aria-label": "This host" }, h("div", { class: "panel-head" }, heading), host.element),
  );

  robots.follow(watch("/api/hardware/robots", (found, problem) => {
    old.show(problem);
    if (found) robots.show(found);
  }, { events: ["hardware.*"] }));
  watch("/api/hardware/devices", (found, problem) => {
    old.show(problem);
    if (!found) return;
    const rows = found.flatMap((device) => [
      ...device.limits.filter(({ crossed }) => crossed).map((limit) => ({ device: device.id, metric: limit.metric, now: `${limit.value.toFixed(1)}, limit ${limit.limit}`, since: limit.since })),
      ...device.forecasts.map((one) => ({ device: device.id, metric: one.metric, now: `full ${format.fullTime(one.exhausted_at)}, ${one.slope.toFixed(1)} % an hour`, since: null })),
    ]);
    troubles.element.hidden = rows.length === 0;
    quiet.hidden = rows.length > 0;
    troubles.fill(rows.slice(0, MOST), ({ device, metric, since }) => `${device} ${metric} ${since}`);
    devices.element.hidden = found.length === 0;
    none.hidden = found.length > 0;
    devices.fill(found.slice(0, MOST), ({ id }) => id);
  }, { events: ["hardware.limit_crossed", "hardware.limit_cleared", "hardware.forecast", "hardware.device_added", "hardware.device_removed"] });
  watch("/api/hardware/host", (found, problem) => {
    old.show(problem);
    if (!found) return;
    heading.replaceChildren(h("span", {}, `This host: ${found.host}`));
    host.fill(values(found), ({ name }) => name);
  });
}
