// The first view: is the fleet well, who attacks, what happens right now.

import { h } from "./dom.js";
import { createFlow } from "./flow.js";
import { count, duration, plural } from "./format.js";
import { createReasons, healthCounts, period, scoreContent } from "./health.js";
import { activeCounts, createOpenThreats } from "./threats.js";
import { createTile } from "./tile.js";
import { createTrends } from "./trends.js";

/** The view `#/overview`. */
export function mountOverview(root, { feed, live, recent, health, worst, stats, groups, trends: trendSources }) {
  const score = createTile("Health score");
  const threatTile = createTile("Open threats", "#/threats");
  const healthTile = createTile("Health events", "#/events?pattern=immune.*");
  const groupTile = createTile("Consumer groups", "#/dead-letters");
  const flow = createFlow(live, recent);
  const trends = createTrends(trendSources);
  const open = createOpenThreats(worst, stats);
  const reasons = createReasons(health);
  root.append(
    h("h1", { class: "visually-hidden", tabindex: -1 }, "Overview"),
    h("div", { class: "tiles" }, score.element, threatTile.element, healthTile.element, groupTile.element, flow.element),
    trends.element,
    h("div", { class: "overview" }, feed.element, h("div", { class: "side" }, reasons.element, open.element)),
  );
  const stops = [
    health.watch((summary) => {
      if (!summary) return;
      score.show(scoreContent(summary));
      const counts = healthCounts(summary);
      const total = counts.reduce((sum, [, number]) => sum + number, 0);
      healthTile.show({ figure: count(total), unit: `in the last ${period(summary)}`, counts });
    }),
    stats.watch(showThreats),
    groups.watch((value) => value && groupTile.show(groupContent(value))),
  ];
  function showThreats(value) {
    if (!value) return;
    const { mttm_seconds: mttm, active_oldest_age_seconds: oldest } = value;
    const note = [mttm === null ? null : `MTTM ${duration(mttm)}`, oldest ? `oldest open ${duration(oldest)}` : null];
    threatTile.show({ figure: count(value.active), unit: "need attention", counts: activeCounts(value), note: note.filter(Boolean).join(" · ") });
  }
  return {
    update(parameters) {
      feed.update(parameters);
      trends.update(parameters);
    },
    tick: flow.renew,
    remove() {
      for (const stop of stops) stop();
      open.remove();
      reasons.remove();
      trends.remove();
    },
  };
}

/** How far behind the slowest group is, and what the groups gave up on. */
function groupContent(groups) {
  const dead = groups.reduce((sum, group) => sum + group.dead, 0);
  const [last] = [...groups].sort((a, b) => b.lag - a.lag);
  return {
    figure: count(last?.lag ?? 0),
    unit: last?.lag ? `events behind: ${last.name}` : "events behind",
    counts: [],
    share: dead ? ["CRITICAL", 100] : ["GOOD", groups.length ? 100 : 0],
    note: `${plural(dead, "dead letter")} in ${plural(groups.length, "group")}`,
  };
}
