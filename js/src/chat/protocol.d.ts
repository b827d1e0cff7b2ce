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
  /** The key of the edit or deletion that this answers. */
  request?: string;
}

export interface HistoryPage {
  type: "history";
  room: number;
  before: number | null;
  version: number;
  messages: Message[];
  more: boolean;
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
  since: SincePage;
  room: { type: "room"; room: ToldRoom };
  /** removed_by: the administrator, where the room is no more. */
  left: { type: "left"; room: number; removed_by?: Person };
  member: { type: "member"; room: number; user: Person; joined: boolean };
  read: { type: "read"; room: number; number: number };
}

/** What is sent until it is confirmed. */
export type Write =
  | { type: "message"; room: number; text: string; files?: string[]; number?: undefined }
  | { type: "edit"; room: number; number: number; text: string }
  | { type: "delete"; room: number; number: number; text?: undefined };

/** What is asked for once. */
export type Request =
  | { type: "open" | "close" | "typing"; room: number }
  | { type: "history"; room: number; before: number | null }
  | { type: "since"; room: number; version: number }
  | { type: "read"; room: number; number: number };
