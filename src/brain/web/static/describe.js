// One line that says what an event is about, from its payload alone, so that types we never heard of read well too.

const HEADLINES = ["message", "reason", "description", "title", "summary"];
const FACTS = [
  "effect", "severity", "kind", "agent_id", "action", "resource", "rule_id", "type", "source", "module", "threat_id",
];
const MOST = 240;

/** The line for the feed. */
export function describe(event) {
  const payload = event.payload;
  const said = new Set();
  const parts = [];
  if (payload.old_status && payload.new_status) {
    parts.push(`${payload.old_status} → ${payload.new_status}`);
  }
  for (const name of FACTS) {
    const text = scalar(payload[name]);
    if (text !== "" && !said.has(text)) {
      said.add(text);
      parts.push(text);
    }
  }
  const headline = HEADLINES.map((name) => payload[name]).find((value) => typeof value === "string" && value !== "");
  if (headline && !said.has(headline)) parts.push(headline);
  if (parts.length === 0) parts.push(...pairs(payload));
  return parts.join(" · ").slice(0, MOST);
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
