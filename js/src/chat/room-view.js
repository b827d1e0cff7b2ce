// The rooms: the list of them, and the head of the one that is looked at, with its menu.

import { $, setText } from "./dom.js";
import { messageOf } from "./http.js";
import { titleOf } from "./notify.js";
import { RoomList, stepOf } from "./rooms.js";

/** @import { Room } from "./room.js" */
/** @import { Store } from "./store.js" */

const MOST_SHOWN = 9;

export class RoomView {
  #store;
  #mentions;
  #presence;
  #navigation;
  #writing;
  #list;

  /**
   * @param {object} parts
   * @param {Store} parts.store
   * @param {import("./mentions.js").Mentions} parts.mentions
   * @param {import("./presence.js").Presence} parts.presence
   * @param {import("./navigation.js").Navigation} parts.navigation
   * @param {import("./writing.js").Writing} parts.writing
   * @param {import("./http.js").Api} parts.api
   * @param {import("./dialogs.js").Dialogs} parts.dialogs
   * @param {(room: Room) => void} parts.invitations shows the links to a room.
   * @param {(id: number) => void} parts.go goes to a room that the user chose.
   */
  constructor({ store, mentions, presence, navigation, writing, api, dialogs, invitations, go }) {
    this.#store = store;
    this.#mentions = mentions;
    this.#presence = presence;
    this.#navigation = navigation;
    this.#writing = writing;
    this.#list = new RoomList($("rooms"), { rooms: $("room-list"), direct: $("direct-list") },
      (id) => navigation.addressOf(id), go);
    $("join-room").addEventListener("click", () => this.#join(api));
    $("mute-room").addEventListener("click", () => this.#mute(api));
    this.#offerMenu(dialogs, invitations);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && $("room-menu").open) this.#leaveMenu();
      const step = stepOf(event);
      if (!step || !event.altKey || event.ctrlKey || event.metaKey) return;
      const next = this.#list.neighbour(step);
      if (next === null) return;
      event.preventDefault();
      go(next);
    });
  }

  /** Another room is entered, or the same once more. */
  enter() {
    $("room-menu").open = false;
  }

  /** Shows the list, and how much is unread. */
  showList() {
    const { rooms, room: shown, current } = this.#store;
    const mentions = this.#mentions;
    const allUnread = this.#store.allUnread + mentions.inMuted;
    const listed = [...rooms.values()].filter((room) => room.member || room.id === current);
    this.#list.show(listed, {
      current,
      unread: (id) => this.#store.unread(id),
      mentions: (id) => mentions.unread(id),
      isOnline: (id) => this.#presence.has(id),
    });
    document.title = titleOf(allUnread, shown?.name);
    const here = shown?.muted ? mentions.unread(shown.id) : this.#store.unread(current);
    const elsewhere = allUnread - here;
    $("rooms-badge").hidden = elsewhere === 0;
    setText($("rooms-badge"), elsewhere > MOST_SHOWN ? `${MOST_SHOWN}+` : String(elsewhere));
    $("mentions-count").hidden = mentions.allUnread === 0;
    setText($("mentions-count"), `@${mentions.allUnread}`);
    $("rooms-toggle").setAttribute("aria-label", elsewhere ? `Rooms, ${elsewhere} unread` : "Rooms");
  }

  /** Shows the room that is looked at, and what may be done there. */
  show() {
    const { room, refusal, ready, current } = this.#store;
    /** @param {string} what */
    const can = (what) => room?.can.includes(what) ?? false;
    setText($("room-name"), room?.name ?? "Chat");
    setText($("room-topic"), room?.topic ?? "");
    $("room-topic").title = room?.topic ?? "";
    $("scroller").setAttribute("aria-label", room ? `Messages in ${room.name}` : "Messages");
    $("join-room").hidden = !room || room.member || !can("join");
    $("edit-room").hidden = !can("topic") && !can("rename");
    $("invite").hidden = $("room-invitations").hidden = !can("invite");
    $("leave-room").hidden = !can("leave");
    setText($("mute-room"), room?.muted ? "Unmute the room" : "Mute the room");
    $("room-muted").hidden = !room?.muted;
    $("room-menu").hidden = !room?.member;
    $("members-toggle").hidden = !room;
    $("preview").hidden = !room || room.member;
    $("refused").hidden = !refusal;
    setText($("refused-text"), refusal ?? "");
    $("nowhere").hidden = !ready || current !== null;
    // One can write before the server has told of the room: it waits in the outbox.
    this.#writing.show(current !== null && !refusal && (room === null || can("post")));
  }

  /** @param {import("./http.js").Api} api */
  async #join(api) {
    $("join-room").disabled = true;
    try {
      await api.post(`rooms/${this.#store.current}/join`);
      this.#writing.focus();
    } catch (error) {
      setText($("preview"), messageOf(error));
    } finally {
      $("join-room").disabled = false;
    }
  }

  /** @param {import("./http.js").Api} api */
  async #mute(api) {
    const { room } = this.#store;
    if (!room) return;
    $("mute-room").disabled = true;
    setText($("mute-error"), "");
    try {
      // The server tells all of the user's pages, this one too.
      await api.post(`rooms/${room.id}/mute`, { muted: String(!room.muted) });
      this.#leaveMenu();
    } catch (error) {
      setText($("mute-error"), messageOf(error));
    } finally {
      $("mute-room").disabled = false;
    }
  }

  /**
   * @param {import("./dialogs.js").Dialogs} dialogs
   * @param {(room: Room) => void} invitations
   */
  #offerMenu(dialogs, invitations) {
    /** @type {[button: HTMLElement, act: (room: Room) => void][]} */
    const actions = [
      [$("edit-room"), (room) => dialogs.editRoom(room)],
      [$("invite"), (room) => dialogs.invite(room)],
      [$("room-invitations"), invitations],
      [$("leave-room"), (room) => dialogs.leave(room, () => this.#navigation.goOn())],
    ];
    for (const [button, act] of actions) {
      button.addEventListener("click", () => {
        const { room } = this.#store;
        if (!room) return;
        // The dialog gives the focus back to where it was: not to a button that is gone.
        this.#leaveMenu();
        act(room);
      });
    }
    document.addEventListener("click", ({ target }) => {
      if (!$("room-menu").contains(/** @type {Node} */ (target))) $("room-menu").open = false;
    });
  }

  #leaveMenu() {
    $("room-menu").open = false;
    $("room-menu").querySelector("summary")?.focus();
  }
}
