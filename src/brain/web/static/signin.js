// Asks for the API key when the server wants it.

import { Problem, session, signIn } from "./api.js";
import { h } from "./dom.js";

/** The dialog, to be put into the page; opens by itself. `signedIn(yes)` tells whether a sign-out makes sense. */
export function createSignIn(signedIn) {
  const key = h("input", { id: "api-key", type: "password", name: "key", autocomplete: "current-password", required: true, "aria-describedby": "key-refusal" });
  const refusal = h("p", { id: "key-refusal", class: "refusal", role: "alert", hidden: true });
  const button = h("button", { class: "button primary" }, "Sign in");
  const dialog = h(
    "dialog", { class: "signin", "aria-labelledby": "signin-title" },
    h("form", { onsubmit: submit },
      h("h2", { id: "signin-title" }, "Sign in"), h("p", {}, "This server wants its API key (BRAIN_API_KEY)."),
      h("input", { class: "visually-hidden", name: "username", value: "BRAiN", autocomplete: "username", tabindex: -1, "aria-hidden": "true" }),
      h("label", { for: "api-key" }, h("span", {}, "API key"), key), refusal, button),
  );

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    refusal.hidden = true;
    try {
      await signIn(key.value);
      key.value = "";
      dialog.close();
      signedIn(true);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      refusal.textContent = error.message;
      refusal.hidden = false;
      key.select();
    } finally {
      button.disabled = false;
    }
  }

  // Without the key there is nothing to see behind the dialog.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  session.addEventListener("required", () => {
    signedIn(false);
    if (!dialog.open) dialog.showModal();
  });
  return dialog;
}

