// The page of the chat: what was said, who is here, and the two forms.

import { Connection } from "./connection.js";
import { Log } from "./log.js";

const REPLACED = 4001;
const TRANSPORTS = [
  "websocket", "xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling",
];

const $ = (id) => document.getElementById(id);

// A browser may forbid storage: then the page asks again.
function stored(storage, key, value) {
  try {
    const area = window[storage];
    if (value === undefined) return area.getItem(key);
    if (value === null) area.removeItem(key);
    else area.setItem(key, value);
  } catch {
    // Remembering is a courtesy.
  }
  return null;
}

function random(bytes) {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}

// ?transport=xhr-polling limits the client, for those whose proxy harms the better ones.
function wantedTransports() {
  const query = new URLSearchParams(location.search).getAll("transport").join(",");
  return query.split(",").map((name) => name.trim()).filter((name) => TRANSPORTS.includes(name));
}

// The secret by which this tab gets its place back when it reconnects.
let token = stored("sessionStorage", "chat.token");
if (!token) {
  token = random(16);
  stored("sessionStorage", "chat.token", token);
}

// A reload joins again at once; another tab only has the name filled in.
let name = stored("sessionStorage", "chat.name");
let joined = false;
let wasOpen = false;
const people = new Set();
// What was sent and not heard back, by key; it is sent again after a reconnection.
const pending = new Map();
const log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });

// ---- the connection ------------------------------------------------------------------------

const connection = new Connection(document.body.dataset.endpoint, wantedTransports(), {
  onOpen(transport) {
    wasOpen = true;
    showStatus("open", "Connected", transport);
    if (name) request({ type: "join", name, token });
  },
  onMessage(text) {
    const event = JSON.parse(text);
    events[event.type]?.(event);
  },
  onLost() {
    joined = false;
    showStatus("lost", wasOpen ? "Reconnecting…" : "Connecting…", "", "Try now");
  },
  onStopped(code, reason) {
    joined = false;
    const why = code === REPLACED ? "You went on in another tab." : `Not connected: ${reason}.`;
    showStatus("stopped", why, "", code === REPLACED ? "Continue here" : "Try again");
  },
});

function request(object) {
  return connection.send(JSON.stringify(object));
}

const events = {
  welcome(event) {
    name = event.name;
    joined = true;
    stored("sessionStorage", "chat.name", name);
    stored("localStorage", "chat.name", name);
    log.me = name;
    people.clear();
    for (const person of event.people) people.add(person);
    showPeople();
    showRoom();
    log.quietly(() => event.history.forEach(addMessage));
    for (const [key, text] of pending) request({ type: "message", text, key });
  },
  message: addMessage,
  joined(event) {
    people.add(event.name);
    showPeople();
    log.note(event, "joined");
  },
  left(event) {
    people.delete(event.name);
    showPeople();
    log.note(event, "left");
  },
  error(event) {
    if (event.key && pending.delete(event.key)) {
      log.fail(event.key, event.text);
    } else if (!joined) {
      name = null;
      stored("sessionStorage", "chat.name", null);
      showForm(event.text);
    } else {
      log.note(event, event.text);
    }
  },
};

function addMessage(event) {
  if (event.key) pending.delete(event.key);
  log.message(event);
  $("empty").hidden = true;
  if (document.hidden) countUnread(unread + 1);
}

// ---- what is shown -------------------------------------------------------------------------

function showStatus(state, text, transport, again) {
  const status = $("status");
  status.dataset.state = state;
  if ($("status-text").textContent !== text) $("status-text").textContent = text;
  $("transport").textContent = transport;
  $("again").textContent = again ?? "";
  $("again").hidden = !again;
}

function showForm(error) {
  $("room").hidden = $("tools").hidden = true;
  $("enter").hidden = false;
  $("enter-button").disabled = false;
  $("name-error").textContent = error ?? "";
  $("name").setAttribute("aria-invalid", String(Boolean(error)));
  $("name").focus();
  $("name").select();
}

function showRoom() {
  if (!$("room").hidden) return;
  $("enter").hidden = true;
  $("room").hidden = $("tools").hidden = false;
  $("text").focus();
  log.toEnd();
}

function showPeople() {
  $("count").textContent = String(people.size);
  $("names").replaceChildren(
    ...[...people].sort((a, b) => a.localeCompare(b)).map((person) => {
      const item = document.createElement("li");
      item.dir = "auto";
      item.textContent = person === name ? `${person} (you)` : person;
      return item;
    }),
  );
}

let unread = 0;
function countUnread(count) {
  unread = count;
  document.title = count ? `(${count}) Chat` : "Chat";
}

// ---- what the user does --------------------------------------------------------------------

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("name").value.trim().replace(/\s+/g, " ");
  if (!wanted) {
    showForm("Please write a nickname.");
    return;
  }
  name = wanted;
  $("name-error").textContent = "";
  $("name").setAttribute("aria-invalid", "false");
  $("enter-button").disabled = true;
  request({ type: "join", name, token });
});

function say() {
  const field = $("text");
  const text = field.value.trim();
  if (!text) return;
  const key = random(12);
  pending.set(key, text);
  log.pending(key, name, text);
  $("empty").hidden = true;
  if (joined) request({ type: "message", text, key });
  field.value = "";
  fit();
  field.focus();
}

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});

$("text").addEventListener("keydown", (event) => {
  // While an input method composes, Enter takes its suggestion.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});

function fit() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
$("text").addEventListener("input", fit);

$("leave").addEventListener("click", () => {
  name = null;
  joined = false;
  stored("sessionStorage", "chat.name", null);
  pending.clear();
  log.clear();
  $("empty").hidden = false;
  $("people").open = false;
  showStatus("connecting", "Connecting…", "");
  showForm();
  connection.connect();
});

$("again").addEventListener("click", () => {
  showStatus("connecting", "Connecting…", "");
  connection.connect();
});

document.addEventListener("click", (event) => {
  if (!$("people").contains(event.target)) $("people").open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !$("people").open) return;
  $("people").open = false;
  $("people").querySelector("summary").focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) countUnread(0);
});

$("name").value = name ?? stored("localStorage", "chat.name") ?? "";
if (!name) showForm();
if (window.SockJS) connection.connect();
else showStatus("stopped", "The SockJS client did not load. Please reload the page.", "");
