// The view `#/audit`: the log that proves itself. Its root and checkpoint, verification in one click, search, proofs.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { h, whileBusy } from "./dom.js";
import { age, count, duration, fullTime, plural } from "./format.js";
import { describe } from "./describe.js";
import { createPages } from "./pages.js";
import { proofButton } from "./proof.js";
import { createRefusal, wordsOf } from "./refusal.js";
import { router } from "./router.js";
import { staleNotice } from "./stale.js";
import { createTable } from "./table.js";

const PAGE = 50;
const TYPING_MS = 500;
const FIELDS = [
  ["pattern", "Types", "policy.*"], ["agent", "Agent", "agent-7"], ["threat", "Threat", "thr_…"],
  ["correlation_id", "Correlation id", "request-42"], ["text", "Contains", "any text"], ["principal", "By", "ada"], ["since", "Since", "1h, 7d, 2026-01-31"],
];

/** Shows the log's state and the entries that the address asks for. */
export function mountAudit(root, { audit, entries }) {
  const summary = h("p", { class: "view-note" });
  const stale = staleNotice();
  const facts = h("dl", { class: "envelope wide" });
  const refusal = createRefusal();
  const verdict = h("div", { class: "verdict", "aria-live": "polite", hidden: true });
  const verifyForm = h("form", { class: "actions", onsubmit: (event) => (event.preventDefault(), whileBusy(event.currentTarget, verify)) },
    h("button", { class: "button primary" }, "Verify the whole log"),
    h("a", { class: "button", href: "/api/audit/checkpoint", download: "checkpoint.txt" }, "Download the checkpoint"));
  const inputs = Object.fromEntries(FIELDS.map(([name, , example]) => [name, h("input", { name, placeholder: example, spellcheck: "false", autocomplete: "off" })]));
  let timer;
  const apply = () => {
    clearTimeout(timer);
    router.change({ ...Object.fromEntries(FIELDS.map(([name]) => [name, inputs[name].value.trim()])), before: null }, { replace: true });
  };
  const search = h("form", { class: "filters", role: "search", "aria-label": "Search the log", onsubmit: (event) => (event.preventDefault(), apply()), onchange: apply,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(apply, TYPING_MS);
    } }, FIELDS.map(([name, words]) => h("label", {}, h("span", {}, words), inputs[name])));
  const staleEntries = staleNotice();
  const searchRefusal = createRefusal();
  const table = createTable("Entries, newest first", [
    ["Entry", (entry) => count(entry.index)],
    ["Logged", (entry) => age(entry.appended_at)],
    ["Event", (entry) => entry.event_id ? h("a", { href: router.href({ event: entry.event_id }), "data-focus": "event" }, entry.type) : "no event"],
    ["What it says", (entry) => saying(entry)],
    ["By", (entry) => entry.event?.meta.principal?.name ?? "–"],
    ["Leaf hash", (entry) => h("code", { class: "hash", title: entry.leaf_hash }, `${entry.leaf_hash.slice(0, 12)}…`)],
    ["Proof", (entry) => (entry.event_id ? proofButton(entry.event_id) : "–")],
  ]);
  const none = h("p", { class: "empty" });
  const pages = createPages("entries", PAGE);
  root.append(
    h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Audit"), summary),
    h("section", { class: "panel", "aria-labelledby": "log-title" },
      h("header", { class: "panel-head" }, h("h2", { id: "log-title" }, "The log as it stands"), verifyForm), stale.element, refusal.element, verdict, facts),
    h("section", { class: "panel", "aria-labelledby": "entries-title" },
      h("header", { class: "panel-head" }, h("h2", { id: "entries-title" }, "Entries"), search), searchRefusal.element, staleEntries.element, table.element, none, pages.element),
  );

  async function verify() {
    verdict.hidden = false;
    verdict.dataset.level = "";
    verdict.replaceChildren("Going through every entry, hash and checkpoint…");
    const done = await refusal.attempt(async () => {
      const report = await send("POST", "/api/audit/verify", {});
      const words = report.ok
        ? `The log is whole: ${plural(report.size, "entry", "entries")} verified in ${duration(report.seconds)}.`
        : `The log is not what was written: ${report.problem} First bad entry: ${report.first_bad_index ?? "unknown"}.`;
      verdict.dataset.level = report.ok ? "GOOD" : "CRITICAL";
      verdict.replaceChildren(h("b", {}, words), " Root ", h("code", {}, report.root ?? "unknown"));
      announce(words);
    });
    if (!done) verdict.hidden = true;
    await audit.refresh();
  }

  function showLog(value, problem) {
    stale.show(problem);
    if (!value) return;
    summary.textContent = value.last_at ? `${plural(value.size, "entry", "entries")}` : "Nothing is logged yet.";
    const rows = [
      ["size", count(value.size)], ["root", h("code", {}, value.root)], ["origin", value.origin], ["public key", value.public_key && h("code", {}, value.public_key)],
      ["from", value.first_at && fullTime(value.first_at)], ["to", value.last_at && fullTime(value.last_at)],
      ["payloads", value.oldest_kept_index ? `kept from entry ${count(value.oldest_kept_index)}; of those before, hashes only` : value.size ? "all kept" : null],
      ["checkpoint", value.checkpoint && h("details", {}, h("summary", { "data-focus": "checkpoint" }, "Signed note"), h("pre", {}, value.checkpoint))],
    ].filter(([, shown]) => shown);
    const signature = JSON.stringify(value);
    if (facts.dataset.shown === signature) return;
    const open = facts.querySelector("details")?.open;
    const focused = facts.contains(document.activeElement);
    facts.dataset.shown = signature;
    facts.replaceChildren(...rows.map(([name, shown]) => h("div", {}, h("dt", {}, name), h("dd", {}, shown))));
    const details = facts.querySelector("details");
    if (details) details.open = Boolean(open);
    if (focused) details?.firstElementChild.focus();
  }

  function showEntries(value, problem) {
    // What the server refuses is the person's to mend; anything else passes.
    const refused = problem?.status === 422;
    searchRefusal.say(refused ? wordsOf(problem) : "");
    staleEntries.show(refused ? null : problem);
    if (!value) return;
    table.fill(value, (entry) => entry.index);
    none.hidden = value.length > 0;
    none.textContent = router.parameters.before ? "No older entry fits." : "No entry fits.";
    pages.show(value, ({ index }) => index);
  }

  const stops = [audit.watch(showLog)];
  return {
    update(parameters) {
      for (const [name] of FIELDS) if (inputs[name] !== document.activeElement) inputs[name].value = parameters[name] ?? "";
      const wanted = FIELDS.map(([name]) => name).filter((name) => parameters[name]).map((name) => [name, parameters[name]]);
      entries.change({ ...pages.wanted(parameters), ...Object.fromEntries(wanted) });
      if (stops.length === 1) stops.push(entries.watch(showEntries));
      else showEntries(entries.value, entries.problem);
    },
    remove() {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}

function saying(entry) {
  if (!entry.event) return h("span", { class: "view-note" }, "Its payload is deleted; its hash stands.");
  const said = describe(entry.event);
  return h("span", { class: "event-text" }, said.mark ? h("b", { "data-level": said.mark }, said.mark) : null, h("span", {}, said.text));
}
