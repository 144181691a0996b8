// Sets the chosen theme before the page is painted. Runs in the head.
"use strict";
(() => {
  const root = document.documentElement;
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // Storage is blocked, so the system's theme applies.
  }
  if (!root.hasAttribute("data-fixed") && (chosen === "light" || chosen === "dark")) {
    root.dataset.theme = chosen;
  }
})();
