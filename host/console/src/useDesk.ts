// Labels, colleagues and queues: asked for once, and then told by the live connection when they change.

import { useCallback, useEffect, useState } from "react";

import { type BoardFrame, type Desk, desk } from "./api";

const NOTHING: Desk = { labels: [], permissions: [], colleagues: [], queues: [], problems: [] };

export function useDesk(): { known: Desk; onBoard: (frame: BoardFrame | null) => void } {
  const [known, setKnown] = useState(NOTHING);
  const ask = useCallback(() => void desk().then((answer) => answer && setKnown(answer)), []);
  useEffect(ask, [ask]);
  /** A change; nothing: the line was lost, and whatever changed meanwhile is asked for. */
  const onBoard = useCallback(
    (frame: BoardFrame | null) => {
      if (frame === null || frame.type === "desk") ask();
      else setKnown((known) => change(known, frame));
    },
    [ask],
  );
  return { known, onBoard };
}

function change(known: Desk, frame: BoardFrame): Desk {
  switch (frame.type) {
    case "colleague":
      return {
        ...known,
        colleagues: known.colleagues.map((one) =>
          one.id === frame.id ? { ...one, presence: frame.presence, light: frame.light } : one,
        ),
      };
    case "line":
      return {
        ...known,
        queues: known.queues.map((one) =>
          one.id === frame.queue ? { ...one, waiting: frame.waiting } : one,
        ),
      };
    default:
      return known;
  }
}
