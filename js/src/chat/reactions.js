// What is shown of the reactions to a message. No DOM.

/** @import { Entry } from "./outbox.js" */
/** @import { Person, Reaction } from "./protocol.js" */

/**
 * @typedef {object} ReactionItem An emoji below a message.
 * @property {string} emoji
 * @property {number} count how many have put it there.
 * @property {boolean} own whether the user has.
 * @property {string} names whose it is, in words.
 */

const conjunction = new Intl.ListFormat("en");

// What is in most emoji, and in no other text: pictures, flags, keys of a telephone.
const PICTURE = /\p{Emoji_Presentation}|\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|\u20E3/u;
// UTF-16 units of the longest emoji, and some more.
const MAX_LENGTH = 40;

/**
 * Returns what is shown of the reactions to a message.
 *
 * @param {{ reactions: Reaction[] }} message as the server told it.
 * @param {Pick<Entry, "emoji" | "on">[]} wishes what is on its way of the user's own.
 * @param {Person} me
 * @returns {ReactionItem[]}
 */
export function reactionsOf({ reactions }, wishes, me) {
  const wished = new Map(wishes.map(({ emoji, on }) => [emoji ?? "", on ?? false]));
  const known = new Set(reactions.map(({ emoji }) => emoji));
  const added = [...wished.keys()].filter((emoji) => !known.has(emoji))
    .map((emoji) => ({ emoji, users: [], people: [] }));
  return [...reactions, ...added].map(({ emoji, users, people }) => {
    const was = users.includes(me.id);
    const own = wished.get(emoji) ?? was;
    const count = users.length + Number(own) - Number(was);
    const others = people.filter(({ id }) => id !== me.id).map(({ name }) => name);
    return { emoji, count, own, names: inWords(own ? ["You", ...others] : others, count) };
  }).filter(({ count }) => count > 0);
}

/**
 * @param {string[]} names
 * @param {number} count
 */
function inWords(names, count) {
  const more = count - names.length;
  return conjunction.format(more > 0 ? [...names, `${more} more`] : names);
}

/**
 * Calls somebody by another name.
 *
 * @param {Reaction[]} reactions
 * @param {Person} person
 * @returns {Reaction[]} the same object, where they are not there.
 */
export function renamed(reactions, person) {
  if (!reactions.some(({ people }) => people.some(({ id }) => id === person.id))) return reactions;
  return reactions.map((reaction) => ({
    ...reaction, people: reaction.people.map((known) => (known.id === person.id ? person : known)),
  }));
}

/**
 * Returns the one emoji that a text is, or null. The server looks closer.
 *
 * @param {string} text
 */
export function emojiOf(text) {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH || !PICTURE.test(trimmed)) return null;
  const one = !Intl.Segmenter || [...new Intl.Segmenter().segment(trimmed)].length === 1;
  return one ? trimmed : null;
}
