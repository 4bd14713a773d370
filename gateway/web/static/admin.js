// Sends the admin code, and goes on to the page that was asked for; the session's cookie is the server's to set.
"use strict";
const to = new URLSearchParams(location.search).get("to") ?? "/";
const wasLed = location.search !== "";
const asked = /^\/[\w.:-][\w.:/-]*$/.test(to) ? to : "/";  // a path of this server, never another's address
const told = document.getElementById("told");

// Who follows a link from a message or another site comes without the cookie (SameSite), though perhaps signed in.
const look = { method: "HEAD", headers: { Accept: "text/html" }, redirect: "manual" };
if (wasLed) fetch(asked, look).then((answer) => answer.ok && location.replace(asked), () => {});

document.getElementById("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ code: document.getElementById("code").value });
  try {
    const answer = await fetch("/admin", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (answer.ok) location.assign(asked);
    else told.textContent = (await answer.json()).message;
  } catch {
    told.textContent = "The gateway does not answer. Is it running?";
  }
});
