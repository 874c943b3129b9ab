// Links to robots: whether they are up, their topics with rates, commands, what their peers tell of, and what is recorded.

const MOST = 200;
const KINDS = [["topic", "commands"], ["service", "services"], ["action", "actions"]];
const LEVELS = { succeeded: "GOOD", canceling: "MEDIUM", lost: "HIGH", aborted: "HIGH", rejected: "HIGH", failed: "HIGH", timeout: "HIGH", unknown: "HIGH" };

/** How many messages a second came since the last look; the pace since the start before there was one. */
function createPaces() {
  const last = new Map();
  return (key, { count, hz, silent }) => {
    const [before, now] = [last.get(key), performance.now() / 1000];
    if (before && now - before.at < 1) return before.pace;
    const pace = !before ? (silent ? 0 : hz) : count < before.count ? hz : (count - before.count) / (now - before.at);
    last.set(key, { count, at: now, pace });
    return pace;
  };
}

const ends = (found) => (found === null ? "not known" : found.map(({ node, reliability, durability }) => `${node} (${reliability}, ${durability})`).join(", ") || "nobody");

async function graphs(api, links) {
  const found = await Promise.all(links.map(async ({ link }) => [link, await api.get(`/api/ros2/links/${encodeURIComponent(link)}/graph`)]));
  return found.flatMap(([link, { nodes, topics, services, actions }]) => [
    ...topics.map(({ topic, type, publishers, subscribers }) => ({ link, kind: "topic", name: topic, type, publishers: ends(publishers), subscribers: ends(subscribers) })),
    ...[["node", nodes], ["service", services], ["action", actions]].flatMap(([kind, names]) => names.map((name) => ({ link, kind, name, type: "", publishers: "", subscribers: "" }))),
  ]);
}

export function show(element, api) {
  const { h, format } = api;
  const old = api.stale();
  const pace = createPaces();
  const links = api.table("Links", [
    ["Link", ({ link }) => link],
    ["Driver", ({ driver }) => driver],
    ["State", ({ up, reason }) => h("span", { class: "chip", "data-level": up ? "GOOD" : "CRITICAL" }, up ? "up" : `down: ${reason}`)],
    ["Not read", ({ undecoded }) => format.count(undecoded), true],
  ]);
  const topics = api.table("Topics", [
    ["Link", ({ link }) => link],
    ["Topic", ({ topic }) => topic],
    ["Type", ({ type }) => type],
    ["Messages", ({ count }) => format.count(count), true],
    ["Rate now", (one) => `${one.pace.toFixed(1)} Hz`, true],
    ["Longest gap", ({ max_gap }) => `${max_gap.toFixed(2)} s`, true],
    ["State", ({ silent, count }) => h("span", { class: "chip", "data-level": silent ? "HIGH" : count ? "GOOD" : null }, silent ? "silent" : count ? "comes" : "nothing yet")],
  ]);
  const commands = api.table("Commands", [
    ["Link", ({ link }) => link],
    ["Kind", ({ kind }) => kind],
    ["Name", ({ name }) => name],
    ["What became of them", ({ counts }) => Object.entries(counts).map(([what, count]) => `${what} ${format.count(count)}`).join(", ") || "none came"],
  ]);
  const goals = api.table("Goals", [
    ["Sent", ({ sent_at }) => format.age(sent_at)],
    ["Robot", ({ robot }) => robot],
    ["Action", ({ action }) => action],
    ["Agent", ({ agent_id }) => agent_id],
    ["State", ({ status, reason }) => h("span", { class: "chip", "data-level": LEVELS[status] ?? null }, reason ? `${status}: ${reason}` : status)],
  ]);
  const poses = api.table("Robots' poses", [
    ["Link", ({ link }) => link],
    ["Topic", ({ topic }) => topic],
    ["Robot", ({ robot }) => robot],
    ["Poses", ({ counts }) => Object.entries(counts).map(([what, count]) => `${what} ${format.count(count)}`).join(", ") || "none came"],
    ["State", ({ counts, trouble }) => h("span", { class: "chip", "data-level": trouble ? "HIGH" : counts.taken ? "GOOD" : null }, trouble || (counts.taken ? "taken" : "nothing yet"))],
  ]);
  const graph = api.table("What the peers tell of", [
    ["Link", ({ link }) => link],
    ["Kind", ({ kind }) => kind],
    ["Name", ({ name }) => name],
    ["Type", ({ type }) => type],
    ["Publishes", ({ publishers }) => publishers],
    ["Listens", ({ subscribers }) => subscribers],
  ]);
  const bags = api.table("Recordings", [
    ["Bag", ({ file }) => file],
    ["Size", ({ bytes }) => `${(bytes / 1e6).toFixed(1)} MB`, true],
    ["Written", ({ at }) => format.age(at)],
  ]);
  const none = h("p", { class: "empty" }, "The settings have no link to robots ([ros2_bridge.links.NAME]).");
  const asked = api.panel("Goals", [goals.element]);
  asked.hidden = true;
  const panels = [api.panel("Topics", [topics.element]), api.panel("Commands", [commands.element]), api.panel("What the peers tell of", [graph.element]), api.panel("Recordings", [bags.element]), api.panel("Robots' poses", [poses.element])];
  for (const one of panels) one.hidden = true;
  element.append(old.element, api.panel("Links", [links.element, none]), ...panels.slice(0, 2), asked, ...panels.slice(2));
  api.watch("/api/ros2/links", async (found, problem) => {
    old.show(problem);
    if (!found) return;
    none.hidden = found.length > 0;
    links.fill(found, ({ link }) => link);
    const listened = found.flatMap((one) => one.topics.map((topic) => ({ link: one.link, pace: pace(`${one.link} ${topic.topic}`, topic), ...topic })));
    const commanded = found.flatMap((one) => KINDS.flatMap(([kind, gates]) => Object.entries(one[gates]).map(([name, counts]) => ({ link: one.link, kind, name, counts }))));
    topics.fill(listened, ({ link, topic }) => `${link} ${topic}`);
    commands.fill(commanded, ({ link, kind, name }) => `${link} ${kind} ${name}`);
    const said = found.flatMap((one) => one.poses.map((pose) => ({ link: one.link, ...pose })));
    poses.fill(said, ({ link, topic }) => `${link} ${topic}`);
    [panels[0].hidden, panels[1].hidden, panels[4].hidden] = [!listened.length, !commanded.length, !said.length];
    try {
      const known = (await graphs(api, found)).slice(0, MOST);
      graph.fill(known, ({ link, kind, name, type }) => `${link} ${kind} ${name} ${type}`);
      panels[2].hidden = !known.length;
    } catch (error) {
      old.show(error);
    }
  }, { events: ["ros2.*"] });
  api.watch("/api/ros2/goals", (found) => {
    if (!found) return;
    asked.hidden = !found.length;
    goals.fill(found.slice(0, MOST), ({ goal_id }) => goal_id);
  }, { events: ["ros2.goal_changed"] });
  api.watch("/api/ros2/recordings", (found) => {
    if (!found) return;
    panels[3].hidden = !found.length;
    bags.fill(found.slice(0, MOST), ({ file }) => file);
  }, { events: ["ros2.recording_closed"] });
}
