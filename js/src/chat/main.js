// The page of the chat: puts its parts together.

import { Completion } from "./completion.js";
import { Connection } from "./connection.js";
import { Context } from "./context.js";
import { Dialogs } from "./dialogs.js";
import { $, face, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { eventTable, receive } from "./events.js";
import { wordsOf } from "./files.js";
import { Api, messageOf } from "./http.js";
import { InvitationDialog } from "./invitations.js";
import { askBeforeLeaving } from "./leaving.js";
import { LogView } from "./log-view.js";
import { plain, whenReady } from "./markdown.js";
import { MemberList } from "./members.js";
import { MentionList } from "./mention-list.js";
import { Mentions } from "./mentions.js";
import { Navigation } from "./navigation.js";
import { copy } from "./note.js";
import { Notifier } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { EmojiDialog } from "./reaction-view.js";
import { refresher } from "./refresh.js";
import { RoomView } from "./room-view.js";
import { Search } from "./search.js";
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
  log() {
    logView.show();
    writing.showReply();
  },
  files: () => writing.showFiles(),
});
whenReady(() => refresh("log"));

// ---- what is known, and the connection by which it comes -------------------------------------

const connection = new Connection({
  endpoint: page.endpoint, session,
  received: (text) => receive(events, JSON.parse(text)),
  missed(name) {
    store.missed(Number(name.replace("room-", "")));
    context.reload();
  },
  lost() {
    store.lost();
    context.lost();
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
const context = new Context({
  store,
  ask: (request) => connection.request(request),
  changed: () => refresh("log"),
  place: () => logView.place,
});
const mentions = new Mentions(me, store);
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
  me, store, mentions, outbox, presence, typing, context,
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
  muted: () => refresh("rooms", "room"),
  refused: () => navigation.refused(),
});

// ---- what is shown of it ---------------------------------------------------------------------

const navigation = new Navigation({
  root: page.root, store, connection, memory: local, context,
  entered(isOther) {
    if (isOther) logView.enter();
    if (store.current !== null) writing.enter(store.current);
    roomView.enter();
    completion.clear();
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
  quoteOf: (number) => context.timeline?.quote(number) ?? store.room?.timeline.quote(number) ?? null,
  target: document.body,
  said: toNewest,
});
const emoji = new EmojiDialog();
const logView = new LogView({
  me, store, outbox, context, toNewest,
  chooseEmoji: (button, chosen) => emoji.open(button, chosen),
  edit: (message) => writing.edit(message),
  reply: (number) => writing.reply(number),
  copyLink: (number) => copy(
    new URL(navigation.addressOf(store.current ?? 0, number), location.href).href, "The link is copied.",
  ),
  confirmDelete: (message, confirmed) => dialogs.confirmDelete(message, me, confirmed),
});
const invitations = new InvitationDialog(api);
const roomView = new RoomView({
  store, mentions, presence, navigation, writing, api, dialogs, go,
  invitations: (room) => invitations.open(room),
});
const members = new MemberList({ list: $("members"), count: $("members-count") }, me, writeTo);
const mentionList = new MentionList(api, store, (room, number) => navigation.addressOf(room, number));
const completion = new Completion({
  field: $("text"), list: $("mention-people"),
  people: () => [...(store.room?.members?.values() ?? [])].filter(({ id }) => id !== me.id)
    .map((person) => ({ ...person, online: presence.has(person.id) })),
});
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
  const mentioned = mentions.isMentioned(message);
  const elsewhere = room.id !== store.current;
  if (room.member && (mentioned || !room.muted)) notifier.tell(message, room, { mentioned, elsewhere });
  if (!elsewhere) logView.heard(room, message);
  else if (room.member && mentioned) {
    logView.announce(`${message.author.name} mentioned you in ${room.name}: ${plain(wordsOf(message))}`);
  }
}

function toNewest() {
  navigation.toNewest();
  logView.follow();
  refresh("log");
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
new Search({ api, room: () => store.room, address: (room, message) => navigation.addressOf(room, message) });
$("format-help").addEventListener("click", () => $("format-dialog").showModal());
$("mentions").addEventListener("click", () => mentionList.open());
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
