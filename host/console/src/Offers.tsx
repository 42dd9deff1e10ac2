import { Alert, Button, Group, Modal, RingProgress, Stack, Text } from "@mantine/core";
import { useState } from "react";

import type { Offer } from "./api";
import { since } from "./format";
import type { Send } from "./live";
import { useNow } from "./useNow";

const KINDS = { messaging: "text message", chat: "chat", voice: "call", email: "email" } as const;

/** The oldest open offer, with its countdown. */
export function Offers({ offers, send }: { offers: Offer[]; send: Send }) {
  const offer = offers[0];
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
    <Modal opened onClose={() => undefined} withCloseButton={false} centered
      closeOnEscape={false} title={`New ${KINDS[offer.kind]}`} data-testid="offer">
      <Stack>
        <Group wrap="nowrap">
          <RingProgress size={92} thickness={8} roundCaps
            sections={[{ value: (left / total) * 100, color: seconds > 10 ? "indigo" : "red" }]}
            label={<Text ta="center" fw={700} data-testid="countdown">{seconds}</Text>} />
          <div>
            <Text fw={600}>From queue {offer.queue}</Text>
            <Text c="dimmed" size="sm">
              Offered {since(offer.at, now)} ago
              {others > 0 && `; ${others} more behind it`}
            </Text>
          </div>
        </Group>
        {problem && <Alert color="red" role="alert">{problem}</Alert>}
        <Group grow>
          <Button variant="default" onClick={answer("refuse")}>Refuse</Button>
          <Button data-autofocus onClick={answer("accept")}>Accept</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
