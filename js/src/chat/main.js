// The page of the chat: puts its parts together.

import { ReconnectingSockJS } from "../reconnecting/index.js";
import { Composer } from "./composer.js";
import { Dialogs } from "./dialogs.js";
import { face, make, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Api } from "./http.js";
import { itemsOf } from "./items.js";
import { askBeforeLeaving } from "./leaving.js";
import { Log } from "./log.js";
import { MemberList } from "./members.js";
import { Notifier, titleOf } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Panel, TRANSPORTS, wanted } from "./panel.js";
import { Presence } from "./presence.js";
import { RoomList } from "./rooms.js";
import { Status } from "./status.js";
import { Memory } from "./storage.js";
import { Store } from "./store.js";
import { sentence, Typing } from "./typing.js";

const $ = (id) => document.getElementById(id);
const { endpoint, root, csrf, userId, userName, maxText, room: roomAtStart } = document.body.dataset;

const me = { id: Number(userId), name: userName };
const session = new Memory("sessionStorage", `chat.${me.id}`);
const local = new Memory("localStorage", `chat.${me.id}`);
const api = new Api(root, csrf);

// Messages that a screen reader is given at most at a time.
const ANNOUNCED = 3;

// ---- what is shown anew, once for all that happens at a time ---------------------------------

const stale = new Set();
let following = false;
let fresh = false;

function refresh(...parts) {
  if (!stale.size) queueMicrotask(show);
  for (const part of parts) stale.add(part);
}

function show() {
  const parts = new Set(stale);
  stale.clear();
  if (parts.has("rooms")) showRooms();
  if (parts.has("room")) showRoom();
  if (parts.has("members")) members.show(store.room?.members, (id) => presence.has(id));
  if (parts.has("typing")) setText($("typing"), sentence(typing.names(store.current)));
  if (parts.has("log")) showLog();
}

// ---- the connection --------------------------------------------------------------------------

let attempts = 0;
let rtt = null;
let pings = 0;
let ways = wanted(location.search);
if (!ways.length) ways = session.get("transports") ?? [];

const sock = new ReconnectingSockJS(endpoint, {
  transports: ways,
  ping: {
    message: () => JSON.stringify({ type: "ping", n: (pings += 1) }),
    isPong: (text) => text.includes('"pong"') && JSON.parse(text).type === "pong",
  },
  storage: session.area,
  storageKey: session.nameOf("outbox"),
  authorized: () => api.signedIn(),
});
const request = (object) => sock.send(JSON.stringify(object));

const store = new Store({
  me,
  ask: request,
  changed({ kind, room, message, fresh: isFresh }) {
    if (kind === "rooms") refresh("rooms", "room", "members", "log");
    else refresh("rooms");
    if (room?.id === store.current && kind !== "rooms") refresh("room", "members", "log");
    if (isFresh) heard(room, message);
  },
});
const outbox = new Outbox({
  sock, memory: session, me,
  changed() {
    refresh("log");
    askBeforeLeaving(outbox.waits);
  },
});
askBeforeLeaving(outbox.waits);
const presence = new Presence(() => refresh("rooms", "members"));
const typing = new Typing(
  (room) => request({ type: "typing", room }),
  (room) => room === store.current && refresh("typing"),
);
const status = new Status(
  { bar: $("status"), text: $("status-text"), again: $("again"), signIn: $("sign-in-again") },
  (troubled) => { outbox.connected = !troubled; },
);

function receive(event) {
  switch (event.type) {
    case "welcome":
      welcome(event);
      return;
    case "presence":
      presence.tell(event.user.id, event.online);
      return;
    case "typing":
      if (event.user.id !== me.id) typing.started(event.room, event.user);
      return;
    case "error":
      if (!outbox.refuse(event)) store.apply(event);
      // The room of the last visit may be gone: nobody asked for it.
      if (store.refusal && roomOf(location) === null) goHome();
      return;
    case "message":
      typing.stopped(event.room, event.author.id);
      outbox.settle(event);
      break;
    case "history":
    case "since":
      event.messages.forEach((message) => outbox.settle(message));
  }
  store.apply(event);
}

