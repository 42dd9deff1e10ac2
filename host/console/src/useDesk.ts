// Labels, colleagues and queues: they change seldom, so asking now and then is enough.

import { useEffect, useState } from "react";

import { type Desk, desk } from "./api";

const NOTHING: Desk = { labels: [], permissions: [], colleagues: [], queues: [], problems: [] };
const EVERY = 5000;

export function useDesk(): Desk {
  const [known, setKnown] = useState(NOTHING);
  useEffect(() => {
    const ask = () => void desk().then((answer) => answer && setKnown(answer));
    ask();
    const timer = window.setInterval(ask, EVERY);
    return () => window.clearInterval(timer);
  }, []);
  return known;
}
