import { copy } from './copy.js';
import { BayeuxClient } from './small-client.js';
import { DEMOS, endpoint as url, nav } from './shell.js';

const channel = "/chat/demo";

const STATES = { connecting: "connecting", connected: "connected", away: "not connected, trying again", stopped: "stopped" };
const PEOPLE = ["Matilda", "Odo"];
const MOST_MESSAGES = 200;

/** Adds one event to a log. Anyone may publish anything: all of it is text, never markup. */
function show(log, me, data) {
  const isChat = [data?.from, data?.text].every((part) => typeof part === "string" && part.trim());
  const isMine = isChat && data.from === me;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const from = document.createElement("span");
  from.className = isChat && PEOPLE.includes(data.from) ? `from ${data.from.toLowerCase()}` : "from";
  from.textContent = isChat ? data.from : "somebody’s data";
  const text = document.createElement("span");
  text.className = isChat ? "text" : "json";
  text.textContent = isChat ? data.text : JSON.stringify(data);
  const message = document.createElement("div");
  message.className = isMine ? "message mine" : "message";
  message.append(from, text);
  log.append(message);
  if (log.childElementCount > MOST_MESSAGES) log.firstElementChild.remove();
  if (isAtEnd || isMine) log.scrollTop = log.scrollHeight;
}

/** Opens a person's window, with a session of its own; over once that has begun, or has not at first. */
function openWindow(name) {
  const view = document.querySelector("template").content.firstElementChild.cloneNode(true);
  const [title, state, log, input, button, problem] = ["h2", ".state", ".log", "input", "button", ".problem"].map((part) => view.querySelector(part));
  view.classList.add(name.toLowerCase());
  view.setAttribute("aria-label", `${name}’s window`);
  title.textContent = name;
  log.setAttribute("aria-label", `What ${name} sees`);
  input.setAttribute("aria-label", `Message from ${name}`);
  button.setAttribute("aria-label", `Send as ${name}`);
  document.querySelector("main").append(view);

  const { promise: begun, resolve } = Promise.withResolvers();
  const client = new BayeuxClient(url, (now) => {
    state.className = `state ${now}`;
    state.textContent = STATES[now];
    button.disabled = now !== "connected";
    if (now !== "connecting") resolve();
  });
  client.listen(channel, (data) => show(log, name, data));
  view.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    problem.textContent = "";
    try {
      await client.publish(channel, { from: name, text });
    } catch (error) {
      input.value ||= text;
      problem.textContent = `Perhaps not sent (${error.message}).`;
    }
  });
  addEventListener("pagehide", () => client.disconnect());
  client.run();
  return begun;
}

nav();
for (const [path, name, text] of DEMOS) {
  const card = document.createElement("li");
  card.innerHTML = '<a class="card"><strong></strong><span></span></a>';
  card.querySelector("a").href = path;
  card.querySelector("strong").textContent = name;
  card.querySelector("span").textContent = text;
  document.querySelector(".cards").append(card);
}

// One after the other: handshakes at once would each get a cookie, of which the browser keeps one.
(async () => {
  for (const name of PEOPLE) await openWindow(name);
})();
// A page that the browser kept and shows again has no sessions any more.
addEventListener("pageshow", (event) => event.persisted && location.reload());

const address = location.origin + url;
const curl = document.querySelector("#curl");
curl.textContent = `ID=$(curl -s ${address} -d '{"channel":"/meta/handshake","version":"1.0"}' | grep -o '"clientId":"[^"]*"')
curl -s ${address} -d '{"channel":"/chat/demo","data":{"from":"curl","text":"hello"},'$ID'}'`;
document.querySelector("#copy").addEventListener("click", ({ target }) => copy(curl, target));
