// Talks to the server this page came from, and to no other: JSON in and out, errors as Problem, the session's end noticed.

/** An error answer: `application/problem+json`, or no answer at all (`status` 0). */
export class Problem extends Error {
  constructor(status, title, detail, faults = []) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.faults = faults;
  }
}

/** Fires `required` when the server wants the API key, `opened` once it was given. */
export const session = new EventTarget();

/** How long an answer to a GET may take: what asks again and again must not wait for ever for one lost answer. */
const GET_MS = 30_000;

let clockOffset = 0;

/** The server's time in Unix seconds, as far as its answers tell. */
export function serverNow() {
  return Date.now() / 1000 + clockOffset;
}

/** The answer of the server, checked to be a success. Raises Problem. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No connection", "The server does not answer.");
  }
  noteClock(response.headers.get("date"));
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401) session.dispatchEvent(new Event("required"));
  throw problem;
}

async function problemOf(response) {
  const fallback = response.statusText || `Status ${response.status}`;
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON: a proxy's error page. The status has to do.
  }
  return new Problem(response.status, body.title ?? fallback, body.detail ?? fallback, body.faults ?? []);
}

function noteClock(date) {
  const offset = Date.parse(date) / 1000 - Date.now() / 1000;
  // The header has whole seconds, so a small difference says nothing.
  if (Number.isFinite(offset)) clockOffset = Math.abs(offset) > 2 ? offset : 0;
}

/** GET, parsed; a parameter with an array is given several times. */
export async function get(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const query = new URLSearchParams(given).toString();
  const timeout = AbortSignal.timeout(GET_MS);
  const response = await request(query ? `${path}?${query}` : path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No connection", "The server's answer broke off.");
  }
}

/** Any other method with a JSON body; the parsed answer, or null when there is none. */
export async function send(method, path, body = undefined) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

/** Gives the API key for a session cookie. Raises Problem when it is not the key. */
export async function signIn(key) {
  let response;
  try {
    response = await fetch("/login", { method: "POST", body: new URLSearchParams({ key }), redirect: "manual" });
  } catch {
    throw new Problem(0, "No connection", "The server does not answer.");
  }
  // The right key is answered with a redirect to this page, which a script is shown as an opaque answer.
  if (response.type !== "opaqueredirect" && !response.ok) {
    throw new Problem(response.status, "Not signed in", response.status === 401 ? "That is not the key." : response.statusText);
  }
  session.dispatchEvent(new Event("opened"));
}

/** Ends the session. */
export async function signOut() {
  await fetch("/logout", { method: "POST", redirect: "manual" });
  session.dispatchEvent(new Event("required"));
}
