// Asks for the API key when the server wants it, and offers to sign out again. The session is in a cookie that scripts
// cannot read, so that somebody signed in here is remembered beside it.

import { Problem, session, signIn, signOut } from "./api.js";
import { h } from "./dom.js";

const KEY = "brain.signed-in";

/** The dialog, to be put into the page; opens by itself. `signOutButton` shows while there is a session. */
export function createSignIn(signOutButton) {
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

  function signedIn(yes) {
    signOutButton.hidden = !yes;
    try {
      if (yes) localStorage.setItem(KEY, "1");
      else localStorage.removeItem(KEY);
    } catch {
      // Storage is switched off: after a reload there is no sign-out button.
    }
  }

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

  signOutButton.hidden = !remembered();
  signOutButton.addEventListener("click", signOut);
  // Without the key there is nothing to see behind the dialog.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  session.addEventListener("required", () => {
    signedIn(false);
    if (!dialog.open) dialog.showModal();
  });
  return dialog;
}

function remembered() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}
