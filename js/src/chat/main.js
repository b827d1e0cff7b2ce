// The page of the chat: puts its parts together.

import { Connection } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { $, face, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { eventTable, receive } from "./events.js";
import { Api, messageOf } from "./http.js";
import { askBeforeLeaving } from "./leaving.js";
import { LogView } from "./log-view.js";
import { MemberList } from "./members.js";
import { Navigation } from "./navigation.js";
import { Notifier } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { refresher } from "./refresh.js";
import { RoomView } from "./room-view.js";
import { Memory } from "./storage.js";
import { Store } from "./store.js";
import { sentence, Typing } from "./typing.js";
import { Uploads } from "./uploads.js";
import { Writing } from "./writing.js";

/** @import { Message } from "./protocol.js" */
/** @import { Room } from "./room.js" */

const page = /** @type {{ [name: string]: string }} */ (document.body.dataset);

const me = { id: Number(page.userId), name: page.userName };
const session = new Memory("sessionStorage", `chat.${me.id}`);
const local = new Memory("localStorage", `chat.${me.id}`);
const api = new Api(page.root, page.csrf);

const refresh = refresher({
  rooms: () => roomView.showList(),
  room: () => roomView.show(),
  members: () => members.show(store.room?.members ?? null, (id) => presence.has(id)),
  typing: () => setText($("typing"), sentence(typing.names(store.current))),
  log: () => logView.show(),
  files: () => writing.showFiles(),
});

// ---- what is known, and the connection by which it comes -------------------------------------

const connection = new Connection({
  endpoint: page.endpoint, session,
  received: (text) => receive(events, JSON.parse(text)),
  missed: (name) => store.missed(Number(name.replace("room-", ""))),
  lost() {
    store.lost();
    outbox.lost();
  },
  troubled(troubled) {
    outbox.connected = !troubled;
    if (uploads) uploads.connected = !troubled;
  },
});
const store = new Store({
  me,
  ask: (request) => connection.request(request),
  changed(what) {
    refresh("rooms");
    if (what.kind === "message") {
      if (what.room.id === store.current) refresh("log");
      if (what.fresh) heard(what.room, what.message);
    } else if (what.kind === "rooms" || (what.kind === "room" && what.room.id === store.current)) {
      refresh("room", "members", "log");
    }
  },
});
const outbox = new Outbox({
  sock: connection.sock, memory: session, me,
  changed() {
    refresh("log");
    askBeforeLeaving(waits());
  },
});
const uploads = page.maxFile ? new Uploads({
  send: (path, body, progress) => api.upload(path, body, progress),
  discard: (path) => api.post(path),
  most: Number(page.maxFile),
  changed() {
    refresh("files");
    askBeforeLeaving(waits());
  },
  complete: (room) => writing.complete(room),
}) : null;
const waits = () => outbox.waits || Boolean(uploads?.waits);
askBeforeLeaving(waits());
const presence = new Presence(() => refresh("rooms", "members"));
const typing = new Typing(
  (room) => connection.request({ type: "typing", room }),
  (room) => room === store.current && refresh("typing"),
);
const events = eventTable({
  me, store, outbox, presence, typing,
  stranger: () => location.reload(),
  welcomed() {
    if (store.current === null) navigation.goHome();
    connection.welcomed();
    outbox.welcomed();
  },
  renamed({ id, name }) {
    if (id === me.id) {
      me.name = name;
      showMe();
    }
    refresh("rooms", "room", "members", "log");
  },
  refused: () => navigation.refused(),
});

// ---- what is shown of it ---------------------------------------------------------------------

const navigation = new Navigation({
  root: page.root, store, connection, memory: local,
  entered(isOther) {
    if (isOther) logView.enter();
    if (store.current !== null) writing.enter(store.current);
    roomView.enter();
    sidebar.hide();
    refresh("rooms", "room", "members", "typing", "log", "files");
  },
  chosen: () => writing.focus(),
});
/** @param {number} id */
const go = (id) => navigation.go(id);
const dialogs = new Dialogs(api, go);
const writing = new Writing({
  store, outbox, typing, uploads, memory: session, most: Number(page.maxText),
  target: document.body,
  said: () => logView.follow(),
});
const logView = new LogView({
  me, store, outbox,
  edit: (number) => writing.edit(number),
  confirmDelete: (message, confirmed) => dialogs.confirmDelete(message, me, confirmed),
});
const roomView = new RoomView({ store, presence, navigation, writing, api, dialogs, go });
const members = new MemberList({ list: $("members"), count: $("members-count") }, me, writeTo);
const notifier = new Notifier($("notify"), local, go);
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const sidebar = new Drawer({
  panel: $("sidebar"), toggle: $("rooms-toggle"), close: $("sidebar-close"), shade: $("shade"),
  main,
}, { beside: "(min-width: 48rem)", always: true });
const people = new Drawer({
  panel: $("members-panel"), toggle: $("members-toggle"), close: $("members-close"),
  shade: $("members-shade"), main,
}, { beside: "(min-width: 75rem)", always: false, memory: local });

/**
 * Somebody else said something just now.
 *
 * @param {Room} room
 * @param {Message} message
 */
function heard(room, message) {
  if (room.member) notifier.tell(message, room);
  if (room.id === store.current) logView.heard(room, message);
}

/**
 * Opens a conversation with one person.
 *
 * @param {string} name
 */
async function writeTo(name) {
  try {
    const room = await api.post("direct", { name });
    people.hide();
    go(room.id);
  } catch (error) {
    setText($("members-error"), messageOf(error));
  }
}

function showMe() {
  setText($("me"), me.name);
  $("my-face").replaceChildren(face(me.name));
}

showMe();
for (const button of [$("new-room"), $("nowhere-new")]) {
  button.addEventListener("click", () => dialogs.newRoom());
}
for (const button of [$("browse-rooms"), $("nowhere-browse"), $("refused-browse")]) {
  button.addEventListener("click", () => dialogs.browse());
}
$("new-direct").addEventListener("click", () => dialogs.newDirect());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh("log", "rooms");
});
addEventListener("pageshow", async ({ persisted }) => {
  // "Back" after signing out shows the page as it was left.
  if (persisted && !(await api.signedIn())) location.reload();
});

$("sign-out-form").addEventListener("submit", () => {
  // When the page goes the client leaves something to the next one: that is not for who comes then.
  addEventListener("pagehide", () => session.area?.clear());
});

navigation.start(page.room ? Number(page.room) : null);
refresh("rooms", "room", "log");
writing.focus();
connection.start();