function welcome(event) {
  // Somebody else signed in meanwhile: what this page holds is not theirs to send.
  if (event.user.id !== me.id) {
    location.reload();
    return;
  }
  presence.welcome(event.online);
  store.apply(event);
  if (store.current === null) goHome();
  status.show("open");
  sock.resume();
}

sock.addEventListener("connecting", () => {
  attempts += 1;
  if (status.state === "offline") status.show("lost");
  else if (status.state !== "lost") status.show("connecting");
  showConnection();
});
sock.addEventListener("open", ({ detail }) => {
  attempts = detail?.attempts ?? attempts;
  rtt = null;
  showConnection();
});
sock.addEventListener("message", ({ detail }) => receive(JSON.parse(detail)));
sock.addEventListener("rtt", ({ detail }) => {
  rtt = detail;
  showConnection();
});
sock.addEventListener("lost", () => {
  gone();
  status.show(navigator.onLine === false ? "offline" : "lost");
});
sock.addEventListener("stopped", ({ detail }) => {
  gone();
  status.show("stopped", detail);
});

function gone() {
  // Nothing goes out until the server has welcomed the next connection.
  sock.pause();
  store.lost();
  rtt = null;
  showConnection();
}

function showConnection() {
  panel.show({ transport: sock.transport ?? null, rtt, attempts });
}

$("again").addEventListener("click", () => sock.connect());
$("sign-in-again").addEventListener("click", () => {
  const next = new URLSearchParams({ next: location.pathname });
  $("sign-in-again").href = `${$("sign-in-again").pathname}?${next}`;
});

for (const [name, label] of Object.entries(TRANSPORTS)) {
  $("force").append(make("option", { value: name }, label));
}
const panel = new Panel({
  button: $("connection"), panel: $("connection-panel"), label: $("connection-label"),
  transport: $("transport"), rtt: $("rtt"), attempts: $("attempts"),
  force: $("force"), apply: $("force-apply"),
}, (transports) => {
  session.set("transports", transports.length ? transports : null);
  // From now on the choice made here counts, not that of the address.
  const url = new URL(location.href);
  url.searchParams.delete("transport");
  history.replaceState(history.state, "", url);
  attempts = 0;
  sock.transports = transports;
  sock.reconnect();
});
panel.forced = ways.length === 1 ? ways[0] : null;

// ---- rooms -----------------------------------------------------------------------------------

// The visit of a room: up to which message all was read when it began (undefined: not known yet).
let mark;

const addressOf = (id) => `${root}rooms/${id}`;

function roomOf({ pathname }) {
  const match = /\/rooms\/(\d+)\/?$/.exec(pathname);
  return match ? Number(match[1]) : null;
}

function enter(id) {
  const before = store.room;
  if (store.current !== id) {
    if (store.current !== null) {
      const bye = before?.member ? undefined : JSON.stringify({ type: "close", room: store.current });
      sock.unsubscribe(`room ${store.current}`, bye);
    }
    mark = undefined;
    store.select(id);
    if (id !== null) sock.subscribe(`room ${id}`, JSON.stringify({ type: "open", room: id }));
  }
  if (id !== null) {
    local.set("room", id);
    composer.enter(id);
    // An address that names no room leads back to the one that was shown there.
    if (roomOf(location) === null) history.replaceState({ room: id }, "");
  }
  $("room-menu").open = false;
  sidebar.hide();
  refresh("rooms", "room", "members", "typing", "log");
}

function go(id) {
  if (id !== roomOf(location)) history.pushState(null, "", addressOf(id) + location.search);
  enter(id);
  focusField();
}

// The room of an address that names none: the last one, else the first.
function goHome() {
  const mine = [...store.rooms.values()].filter((room) => room.member);
  const last = mine.find((room) => room.id === local.get("room"));
  const first = mine.find((room) => room.kind === "public") ?? mine[0];
  enter((last ?? first)?.id ?? null);
}

function focusField() {
  // On a phone the keyboard would cover half of what one came to read.
  if (!$("say").hidden && !matchMedia("(pointer: coarse)").matches) composer.focus();
}

addEventListener("popstate", ({ state }) => {
  const id = roomOf(location) ?? state?.room ?? null;
  if (id === null) goHome();
  else enter(id);
});

const rooms = new RoomList($("rooms"), { rooms: $("room-list"), direct: $("direct-list") }, addressOf, go);

