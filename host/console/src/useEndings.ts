import { useRef } from "react";

import { settleEndings } from "./drafts";
import { type Conversation, partsOf } from "./work";

/** What is being said of how parts ended follows them: before a form shows it, also of those that nobody looks at, and of
 * those that are gone. Only a part that ends, or is done, changes anything. */
export function useEndings(agent: string, conversations: Conversation[]) {
  const settled = useRef({ key: "", ids: [] as string[] });
  const parts = conversations.map(({ summary }) => ({ id: summary.id, ...partsOf(summary, agent) }));
  const key = parts.map(({ id, ends, owes }) => `${id} ${ends} ${owes}`).join("\n");
  if (settled.current.key === key) return;
  const ids = parts.map(({ id }) => id);
  for (const { id, ends, owes } of parts) settleEndings(agent, id, ends, owes);
  const gone = settled.current.ids.filter((id) => !ids.includes(id));
  gone.forEach((id) => settleEndings(agent, id, false, false));
  settled.current = { key, ids };
}
