// Sets the chosen theme before the page is painted. Runs in the head.
"use strict";
(() => {
  const root = document.documentElement;
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // Storage is forbidden: the system's theme it is.
  }
  if (!root.hasAttribute("data-fixed") && (chosen === "light" || chosen === "dark")) {
    root.dataset.theme = chosen;
  }
})();
