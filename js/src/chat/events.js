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
 * @param {import("./mentions.js").Mentions} parts.mentions
 * @param {import("./outbox.js").Outbox} parts.outbox
 * @param {import("./presence.js").Presence} parts.presence
 * @param {import("./typing.js").Typing} parts.typing
 * @param {() => void} parts.welcomed called when the page knows all that a new connection tells.
 * @param {() => void} parts.stranger called when the connection is somebody else's: they signed in
 *   meanwhile, and what this page holds is not theirs to send.
 * @param {(person: Person) => void} parts.renamed called when somebody has another name.
 * @param {() => void} parts.muted called when a room is muted, or is no more.
 * @param {() => void} parts.refused called when the current room cannot be looked at.
 * @param {import("./context.js").Context} parts.context
 * @returns {EventTable}
 */
export function eventTable({
  me, store, mentions, outbox, presence, typing, context, welcomed, stranger, renamed, muted, refused,
}) {
  return {
    welcome(event) {
      if (event.user.id !== me.id) {
        stranger();
        return;
      }
      presence.welcome(event.online);
      for (const room of event.rooms) mentions.told(room);
      store.welcome(event);
      context.reload();
      welcomed();
    },
    person({ user }) {
      for (const room of store.rooms.values()) rename(room, user);
      context.timeline?.rename(user);
      renamed(user);
    },
    presence: ({ user, online }) => presence.tell(user.id, online),
    typing({ room, user }) {
      if (user.id !== me.id) typing.started(room, user);
    },
    opened(event) {
      mentions.told(event.room);
      store.opened(event);
      context.advance();
    },
    message(event) {
      if (event.number === event.version) typing.stopped(event.room, event.author.id);
      outbox.settle(event);
      mentions.message(event);
      context.message(event);
      store.message(event);
    },
    history(event) {
      for (const message of event.messages) outbox.settle(message);
      store.history(event);
      context.advance();
    },
    around: (event) => context.around(event),
    since(event) {
      for (const message of event.messages) {
        outbox.settle(message);
        mentions.message(message);
        context.message(message);
      }
      store.since(event);
    },
    room(event) {
      mentions.told(event.room);
      store.roomChanged(event);
    },
    left: (event) => store.left(event),
    member: (event) => store.member(event),
    read: (event) => store.readElsewhere(event),
    muted(event) {
      const room = store.rooms.get(event.room);
      if (room) room.muted = event.muted;
      muted();
    },
    error(event) {
      if (!outbox.refuse(event)) {
        store.error(event);
        context.error(event);
      }
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
