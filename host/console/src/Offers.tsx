import { Alert, Button, Group, Paper, RingProgress, Stack, Text } from "@mantine/core";
import { useState } from "react";

import type { Offer } from "./api";
import { since } from "./format";
import type { Send } from "./live";
import { useNow } from "./useNow";

const KINDS = { messaging: "text message", chat: "chat", voice: "call", email: "email" } as const;

function title(offer: Offer): string {
  const kind = KINDS[offer.kind];
  switch (offer.purpose.what) {
    case "transfer":
      return `${offer.purpose.by} hands over a ${kind}`;
    case "consult":
      return `${offer.purpose.by} asks for advice`;
    default:
      return `New ${kind}`;
  }
}

/** Work comes from a queue; what colleagues hand over comes from them. */
function origin(offer: Offer): string {
  return offer.queue.startsWith("@") ? "Directly to you" : `From queue ${offer.queue}`;
}

/**
 * The oldest offer that is open, with its countdown; one that is over stands before none that isn't. It stands beside the work, covers nothing of it and takes no
 * focus: an agent in the middle of a sentence goes on writing, and sends it.
 */
export function Offers({ offers, send }: { offers: Offer[]; send: Send }) {
  const now = useNow(1000);
  const offer = offers.find((offer) => offer.deadline > now) ?? offers[0];
  if (!offer) return null;
  return <OneOffer key={offer.offer} offer={offer} others={offers.length - 1} send={send} />;
}

function OneOffer({ offer, others, send }: { offer: Offer; others: number; send: Send }) {
  const now = useNow(200);
  const [problem, setProblem] = useState<string | null>(null);
  const total = offer.deadline - offer.at;
  const left = Math.max(0, offer.deadline - now);
  const seconds = Math.ceil(left / 1000);
  const answer = (type: "accept" | "refuse") => async () => {
    setProblem(await send({ type, offer: offer.offer }));
  };

  return (
      <Paper withBorder shadow="md" p="md" m="xs" role="alertdialog" data-testid="offer"
        aria-label={title(offer)}>
      <Stack gap="sm">
        <Group wrap="nowrap">
          <RingProgress size={92} thickness={8} roundCaps
            sections={[{ value: (left / total) * 100, color: seconds > 10 ? "indigo" : "red" }]}
            label={<Text ta="center" fw={700} data-testid="countdown">{seconds}</Text>} />
          <div>
            <Text fw={600}>{title(offer)}</Text>
            <Text c="dimmed" size="sm">
              {origin(offer)}, offered {since(offer.at, now)} ago
              {others > 0 && `; ${others} more behind it`}
            </Text>
          </div>
        </Group>
        {problem && <Alert color="red" role="alert">{problem}</Alert>}
        <Group grow>
          <Button variant="default" onClick={answer("refuse")}>Refuse</Button>
          <Button onClick={answer("accept")}>Accept</Button>
        </Group>
      </Stack>
      </Paper>
  );
}
