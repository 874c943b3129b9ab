// One line that says what an event is about, from its payload alone, so that types we never heard of read well too.

const FACTS = ["playbook", "kind", "agent_id", "subject", "action", "resource", "type", "source", "module", "outcome"];
const HEADLINES = ["message", "description", "reason", "title", "summary", "text", "detail", "question"];
const MARKS = ["effect", "severity"];
const MOST = 240;

/** `{mark, text}` for the feed: the mark is the effect or severity, "" when the payload has none. */
export function describe(event) {
  const { payload } = event;
  const mark = MARKS.map((name) => scalar(payload[name])).find((text) => text !== "") ?? "";
  const facts = FACTS.map((name) => scalar(payload[name])).filter((text) => text !== "");
  if (payload.old_status && payload.new_status) facts.push(`${payload.old_status} → ${payload.new_status}`);
  if (payload.old_severity && payload.old_severity !== payload.severity) facts.push(`${payload.old_severity} → ${payload.severity}`);
  if ("old_assignee" in payload) facts.push(`${payload.old_assignee ?? "nobody"} → ${payload.assignee ?? "nobody"}`);
  const headline = HEADLINES.map((name) => payload[name]).find((value) => typeof value === "string" && value !== "");
  if (headline) facts.push(headline);
  else if (payload.rule_name) facts.push(scalar(payload.rule_name));
  const parts = facts.length ? [...new Set(facts)] : pairs(payload);
  return { mark, text: parts.join(" · ").slice(0, MOST) };
}

function pairs(payload) {
  return Object.entries(payload)
    .filter(([, value]) => scalar(value) !== "")
    .slice(0, 4)
    .map(([name, value]) => `${name}=${scalar(value)}`);
}

function scalar(value) {
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : "";
}
