import { Center, Loader } from "@mantine/core";
import { useCallback, useEffect, useState } from "react";

import { type Me, me } from "./api";
import { Desk } from "./Desk";
import { SignIn } from "./SignIn";

export function App() {
  const [who, setWho] = useState<Me | null | undefined>(undefined);
  const look = useCallback(() => {
    const ask = () => void me().then(setWho).catch(() => window.setTimeout(ask, 2000));
    ask();
  }, []);
  useEffect(look, [look]);

  if (who === undefined) return <Center mih="100vh"><Loader /></Center>;
  if (who === null) return <SignIn onDone={look} />;
  return <Desk me={who} onSignedOut={look} />;
}
