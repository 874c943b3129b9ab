// A line that says why something was refused, beside the control that asked for it.

import { Problem } from "./api.js";
import { h } from "./dom.js";

/** `{element, clear(), say(text), attempt(work)}`; `attempt` is true when `work` was done, and shows a Problem otherwise. */
export function createRefusal() {
  const element = h("p", { class: "refusal", role: "alert", hidden: true });
  const say = (text) => {
    element.textContent = text;
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
        say(error.faults.length > 1 ? error.faults.join("; ") : error.message);
        return false;
      }
    },
  };
}
