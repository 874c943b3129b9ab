// The declared event types: what they mean and how soon someone should look at them. The envelope itself does not say.

import { get } from "./api.js";

/** Priorities, most urgent first. Types nobody declared have none. */
export const PRIORITIES = ["CRITICAL", "HIGH", "MEDIUM"];

const known = new Map();

/** Fetches the catalogue. Raises Problem. */
export async function loadCatalogue() {
  for (const entry of await get("/api/events/catalogue")) known.set(entry.name, entry);
}

/** CRITICAL, HIGH, MEDIUM, or "" for a type that nobody declared. */
export function priorityOf(type) {
  return known.get(type)?.priority ?? "";
}

/** One line on what an event of the type says, or "". */
export function purposeOf(type) {
  return known.get(type)?.purpose ?? "";
}

/** Patterns worth offering: all, each subject, each type. */
export function suggestedPatterns() {
  const types = [...known.keys()].sort();
  const subjects = [...new Set(types.map((type) => `${type.split(".")[0]}.*`))];
  return ["*", ...subjects, "*.event_published", ...types];
}
