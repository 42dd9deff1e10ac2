// What the agent's screen knows, and how each frame from the host changes it.

import { phone } from "./format";
import type { FirstFrame, Message, Notice, Offer, Presence, Summary, Usage } from "./api";

export interface Conversation {
  summary: Summary;
  /** The newest part; numbers begin with 1, so the first one tells whether there is more. */
  messages: Message[];
  /** Whether it was asked for: a message that comes by itself isn't all there is. */
  loaded: boolean;
  /** Customer messages that came while another conversation was looked at. */
  unread: number;
}

export interface Work {
  /** When the line was lost; nothing while it holds. */
  offlineSince: number | null;
  presence: Presence | null;
  capacity: Usage[];
  offers: Offer[];
  conversations: Map<string, Conversation>;
  selected: string | null;
  /** What somebody should know; shown until it is put aside. */
  news: News[];
}

export interface News {
  key: number;
  color: string;
  text: string;
}

export const nothing: Work = {
  offlineSince: null,
  presence: null,
  capacity: [],
  offers: [],
  conversations: new Map(),
  selected: null,
  news: [],
};

export type Change =
  | { type: "connection"; connected: boolean }
  | { type: "select"; id: string }
  | { type: "dismiss"; key: number }
  | { type: "loaded"; id: string; messages: Message[] }
  | { type: "frame"; frame: FirstFrame | Notice };

export function change(work: Work, change: Change): Work {
  switch (change.type) {
    case "connection":
      return { ...work, offlineSince: change.connected ? null : (work.offlineSince ?? Date.now()) };
    case "select":
      return update({ ...work, selected: change.id }, change.id, (c) => ({ ...c, unread: 0 }));
    case "dismiss":
      return { ...work, news: work.news.filter((news) => news.key !== change.key) };
    case "loaded":
      return update(work, change.id, (known) => ({
        // What it is comes by frames, in order; an answer may be of before one of them.
        ...known,
        loaded: true,
        messages: merge(change.messages, known.messages),
      }));
    case "frame":
      return onFrame(work, change.frame);
  }
}

function onFrame(work: Work, frame: FirstFrame | Notice): Work {
  switch (frame.type) {
    case "snapshot": {
      const conversations = new Map(
        frame.conversations.map(({ conversation, messages }) => [
          conversation.id,
          {
            summary: conversation,
            messages,
            loaded: true,
            unread: work.conversations.get(conversation.id)?.unread ?? 0,
          },
        ]),
      );
      const kept = work.selected !== null && conversations.has(work.selected);
      // Offers come anew behind the snapshot.
      return { ...work, conversations, offers: [], selected: kept ? work.selected : null };
    }
    case "not_taken":
      return tell(work, "orange", `Not handed over: ${frame.why}.`);
    case "alert":
      return tell(work, "red", alertText(frame));
    case "presence":
      return { ...work, presence: frame.presence, capacity: frame.capacity };
    case "offer":
      return { ...work, offers: [...work.offers.filter((o) => o.offer !== frame.offer), frame] };
    case "offer_ended": {
      const ended = work.offers.find((offer) => offer.offer === frame.offer);
      const offers = work.offers.filter((offer) => offer.offer !== frame.offer);
      const taken = frame.outcome === "accepted" && ended;
      return { ...work, offers, selected: taken ? ended.conversation : work.selected };
    }
    case "conversation": {
      const known = work.conversations.get(frame.id);
      const conversations = new Map(work.conversations);
      conversations.set(frame.id, {
        messages: known?.messages ?? [],
        loaded: known?.loaded ?? false,
        unread: known?.unread ?? 0,
        summary: frame,
      });
      return { ...work, conversations };
    }
    case "conversation_gone": {
      const gone = work.conversations.get(frame.conversation)?.summary;
      const conversations = new Map(work.conversations);
      conversations.delete(frame.conversation);
      const selected = work.selected === frame.conversation ? null : work.selected;
      const left = { ...work, conversations, selected };
      // Whoever had it wants to know where it went; that it is over, they know.
      if (gone === undefined || frame.state === "closed") return left;
      const where = frame.agent ? `is with ${frame.agent} now` : `is back in queue ${gone.queue}`;
      return tell(left, "orange", `${phone(gone.customer)} ${where}.`);
    }
    case "message":
      return update(work, frame.conversation, (c) => ({
        ...c,
        messages: merge(c.messages, [frame.message]),
        unread:
          frame.message.role === "customer" && work.selected !== frame.conversation
            ? c.unread + 1
            : c.unread,
      }));
    case "delivery":
      return update(work, frame.conversation, (c) => ({
        ...c,
        messages: c.messages.map((message) =>
          message.no === frame.message ? { ...message, delivery: frame.delivery } : message,
        ),
      }));
    default:
      return work;
  }
}

function tell(work: Work, color: string, text: string): Work {
  const key = Math.max(0, ...work.news.map((news) => news.key)) + 1;
  return { ...work, news: [...work.news.slice(-4), { key, color, text }] };
}

function alertText(alert: Extract<Notice, { type: "alert" }>): string {
  return `${alert.agent} let ${alert.missed} offers in a row expire and was set away.`;
}

function update(work: Work, id: string, how: (c: Conversation) => Conversation): Work {
  const known = work.conversations.get(id);
  if (!known) return work;
  return { ...work, conversations: new Map(work.conversations).set(id, how(known)) };
}

/** Whether an agent's wrap-up of it is to be done (`ends`), or one of a part before that its customer has cut short
 * (`owes`). */
export function partsOf(summary: Summary, agent: string): { ends: boolean; owes: boolean } {
  const ends = summary.state === "wrap_up" && summary.agent === agent;
  return { ends, owes: !ends && summary.wrap_ups.includes(agent) };
}

/** Whether something of it is missing behind the first message that is there. */
export function isIncomplete({ summary, messages, loaded }: Conversation): boolean {
  if (summary.state === "closed" || summary.messages === 0) return false;
  const first = messages[0]?.no;
  return !loaded || first === undefined || messages.length < summary.messages - first + 1;
}

/** Both, in order, each message once; the later list knows better. */
export function merge(earlier: Message[], later: Message[]): Message[] {
  const byNumber = new Map([...earlier, ...later].map((message) => [message.no, message]));
  return [...byNumber.values()].sort((a, b) => a.no - b.no);
}
