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
}

const PREFIX = "cordboard draft ";
/** Older ones are of conversations that have long been dealt with. */
const FORGOTTEN_AFTER = 7 * 24 * 3600 * 1000;

/** A name for one reply: sent again after a break, it goes out once. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16)).join("");
}

function nothing(): Draft {
  return { mode: "reply", reply: "", note: "", key: newKey(), tried: null };
}

function name(agent: string, conversation: string): string {
  return `${PREFIX}${agent} ${conversation}`;
}

/** Each mode is kept by itself: another tab may write in the other one. */
export function draftOf(agent: string, conversation: string): Draft {
  const reply = read<Partial<Draft>>(name(agent, `${conversation} reply`));
  const note = read<Partial<Draft>>(name(agent, `${conversation} note`));
  const mode = read<Partial<Draft>>(name(agent, conversation))?.mode;
  return { ...nothing(), ...reply, ...note, mode: mode ?? (note && !reply ? "note" : "reply") };
}

/** Keeps what of a draft has changed. */
export function keep(agent: string, conversation: string, draft: Draft, changed: Partial<Draft>) {
  if ("reply" in changed || "key" in changed || "tried" in changed) {
    const { reply, key, tried } = draft;
    write(name(agent, `${conversation} reply`), reply === "" ? null : { reply, key, tried });
  }
  if ("note" in changed) {
    write(name(agent, `${conversation} note`), draft.note === "" ? null : { note: draft.note });
  }
  if ("mode" in changed) write(name(agent, conversation), { mode: draft.mode });
}

/** Tells when a draft of a conversation was changed in another tab: sent there, it isn't unsent here. */
export function onChange(agent: string, conversation: string, changed: () => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key?.startsWith(name(agent, conversation))) changed();
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

function read<T>(key: string): T | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") as T | null;
  } catch {
    return null;
  }
}

function write(key: string, value: object | null) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ ...value, at: Date.now() }));
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
  return { ...nothing, ...read<Partial<Ending>>(name(agent, `${conversation} ${part}`)) };
}

export function keepEnding(agent: string, conversation: string, part: string, ending: Ending | null) {
  write(name(agent, `${conversation} ${part}`), ending);
}

/** What was being said of a part goes with that part: the customer may write before it is done, and then another one
 * ends; or somebody else ends it. `ends`: it is in wrap-up now; `owes`: a part before that isn't done yet. */
export function settleEndings(agent: string, conversation: string, ends: boolean, owes: boolean) {
  if (ends) return;
  const [now, before] = [`${conversation} wrap-up`, `${conversation} before`].map((part) => name(agent, part));
  const said = read<Ending>(now!);
  if (!owes) write(before!, null);
  else if (said !== null && read<Ending>(before!) === null) write(before!, said);
  if (said !== null) write(now!, null);
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
      const at = read<{ at?: number }>(key)?.at ?? 0;
      if (isTheirs || Date.now() - at > FORGOTTEN_AFTER) localStorage.removeItem(key);
    }
  } catch {
    // As above.
  }
}
