// The views that plug-ins bring: their place in the navigation, and their `view.js`, loaded when it is first shown.

import { announce } from "./announce.js";
import { Problem, get, request, send, session } from "./api.js";
import { h, svg, whileBusy } from "./dom.js";
import { age, clockTime, count, duration, fullTime, plural } from "./format.js";
import { person } from "./person.js";
import { createRefusal } from "./refusal.js";
import { router } from "./router.js";
import { Source } from "./sources.js";
import { staleNotice } from "./stale.js";
import { createTable } from "./table.js";

/** The plug-ins' views by name, each as `{title, mount}`; their links are put into the navigation. Raises Problem. */
export async function loadPluginViews() {
  const found = (await get("/api/plugins")).filter(({ view }) => view !== null);
  for (const { name, view } of found) {
    const sections = [...document.querySelectorAll("#views .view-group")];
    const section = sections.find((group) => group.dataset.section === view.section) ?? sections.at(-1);
    if (!section.querySelector(`[data-view="${name}"]`)) section.append(h("a", { href: `#/${name}`, "data-view": name }, view.title));
  }
  return Object.fromEntries(found.map(({ name, view }) => [name, { title: view.title, mount: (root, { live }) => mountPlugin(root, view, live) }]));
}

/** A heading, and below it what the plug-in shows. What goes wrong in its script is said there, and stays there. */
function mountPlugin(root, { title, script }, live) {
  const fault = h("p", { class: "notice", role: "alert", hidden: true });
  const element = h("div", { class: "plugin-view" });
  root.append(h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, title)), fault, element);
  const leaving = new AbortController();
  let view = null;

  /** Runs a part of the plug-in's script; its error is shown to the person and written to the console. */
  function guarded(work) {
    const failed = (error) => {
      if (leaving.signal.aborted) return;
      fault.textContent = `${title}: ${script} failed: ${error?.message ?? error}. The other views work. The plug-in's author can mend it; the browser's console has more.`;
      fault.hidden = false;
      console.error(`${script} failed`, error);
    };
    try {
      return Promise.resolve(work()).catch(failed);
    } catch (error) {
      failed(error);
      return Promise.resolve();
    }
  }

  async function start() {
    try {
      await request(script, { signal: leaving.signal }); // says why it cannot be had; a failed import() does not
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return; // goes on once signed in
      throw error;
    }
    const { show } = await import(script);
    if (leaving.signal.aborted) return;
    if (typeof show !== "function") throw new Error("it exports no function show(element, api)");
    view = (await show(element, pluginApi(live, leaving.signal, guarded))) ?? {};
    view.update?.(router.parameters);
  }

  session.addEventListener("opened", () => view ?? guarded(start), { signal: leaving.signal });
  guarded(start);
  return {
    update: (parameters) => guarded(() => view?.update?.(parameters)),
    remove() {
      guarded(() => view?.remove?.());
      leaving.abort();
    },
  };
}

/** What `show(element, api)` is given; docs/plugins.md describes it. Nothing of it outlives the view. */
function pluginApi(live, left, guarded) {
  return {
    get,
    send,
    h,
    svg,
    panel,
    table: createTable,
    format: { age, clockTime, count, duration, fullTime, plural },
    stale: staleNotice,
    refusal: createRefusal,
    announce,
    whileBusy,
    person,
    href: (changes) => router.href(changes),
    change: (changes) => router.change(changes),
    watch(path, show, { parameters = {}, events = [] } = {}) {
      const source = new Source(path, parameters, left);
      source.watch((value, problem) => guarded(() => show(value, problem)));
      const changed = ({ detail }) => detail.events.some(({ event }) => events.some((pattern) => fits(pattern, event.type))) && source.hint();
      live.addEventListener("batch", changed, { signal: left });
      return source;
    },
  };
}

/** A panel with its title, and in its head beside it the elements of `tools`. */
function panel(title, content, tools = []) {
  return h("section", { class: "panel", "aria-label": title }, h("header", { class: "panel-head" }, h("h2", {}, title), ...tools), ...content);
}

/** Whether a type fits a pattern such as `weather.*`. */
function fits(pattern, type) {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
