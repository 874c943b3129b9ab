// Links to robots: whether they are up, their topics with rates, and what became of commands.

export function show(element, api) {
  const { h, format } = api;
  const old = api.stale();
  const links = api.table("Links", [
    ["Link", ({ link }) => link],
    ["Driver", ({ driver }) => driver],
    ["State", ({ up, reason }) => h("span", { class: "chip", "data-level": up ? null : "CRITICAL" }, up ? "up" : `down: ${reason}`)],
  ]);
  const topics = api.table("Topics", [
    ["Link", ({ link }) => link],
    ["Topic", ({ topic }) => topic],
    ["Type", ({ type }) => type],
    ["Messages", ({ count }) => format.count(count), true],
    ["Rate", ({ hz }) => `${hz.toFixed(1)} Hz`, true],
    ["Longest gap", ({ max_gap }) => `${max_gap.toFixed(2)} s`, true],
    ["State", ({ silent }) => (silent ? h("span", { class: "chip", "data-level": "HIGH" }, "silent") : "")],
  ]);
  const commands = api.table("Commands", [
    ["Link", ({ link }) => link],
    ["Topic", ({ topic }) => topic],
    ["What became of them", ({ counts }) => Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(", ")],
  ]);
  const none = h("p", { class: "empty" }, "The settings have no link to robots ([ros2_bridge.links.NAME]).");
  element.append(old.element, api.panel("Links", [links.element, none]), api.panel("Topics", [topics.element]), api.panel("Commands", [commands.element]));
  api.watch("/api/ros2/links", (found, problem) => {
    old.show(problem);
    if (!found) return;
    none.hidden = found.length > 0;
    links.fill(found, ({ link }) => link);
    topics.fill(found.flatMap((one) => one.topics.map((topic) => ({ link: one.link, ...topic }))), ({ link, topic }) => `${link} ${topic}`);
    commands.fill(found.flatMap((one) => Object.entries(one.commands).map(([topic, counts]) => ({ link: one.link, topic, counts }))), ({ link, topic }) => `${link} ${topic}`);
  }, { events: ["ros2.*"] });
}
