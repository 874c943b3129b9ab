// Tells whether what is on the screen is live: a badge in the header, a notice over the feed when it is not.

import { announce } from "./announce.js";
import { h } from "./dom.js";

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  waiting: "Reconnecting",
  refused: "Refused",
  "signed-out": "Signed out",
  asleep: "Asleep",
};

/** The badge for the header; the page's title is left alone. */
export function connectionBadge(live) {
  const badge = h("span", { class: "badge", "data-state": "connecting" }, h("span", { class: "dot" }), h("span", {}, WORDS.connecting));
  let spoken = "connecting";
  live.addEventListener("state", () => {
    badge.dataset.state = live.state;
    badge.lastElementChild.textContent = WORDS[live.state];
    // Said aloud once a change, not at every attempt.
    const said = live.state === "connecting" ? spoken : live.state;
    if (said !== spoken) announce(said === "live" ? "Events are live." : `Events are not live: ${WORDS[said].toLowerCase()}.`);
    spoken = said;
  });
  return badge;
}

/** A line that shows while the line is cut, with a way to try at once. */
export function connectionNotice(live) {
  const words = h("span");
  const notice = h("p", { class: "notice", hidden: true }, words, h("button", { class: "link", onclick: () => live.retry() }, "Try now"));
  let timer;
  const show = () => {
    clearTimeout(timer);
    if (live.state === "live" || live.state === "refused") notice.hidden = true;
    if (live.state !== "waiting") return;
    notice.hidden = false;
    const left = Math.max(0, Math.ceil((live.retryAt - Date.now()) / 1000));
    words.textContent = `The server does not answer. Trying again in ${left} s; nothing is lost, the feed goes on where it stopped. `;
    timer = setTimeout(show, 1000);
  };
  live.addEventListener("state", show);
  show();
  return notice;
}