function showRooms() {
  const listed = [...store.rooms.values()].filter((room) => room.member || room.id === store.current);
  rooms.show(listed, {
    current: store.current,
    unread: (id) => store.unread(id),
    isOnline: (id) => presence.has(id),
  });
  const unread = store.allUnread;
  document.title = titleOf(unread, store.room?.name);
  const elsewhere = unread - store.unread(store.current);
  $("rooms-badge").hidden = elsewhere === 0;
  setText($("rooms-badge"), elsewhere > 9 ? "9+" : String(elsewhere));
  $("rooms-toggle").setAttribute("aria-label", elsewhere ? `Rooms, ${elsewhere} unread` : "Rooms");
}

function showRoom() {
  const { room, refusal, ready, current } = store;
  const can = (what) => room?.can.includes(what) ?? false;
  setText($("room-name"), room?.name ?? "Chat");
  setText($("room-topic"), room?.topic ?? "");
  $("room-topic").title = room?.topic ?? "";
  $("scroller").setAttribute("aria-label", room ? `Messages in ${room.name}` : "Messages");
  $("join-room").hidden = !room || room.member || !can("join");
  $("edit-room").hidden = !can("topic") && !can("rename");
  $("invite").hidden = !can("invite");
  $("leave-room").hidden = !can("leave");
  $("room-menu").hidden = !room?.member
    || !["edit-room", "invite", "leave-room"].some((id) => !$(id).hidden);
  $("members-toggle").hidden = !room;
  // One can write before the server has told of the room: it waits in the outbox.
  $("say").hidden = current === null || Boolean(refusal) || (room !== null && !can("post"));
  $("preview").hidden = !room || room.member;
  $("refused").hidden = !refusal;
  setText($("refused-text"), refusal ?? "");
  $("nowhere").hidden = !ready || current !== null;
  if ($("say").hidden) composer.cancel();
}

// ---- the conversation ------------------------------------------------------------------------

const log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });

function showLog() {
  const { room, current } = store;
  const entries = current === null ? [] : outbox.entriesOf(current);
  const loaded = room?.timeline.loaded ?? false;
  const entered = loaded && mark === undefined;
  if (entered) mark = store.unread(current) > 0 ? room.read : null;
  $("history-loading").hidden = !room || (loaded && !(room.asked.history && room.timeline.more));
  $("beginning").hidden = !loaded || room.timeline.more || room.timeline.size === 0;
  setText($("beginning"), room?.kind === "direct"
    ? `Your conversation with ${room.name} begins here.` : `${room?.name ?? ""} begins here.`);
  $("empty").hidden = !loaded || room.timeline.size > 0 || entries.length > 0;
  if (current === null) {
    log.clear();
    return;
  }
  // Where the new messages begin is known when the last read one is.
  const { timeline } = room ?? {};
  const begun = loaded && mark !== null && (!timeline.more || timeline.oldest?.number <= mark);
  const items = itemsOf({
    messages: timeline?.messages ?? [], entries, me, mark: begun ? mark : null,
    mayPost: room?.can.includes("post") ?? false,
  });
  log.show(current, items, { follow: following, fresh, toMark: entered && begun });
  following = fresh = false;
  read();
}

function read() {
  if (document.hidden || !log.followed || store.current === null) return;
  store.trim(store.current);
  store.readAll(store.current);
}

// Somebody said something.
function heard(room, message) {
  if (room.member) notifier.tell(message, room);
  if (room.id !== store.current) return;
  fresh = true;
  if (document.hidden) {
    mark ??= room.read;
    return;
  }
  const announced = make("p", {}, `${message.author.name}: ${message.text}`);
  $("announcer").append(announced);
  if ($("announcer").children.length > ANNOUNCED) $("announcer").firstElementChild.remove();
}

log.addEventListener("top", () => store.older(store.current));
log.addEventListener("end", read);
log.addEventListener("edit", ({ detail: { number } }) => edit(number));
log.addEventListener("delete", ({ detail: { number } }) => {
  const { current } = store;
  const message = store.room?.timeline.get(number);
  if (!message) return;
  dialogs.confirmDelete(message.text, () => outbox.remove(current, number));
});
log.addEventListener("retry", ({ detail: { key } }) => outbox.retry(key));
log.addEventListener("discard", ({ detail: { key } }) => outbox.discard(key));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh("log", "rooms");
});

