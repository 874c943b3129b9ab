// The audit log's proof of one event, as a file to keep: `brain audit verify-proof` checks it without this server.

import { request } from "./api.js";
import { announce } from "./announce.js";
import { h, whileBusy } from "./dom.js";
import { createRefusal } from "./refusal.js";

/** A button that fetches the proof of the event, with a line below it for a refusal. */
export function proofButton(eventId, words = "Proof") {
  const refusal = createRefusal();
  const button = h("button", { class: "button small", "data-focus": `proof ${eventId}`, "aria-label": `${words} of ${eventId}`, title: "The audit log's proof, as a file" }, words);
  const element = h("span", { class: "proof" }, button, refusal.element);
  button.addEventListener("click", () => whileBusy(element, () => refusal.attempt(async () => {
    const answer = await request(`/api/audit/proof/${encodeURIComponent(eventId)}`);
    save(await answer.blob(), nameIn(answer.headers.get("content-disposition")) ?? `audit-proof-${eventId}.json`);
    announce("The proof is downloaded.");
  })));
  return element;
}

/** Hands the blob to the browser as a download. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function nameIn(disposition) {
  return /filename="([^"]+)"/.exec(disposition ?? "")?.[1];
}
