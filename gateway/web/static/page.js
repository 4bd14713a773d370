// What HTMX leaves to do: times that count, the state of the link, and what is said aloud. It decides nothing.
"use strict";

const KEPT_FIELDS = ["value", "checked", "selected", "open"];
let clockOffsetMs = 0;

const now = () => document.getElementById("now");

// A morph brings what the gateway says and leaves what the reader typed, ticked or opened.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(KEPT_FIELDS.includes(name) && ["INPUT", "SELECT", "OPTION", "DETAILS"].includes(node.nodeName));

function duration(seconds) {
  if (seconds < 120) return `${seconds}\u202fs`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}\u202fmin`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)}\u202fh` : `${Math.floor(seconds / 86400)}\u202fdays`;
}

function tick() {
  if (!now()) return;
  const windowMs = Number(now().dataset.window);
  for (const time of document.querySelectorAll("time.ago")) {
    const ageMs = Math.max(0, Date.now() + clockOffsetMs - Number(time.dataset.ms));
    const text = ageMs < 1000 ? "now" : `${duration(Math.floor(ageMs / 1000))} ago`;
    if (time.textContent !== text) time.textContent = text;
    time.classList.toggle("late", time.classList.contains("live") && ageMs > 2 * windowMs);
  }
}

function setLink(text, isLost) {
  const link = document.getElementById("link");
  if (!link) return;
  if (link.textContent !== text) link.textContent = text;
  link.classList.toggle("lost", isLost);
}

function synchronise() {
  if (!now()) return;
  clockOffsetMs = Number(now().dataset.now) - Date.now();
  tick();
  say(now().dataset.said);
}

document.addEventListener("htmx:afterSwap", () => {
  synchronise();
  document.dispatchEvent(new Event("shown"));
});
document.addEventListener("htmx:sseOpen", () => setLink("live", false));
for (const name of ["htmx:sseError", "htmx:sendError"]) {
  document.addEventListener(name, () => setLink("gateway not reached", true));
}
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (detail.xhr.status === 401) location.assign("/admin");
  else setLink("what this page showed is gone: reload it", true);
});

synchronise();
setInterval(tick, 1000);
