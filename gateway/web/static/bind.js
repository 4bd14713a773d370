// Binds a device by its label and an injected wallet (EIP-1193). It holds no key, and what it is refused it shows.
"use strict";

const part = (id) => document.getElementById(id);
const SCAN_MS = 60_000;
const LABEL = /^TR:|^https?:\/\/[^/]+\/B\//i;  // a label, alone or as a URL: the gateway reads it
const NEAR = ["127.0.0.1", "localhost", "[::1]"];  // from elsewhere a wallet, which has no session, gets nothing of /rpc
let found = null;

function say(text, kind = "") {
  part("told").hidden = false;
  part("told").className = `card ${kind}`;
  part("told").textContent = text;
}

async function post(name, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`/binding/${name}`, { method: "POST", headers, body: JSON.stringify(body) });
  const told = await answer.json().catch(() => ({ message: `the gateway answered ${answer.status}` }));
  if (!answer.ok) throw new Error(told.message);
  return told;
}

// Runs one step with the buttons off; what goes wrong is shown, and the step may be tried again.
async function step(doing, run) {
  const buttons = document.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  say(doing);
  try {
    await run();
  } catch (error) {
    const refused = error && error.code === 4001;  // EIP-1193: the user said no
    say(refused ? "You refused to sign: nothing was bound, and the label is still good." : String(error.message || error), "bad");
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

async function find() {
  part("bind").hidden = true;
  found = await post("find", { label: part("label").value.trim() });
  part("device").textContent = found.device;
  part("board").textContent = found.board;
  part("show").hidden = !found.is_here;
  part("here").textContent = found.is_here ? "It has been heard here." : "It has not been heard here yet: switch it on.";
  part("bind").hidden = false;
  say("The label is good.");
  part("deed").focus();
}

async function bind() {
  if (!window.ethereum) throw new Error("There is no wallet in this browser: open this page in your wallet's own browser. "
    + "If that asks for the admin code, `tinyren gateway admin-code` makes another one.");
  const accounts = await window.ethereum.request({ method: "eth_requestAccounts" });
  const typed = await post("ask", { token: found.token, deed: Number(part("deed").value) });
  const owner = typed.message.owner;
  const account = accounts.find((address) => address.toLowerCase() === owner.toLowerCase());
  if (!account) throw new Error(`This deed is ${owner}'s: choose that account in the wallet.`);
  const chain = Number(await window.ethereum.request({ method: "eth_chainId" })), wanted = typed.domain.chainId;
  if (chain !== wanted) {
    const added = NEAR.includes(location.hostname) ? `a new one has the RPC address ${location.origin}/rpc`
      : "one that it does not know and cannot add: on the gateway, tinyren bind does the same by a key file";
    throw new Error(`The wallet is on chain ${chain}, this gateway on chain ${wanted}: choose that network in the wallet `
      + `(${added}), then press the button again.`);
  }
  const signature = await window.ethereum.request({
    method: "eth_signTypedData_v4", params: [account, JSON.stringify(typed)],
  });
  say("Signed. Now the device signs…");
  const done = await post("sign", { token: found.token, signature });
  part("find").hidden = part("bind").hidden = true;
  say(`${done.device}\nis bound to deed ${done.deed}. Its label is used up.`, "good");
}

async function show() {
  await post("show", { token: found.token });
  say("It blinks for 10 seconds, if it has a light.", "good");
}

async function scan() {
  const camera = part("camera");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  try {
    camera.srcObject = stream;
    camera.hidden = false;
    await camera.play();
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    const end = performance.now() + SCAN_MS;
    let text = "";
    while (!LABEL.test(text)) {
      if (performance.now() > end) throw new Error("The camera saw no label: type the code beside it.");
      await new Promise(requestAnimationFrame);
      text = (await detector.detect(camera))[0]?.rawValue ?? "";
    }
    part("label").value = text;
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    camera.hidden = true;
  }
  await find();
}

if (part("label").value) say("The label's code is filled in: find the device by it.");
part("scan").hidden = !("BarcodeDetector" in window && navigator.mediaDevices);
part("scan").addEventListener("click", () => step("Hold the label before the camera.", scan));
part("find").addEventListener("submit", (event) => {
  event.preventDefault();
  step("Looking for the device…", find);
});
part("show").addEventListener("click", () => step("Asking the device to blink…", show));
part("bind").addEventListener("submit", (event) => {
  event.preventDefault();
  step("Waiting for your wallet…", bind);
});
