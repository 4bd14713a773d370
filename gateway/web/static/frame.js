// What every page has: the theme that this browser chose, applied before anything is drawn, and buttons that copy.
"use strict";

const THEMES = ["auto", "light", "dark"];

function chosenTheme() {
  try {
    return THEMES.includes(localStorage.theme) ? localStorage.theme : "auto";
  } catch {
    return "auto";  // storage is off
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function say(text) {
  const said = document.getElementById("said");
  if (said.textContent !== text) said.textContent = text;
}

document.documentElement.classList.add("js");
applyTheme(chosenTheme());

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.querySelector(".pages")?.addEventListener("focusin", ({ target }) => target.scrollIntoView({ block: "nearest", inline: "nearest" }));
  const button = document.getElementById("theme");
  const label = () => {
    const theme = document.documentElement.dataset.theme;
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
    button.setAttribute("aria-label", `Colours: ${theme}. Change them`);
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    applyTheme(next);
    try {
      localStorage.theme = next;
    } catch {
      // it holds for this page only
    }
    label();
  });
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("copied");
  say("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
});
