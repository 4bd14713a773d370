// What is done with the devices that are ticked. The gateway refuses what cannot be; here it is asked and told.
"use strict";

const BLINK_S = 15;
const ticked = () => [...document.querySelectorAll('input[name="device"]:checked')].map((box) => box.value);
const told = (text) => {
  document.querySelector("#actions .told").textContent = text;
};

function showActions() {
  const actions = document.getElementById("actions");
  if (!actions) return;
  const boxes = document.querySelectorAll('input[name="device"]'), count = ticked().length;
  actions.hidden = count === 0;
  actions.querySelector("[data-count]").textContent = count;
  const all = document.getElementById("all");
  if (!all) return;
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (answer.ok) return answer;
  const { message } = await answer.json().catch(() => ({ message: `the gateway answered ${answer.status}` }));
  throw Object.assign(new Error(message), { status: answer.status });
}

async function identify(devices) {
  for (const device of devices) await post("/binding/identify", { device, seconds: BLINK_S });
  told(`${devices.length} asked: their lights blink, and their consoles say so.`);
}

async function rename(devices) {
  const name = document.querySelector('#actions input[name="name"]').value;
  await post("/fleet/names", { devices, name });
  told(name ? `${devices.length} named.` : `${devices.length} without a name now.`);
}

async function labels(devices, replace = false) {
  try {
    const answer = await post("/fleet/labels", { devices, replace });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = "labels.pdf";
    link.click();
    URL.revokeObjectURL(link.href);
    told(`${devices.length} labels are in labels.pdf. Their codes are shown once: keep it as you keep a key.`);
  } catch (error) {
    if (error.status !== 409 || replace || !confirm(`${error.message}\n\nDraw new labels and void the old ones?`)) throw error;
    await labels(devices, true);
  }
}

async function rollout(devices) {
  await navigator.clipboard.writeText(`[target]\ndevices = ${JSON.stringify(devices)}\n`);
  told("The target of a job is copied. Put it into the job's file, then: tinyren job apply job.toml");
}

const DOES = { identify, rename, labels, rollout };

document.addEventListener("change", (event) => {
  if (event.target.id === "all") {
    for (const box of document.querySelectorAll('input[name="device"]')) box.checked = event.target.checked;
  }
  showActions();
});
document.addEventListener("shown", showActions);
document.addEventListener("submit", (event) => {
  if (event.target.id !== "bulk") return;
  event.preventDefault();
  document.querySelector('[data-do="rename"]').click();
});
document.addEventListener("click", async (event) => {
  const button = event.target.closest("#actions [data-do]");
  if (!button) return;
  button.disabled = true;
  told("");
  try {
    await DOES[button.dataset.do](ticked());
  } catch (error) {
    told(error.message);
  } finally {
    button.disabled = false;
  }
});
showActions();
