// What somebody writes and hasn't sent: kept per agent, conversation and mode, over reloads, other
// conversations and other tabs, until it is sent. A note must never become a reply by one Enter, so each
// mode has a text of its own.

export type Mode = "reply" | "note";

export interface Draft {
  mode: Mode;
  reply: string;
  note: string;
  /** The reply's name, and the text that was last tried under it: another text gets another name. */
  key: string;
  tried: string | null;
  at: number;
}

const PREFIX = "cordboard draft ";
/** Older ones are of conversations that have long been dealt with. */
const FORGOTTEN_AFTER = 7 * 24 * 3600 * 1000;

/** A name for one reply: sent again after a break, it goes out once. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16)).join("");
}

function nothing(): Draft {
  return { mode: "reply", reply: "", note: "", key: newKey(), tried: null, at: Date.now() };
}

function name(agent: string, conversation: string): string {
  return `${PREFIX}${agent} ${conversation}`;
}

export function draftOf(agent: string, conversation: string): Draft {
  try {
    const kept = localStorage.getItem(name(agent, conversation));
    return kept === null ? nothing() : { ...nothing(), ...(JSON.parse(kept) as Partial<Draft>) };
  } catch {
    return nothing();
  }
}

export function keep(agent: string, conversation: string, draft: Draft) {
  try {
    if (draft.reply === "" && draft.note === "") {
      localStorage.removeItem(name(agent, conversation));
    } else {
      localStorage.setItem(name(agent, conversation), JSON.stringify({ ...draft, at: Date.now() }));
    }
  } catch {
    // A browser that keeps nothing still sends what is on the screen.
  }
}

/** What is being said of how a conversation ended. */
export interface Ending {
  disposition: string | null;
  summary: string;
}

/** `part`: a conversation may have more than one to be said of. */
export function endingOf(agent: string, conversation: string, part: string): Ending {
  const nothing = { disposition: null, summary: "" };
  try {
    const kept = localStorage.getItem(name(agent, `${conversation} ${part}`));
    return kept === null ? nothing : { ...nothing, ...(JSON.parse(kept) as Partial<Ending>) };
  } catch {
    return nothing;
  }
}

export function keepEnding(agent: string, conversation: string, part: string, ending: Ending | null) {
  try {
    const key = name(agent, `${conversation} ${part}`);
    if (ending === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ ...ending, at: Date.now() }));
  } catch {
    // As above.
  }
}

export function hasDraft(agent: string, conversation: string): boolean {
  const draft = draftOf(agent, conversation);
  return draft.reply !== "" || draft.note !== "";
}

/** Whoever signs out leaves nothing behind on a shared machine; what is old goes by itself. */
export function forget(agent: string | null) {
  try {
    for (const key of Object.keys(localStorage).filter((key) => key.startsWith(PREFIX))) {
      const isTheirs = agent !== null && key.startsWith(`${PREFIX}${agent} `);
      const at = (JSON.parse(localStorage.getItem(key) ?? "{}") as Partial<Draft>).at ?? 0;
      if (isTheirs || Date.now() - at > FORGOTTEN_AFTER) localStorage.removeItem(key);
    }
  } catch {
    // As above.
  }
}
