// A line that says why something was refused, beside the control that asked for it.

import { Problem } from "./api.js";
import { h, plain } from "./dom.js";

/** `{element, clear(), say(text), attempt(work)}`; `attempt` is true when `work` was done, and shows a Problem otherwise. */
export function createRefusal() {
  const element = h("p", { class: "refusal", role: "alert", hidden: true });
  const say = (text) => {
    element.textContent = plain(text);
    element.hidden = text === "";
  };
  return {
    element,
    say,
    clear: () => say(""),
    async attempt(work) {
      say("");
      try {
        await work();
        return true;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        say(wordsOf(error));
        return false;
      }
    },
  };
}

/** What a Problem says: its faults, which name the fields, where it has any of its own. */
export function wordsOf(problem) {
  const faults = problem.faults.filter((fault) => fault !== problem.message);
  return faults.length ? faults.join("; ") : problem.message;
}
