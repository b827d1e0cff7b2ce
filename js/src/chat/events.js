// What the server tells, and who is to know of it: the one place where that is said.

import { rename } from "./room.js";

/** @import { Events, Person } from "./protocol.js" */

/**
 * What happens at an event of the server, by the event's type.
 *
 * @typedef {{ [Type in keyof Events]: (event: Events[Type]) => void }} EventTable
 */

/**
 * @param {object} parts
 * @param {Person} parts.me
 * @param {import("./store.js").Store} parts.store
 * @param {import("./outbox.js").Outbox} parts.outbox
 * @param {import("./presence.js").Presence} parts.presence
 * @param {import("./typing.js").Typing} parts.typing
 * @param {() => void} parts.welcomed called when the page knows all that a new connection tells.
 * @param {() => void} parts.stranger called when the connection is somebody else's: they signed in
 *   meanwhile, and what this page holds is not theirs to send.
 * @param {(person: Person) => void} parts.renamed called when somebody has another name.
 * @param {() => void} parts.refused called when the current room cannot be looked at.
 * @returns {EventTable}
 */
export function eventTable({ me, store, outbox, presence, typing, welcomed, stranger, renamed, refused }) {
  return {
    welcome(event) {
      if (event.user.id !== me.id) {
        stranger();
        return;
      }
      presence.welcome(event.online);
      store.welcome(event);
      welcomed();
    },
    person({ user }) {
      for (const room of store.rooms.values()) rename(room, user);
      renamed(user);
    },
    presence: ({ user, online }) => presence.tell(user.id, online),
    typing({ room, user }) {
      if (user.id !== me.id) typing.started(room, user);
    },
    opened: (event) => store.opened(event),
    message(event) {
      if (event.number === event.version) typing.stopped(event.room, event.author.id);
      outbox.settle(event);
      store.message(event);
    },
    history(event) {
      for (const message of event.messages) outbox.settle(message);
      store.history(event);
    },
    since(event) {
      for (const message of event.messages) outbox.settle(message);
      store.since(event);
    },
    room: (event) => store.roomChanged(event),
    left: (event) => store.left(event),
    member: (event) => store.member(event),
    read: (event) => store.readElsewhere(event),
    error(event) {
      if (!outbox.refuse(event)) store.error(event);
      if (store.refusal) refused();
    },
  };
}

/**
 * Does what the table says; an event that is not in it is none for this page.
 *
 * @template {keyof Events} Type
 * @param {EventTable} table
 * @param {Events[Type] & { type: Type }} event
 */
export function receive(table, event) {
  if (Object.hasOwn(table, event.type)) table[event.type](event);
}
