// Light or dark: the system's choice, or the person's once they made one. A plain script, so that the first paint is right.
(() => {
  const KEY = "brain.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function current() {
    let chosen = null;
    try {
      chosen = localStorage.getItem(KEY);
    } catch {
      // Storage is switched off: the system's choice it is.
    }
    return chosen === "light" || chosen === "dark" ? chosen : system.matches ? "dark" : "light";
  }

  function apply() {
    const theme = current();
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    const other = theme === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to the ${other} theme`);
    button.title = button.getAttribute("aria-label");
  }

  function toggle() {
    const other = current() === "dark" ? "light" : "dark";
    try {
      // Back to what the system says means no choice of one's own.
      if ((other === "dark") === system.matches) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, other);
      apply();
    } catch {
      root.dataset.theme = other;
    }
  }

  apply();
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", toggle);
    apply();
  });
})();