// ---- writing ---------------------------------------------------------------------------------

const composer = new Composer({
  form: $("say"), field: $("text"), submit: $("send"), counter: $("counter"),
  editing: $("editing"), cancel: $("cancel-edit"),
}, session, Number(maxText));

function edit(number) {
  const message = store.room?.timeline.get(number);
  if (message && !message.deleted) composer.edit(message);
}

composer.addEventListener("say", ({ detail: { text } }) => {
  mark = null;
  following = true;
  typing.said(store.current);
  outbox.say(store.current, text);
});
composer.addEventListener("change", ({ detail: { number, text } }) => {
  if (store.room?.timeline.get(number)?.text !== text) outbox.edit(store.current, number, text);
});
composer.addEventListener("typing", () => {
  if (store.ready && composer.edited === null) typing.typed(store.current);
});
composer.addEventListener("last", () => {
  const message = store.lastOwn(store.current);
  if (message) edit(message.number);
});

// ---- what stands around it -------------------------------------------------------------------

const dialogs = new Dialogs(api, go);
const members = new MemberList({ list: $("members"), count: $("members-count") }, me, async (name) => {
  try {
    const room = await api.post("direct", { name });
    people.hide();
    go(room.id);
  } catch (error) {
    setText($("members-error"), error.message);
  }
});
const notifier = new Notifier($("notify"), local, go);
const sidebar = new Drawer({
  panel: $("sidebar"), toggle: $("rooms-toggle"), close: $("sidebar-close"), shade: $("shade"),
  main: document.querySelector("main"),
}, { beside: "(min-width: 48rem)", always: true });
const people = new Drawer({
  panel: $("members-panel"), toggle: $("members-toggle"), close: $("members-close"),
  shade: $("members-shade"), main: document.querySelector("main"),
}, { beside: "(min-width: 75rem)", always: false, memory: local });

$("my-face").append(face(me.name));
for (const id of ["new-room", "nowhere-new"]) $(id).addEventListener("click", () => dialogs.newRoom());
for (const id of ["browse-rooms", "nowhere-browse", "refused-browse"]) {
  $(id).addEventListener("click", () => dialogs.browse());
}
$("new-direct").addEventListener("click", () => dialogs.newDirect());
$("join-room").addEventListener("click", async () => {
  const { current } = store;
  $("join-room").disabled = true;
  try {
    await api.post(`rooms/${current}/join`);
    focusField();
  } catch (error) {
    setText($("preview"), error.message);
  } finally {
    $("join-room").disabled = false;
  }
});
$("room-menu").addEventListener("click", (event) => {
  const action = {
    "edit-room": () => dialogs.editRoom(store.room),
    "invite": () => dialogs.invite(store.room),
    "leave-room": () => dialogs.leave(store.room, () => goHomeFrom(store.current)),
  }[event.target.id];
  if (!action || !store.room) return;
  $("room-menu").open = false;
  // The dialog gives the focus back to where it was: not to a button that is gone.
  $("room-menu").querySelector("summary").focus();
  action();
});

function goHomeFrom(left) {
  local.set("room", null);
  const other = [...store.rooms.values()].find((room) => room.member && room.id !== left);
  if (other) go(other.id);
}

document.addEventListener("click", (event) => {
  if (!$("room-menu").contains(event.target)) $("room-menu").open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("room-menu").open) {
    $("room-menu").open = false;
    $("room-menu").querySelector("summary").focus();
  }
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || !event.altKey || event.ctrlKey || event.metaKey) return;
  const next = rooms.neighbour(step);
  if (next === null) return;
  event.preventDefault();
  go(next);
});

// ---- signing out -----------------------------------------------------------------------------

addEventListener("pageshow", async ({ persisted }) => {
  // "Back" after signing out shows the page as it was left.
  if (persisted && !(await api.signedIn())) location.reload();
});

// ---- the start -------------------------------------------------------------------------------

const first = roomAtStart ? Number(roomAtStart) : local.get("room");
if (first !== null) enter(first);
refresh("rooms", "room", "log");
focusField();
sock.pause();
sock.connect();
