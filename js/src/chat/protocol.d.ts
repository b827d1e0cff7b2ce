// What the page and the server say to each other, as JSON: pyramid_chat/messages.py and
// pyramid_chat/realtime.py are the other side of it.

export interface Person {
  id: number;
  name: string;
}

/** A room as the server tells it to one person. */
export interface ToldRoom {
  id: number;
  kind: "public" | "private" | "direct";
  name: string;
  topic: string;
  /** Of its last change; each change raises it by one. */
  version: number;
  member: boolean;
  /** What the person may do there. */
  can: string[];
  /** The number of the last message that was read; none for who is no member. */
  read?: number;
  unread?: number;
  /** The numbers of those unread messages that mention the person: the newest ones. */
  mentioned?: number[];
  /** Whether the person is told only of mentions there. */
  muted?: boolean;
  /** The other one, in a direct room. */
  person?: Person;
}

/** A room in the list of public ones. */
export interface ListedRoom {
  id: number;
  name: string;
  topic: string;
  /** How many there are. */
  members: number;
  member: boolean;
}

/** What a reply tells of the message that it answers, as that is now. */
export interface Quote {
  number: number;
  version: number;
  author: Person;
  /** How it begins. */
  text: string;
  edited: boolean;
  deleted: boolean;
  removed_by: Person | null;
}

/** A part of a text that means somebody: where it is in the text, and who it is. */
export interface Mention {
  user: Person;
  start: number;
  length: number;
}

/** An emoji below a message. */
export interface Reaction {
  emoji: string;
  /** The ids of all who have put it there. */
  users: number[];
  /** The first of them. */
  people: Person[];
}

/** A file of a message. */
export interface ToldFile {
  id: string;
  name: string;
  /** In bytes. */
  size: number;
  /** Of a picture, in pixels. */
  width?: number;
  height?: number;
}

export interface Message {
  type: "message";
  room: number;
  /** Its place among the messages of the room. */
  number: number;
  /** Of the room, when the message was last changed. */
  version: number;
  /** Its author's own name for it. */
  key: string | null;
  author: Person;
  text: string;
  files?: ToldFile[];
  /** ISO 8601, as is `edited`. */
  time: string;
  edited: string | null;
  deleted: boolean;
  /** The administrator who deleted it; null where its author did. */
  removed_by: Person | null;
  /** The message that it answers. */
  quote: Quote | null;
  /** Who is meant in the text, in order; none where nobody is. */
  mentions?: Mention[];
  reactions: Reaction[];
  /** Earlier versions of the room that changed the message, and were not told. */
  covers?: number[];
  /** The key of the edit, deletion or reaction that this answers. */
  request?: string;
}

/** A link that invites to a room. */
export interface Invitation {
  id: number;
  maker: Person;
  /** ISO 8601. */
  expires: string;
  /** How many may join by it; null: any number. */
  uses: number | null;
  /** How many have. */
  used: number;
  /** Whether new people can make an account with it. */
  admits: boolean;
  /** Where it leads: told only to who makes it. */
  path?: string;
}

export interface HistoryPage {
  type: "history";
  room: number;
  before: number | null;
  version: number;
  messages: Message[];
  more: boolean;
}

export type Side = "both" | "before" | "after";

/** The messages around one, or only those before or after it. */
export interface AroundPage {
  type: "around";
  room: number;
  number: number;
  side: Side;
  version: number;
  messages: Message[];
  /** Whether there are earlier, or later, ones; null on the side that was not asked for. */
  earlier: boolean | null;
  later: boolean | null;
}

/** A message that the search has found. */
export interface Hit {
  room: Pick<ToldRoom, "id" | "kind" | "name">;
  number: number;
  author: Person;
  time: string;
  /** A part of its text; every second string, from the second on, is what was looked for. */
  excerpt: string[];
}

export interface SincePage {
  type: "since";
  room: number;
  from: number;
  version: number;
  messages: Message[];
  more: boolean;
}

export interface Refusal {
  type: "error";
  code: string;
  text: string;
  room?: number;
  key?: string;
  /** Seconds after which the same may be asked again. */
  retry_after?: number;
}

/** The server's events by their type. */
export interface Events {
  welcome: { type: "welcome"; user: Person; rooms: ToldRoom[]; online: number[] };
  /** Somebody has another name. */
  person: { type: "person"; user: Person };
  presence: { type: "presence"; user: Person; online: boolean };
  typing: { type: "typing"; room: number; user: Person };
  error: Refusal;
  opened: { type: "opened"; room: ToldRoom; members: Person[] };
  message: Message;
  history: HistoryPage;
  around: AroundPage;
  since: SincePage;
  room: { type: "room"; room: ToldRoom };
  /** removed_by: the administrator, where the room is no more. */
  left: { type: "left"; room: number; removed_by?: Person };
  member: { type: "member"; room: number; user: Person; joined: boolean };
  read: { type: "read"; room: number; number: number };
  muted: { type: "muted"; room: number; muted: boolean };
}

/** What is sent until it is confirmed. */
export type Write =
  | { type: "message"; room: number; text: string; reply_to?: number; files?: string[]; number?: undefined }
  | { type: "edit"; room: number; number: number; text: string }
  | { type: "delete"; room: number; number: number; text?: undefined }
  | { type: "react"; room: number; number: number; emoji: string; on: boolean; text?: undefined };

/** What is asked for once. */
export type Request =
  | { type: "open" | "close" | "typing"; room: number }
  | { type: "history"; room: number; before: number | null }
  | { type: "since"; room: number; version: number }
  | { type: "around"; room: number; number: number; side: Side }
  | { type: "read"; room: number; number: number };
