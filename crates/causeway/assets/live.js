// Keeps the page current. The server formats every figure; this script only inserts it.
"use strict";

const byId = (id) => document.getElementById(id);

// --- Theme ---

const themeButton = byId("theme");
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // Storage is blocked, so the choice lasts as long as the page.
  }
});

// --- Commands to copy ---

const showCopyButtons = (part) => {
  if (!navigator.clipboard) return;
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = false;
};
showCopyButtons(document);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

// --- Samples ---

const put = (sample) => {
  const live = byId("live");
  if (live && live.dataset.shape !== sample.shape) {
    // A source or destination appeared or disappeared.
    location.reload();
    return;
  }
  for (const element of document.querySelectorAll("[data-figure]")) {
    const text = sample.figures[element.dataset.figure];
    if (text !== undefined && element.textContent !== text) element.textContent = text;
  }
  for (const element of document.querySelectorAll("[data-mark]")) {
    const mark = sample.marks[element.dataset.mark];
    if (mark !== undefined && element.dataset.state !== mark) element.dataset.state = mark;
  }
  for (const element of document.querySelectorAll("[data-spark]")) {
    const spark = sample.sparks[element.dataset.spark];
    if (!spark) continue;
    element.querySelector(".line").setAttribute("d", spark.line);
    element.querySelector(".area").setAttribute("d", spark.area);
  }
  const attention = byId("attention");
  if (attention && attention.dataset.shown !== sample.attention) {
    // Only if it changed, because a screen reader reads it out, and somebody may be about to click.
    const isFirst = attention.dataset.shown === undefined;
    attention.dataset.shown = sample.attention;
    if (!isFirst || attention.innerHTML.trim() !== sample.attention.trim()) {
      attention.innerHTML = sample.attention;
      showCopyButtons(attention);
    }
  }
};

const link = byId("link");
const linkWords = byId("link-words");
const say = (state, words) => {
  if (link.dataset.state === state) return;
  link.dataset.state = state;
  linkWords.textContent = words;
};

// After this time without a sample the connection is dead, even if the browser shows it as open.
const SILENCE_MS = 6000;
const RETRY_MS = 2000;
let stream = null;
let silence = 0;
let retry = 0;

const close = () => {
  clearTimeout(silence);
  clearTimeout(retry);
  if (stream) stream.close();
  stream = null;
};
const again = () => {
  close();
  say("off", "not connected");
  retry = setTimeout(open, RETRY_MS);
};
const open = () => {
  close();
  stream = new EventSource("/live");
  silence = setTimeout(again, SILENCE_MS);
  stream.addEventListener("sample", (event) => {
    clearTimeout(silence);
    silence = setTimeout(again, SILENCE_MS);
    put(JSON.parse(event.data));
    say("on", "live");
  });
  stream.addEventListener("error", again);
};
// A hidden page closes its connection, because browsers open only a few per host.
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
open();
