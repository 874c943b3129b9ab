// Asks before something that cannot be undone.

import { h } from "./dom.js";

/** Whether the person says yes to `question`; `verb` names the deed on the button. */
export function confirmed(question, detail, verb) {
  const answer = (value) => () => dialog.close(value);
  const dialog = h(
    "dialog", { class: "ask", "aria-labelledby": "ask-title" },
    h("h2", { id: "ask-title" }, question), h("p", {}, detail),
    h("p", { class: "actions" }, h("button", { class: "button", onclick: answer("") }, "Cancel"), h("button", { class: "button danger", onclick: answer("yes") }, verb)),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
