// Keeps the page in step with /events: changes only the nodes that differ, so that focus and selection stay.
"use strict";

const live = document.getElementById("live");
const link = document.getElementById("link");
const said = document.getElementById("said");
const RETRY_MS = 5000;
let clockOffsetMs = 0;

function matchAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function match(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  matchAttributes(old, fresh);
  matchChildren(old, fresh);
}

function matchChildren(old, fresh) {
  const before = [...old.childNodes], after = [...fresh.childNodes];
  after.forEach((node, index) => (index < before.length ? match(before[index], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
}

function ago(seconds) {
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

function tick() {
  const now = Date.now() + clockOffsetMs;
  const windowMs = Number(document.getElementById("now").dataset.window);
  for (const time of document.querySelectorAll("time.ago")) {
    const ageMs = Math.max(0, now - Number(time.dataset.ms));
    const text = ago(Math.floor(ageMs / 1000));
    if (time.textContent !== text) time.textContent = text;
    time.classList.toggle("late", ageMs > 2 * windowMs && !time.classList.contains("past"));
  }
}

function say() {
  const text = document.getElementById("now").dataset.said;
  if (said.textContent !== text) said.textContent = text;
}

function show({ now_ms, html }) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  matchChildren(live, fresh.content);
  clockOffsetMs = now_ms - Date.now();
  tick();
  say();
}

function setLink(text, lost) {
  if (link.textContent !== text) link.textContent = text;
  link.classList.toggle("lost", lost);
}

function listen() {
  const events = new EventSource("/events");
  events.onopen = () => setLink("live", false);
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    setLink("gateway not reached", true);
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  };
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("copied");
  said.textContent = "copied";
  setTimeout(() => button.classList.remove("copied"), 1200);
});

clockOffsetMs = Number(document.getElementById("now").dataset.now) - Date.now();
tick();
setInterval(tick, 1000);
listen();
