import { ActionIcon, Alert, Badge, Button, Collapse, Group, ScrollArea, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";

import { type Desk, type WaitingItem, waiting } from "./api";
import { phone, since } from "./format";
import type { Send } from "./live";
import { useNow } from "./useNow";

const ASKED_EVERY = 5_000;

/** What waits in the agent's queues, to be taken by hand (ROUTE-10, ROUTE-14). */
export function Waiting({ queues, send, onTaken }: {
  queues: Desk["queues"];
  send: Send;
  onTaken: (id: string) => void;
}) {
  const [items, setItems] = useState<WaitingItem[]>([]);
  const [opened, setOpened] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const now = useNow(1000);
  const total = queues.reduce((sum, queue) => sum + (queue.waiting ?? 0), 0);
  const lines = queues.map((queue) => `${queue.id}=${queue.waiting ?? ""}`).join(" ");
  // Who waits is asked for while somebody looks, whenever a line has changed; and now and then, as one may have come while
  // another went.
  useEffect(() => {
    if (!opened) return;
    const ask = () => void waiting().then((answer) => answer && setItems(answer), () => undefined);
    ask();
    const timer = window.setInterval(ask, ASKED_EVERY);
    return () => window.clearInterval(timer);
  }, [opened, lines]);
  const take = async (conversation: string) => {
    const refused = await send({ type: "take", conversation });
    const isGone = refused?.includes("no such conversation") ?? false;
    setProblem(isGone ? "Somebody else has it by now." : refused);
    if (refused === null) onTaken(conversation);
    setItems((known) => known.filter((item) => item.conversation.id !== conversation));
  };
  return (
    <Stack gap={0} style={{ borderTop: "1px solid var(--mantine-color-default-border)" }}>
      <Group justify="space-between" p="sm" style={{ cursor: "pointer" }}
        onClick={() => setOpened(!opened)}>
        <Group gap="xs">
          <Text size="sm" fw={600}>Waiting in your queues</Text>
          <Badge size="sm" color={total > 0 ? "orange" : "gray"} data-testid="waiting">
            {total}
          </Badge>
        </Group>
        <ActionIcon variant="subtle" aria-label={opened ? "Hide" : "Show"}>{opened ? "▾" : "▴"}</ActionIcon>
      </Group>
      <Collapse expanded={opened}>
        {problem && <Alert color="red" role="alert" m="xs" p="xs">{problem}</Alert>}
        <ScrollArea.Autosize mah={260}>
          {items.length === 0 && <Text size="sm" c="dimmed" px="sm" pb="sm">Nobody waits.</Text>}
          {items.length < total && items.length > 0 && (
            <Text size="xs" c="dimmed" px="sm">The first {items.length} of {total}.</Text>
          )}
          {items.map(({ position, conversation }) => (
            <Group key={conversation.id} px="sm" py={6} justify="space-between" wrap="nowrap">
              <div>
                <Text size="sm">{position}. {phone(conversation.customer)}</Text>
                <Text size="xs" c="dimmed">
                  {conversation.queue}, for {since(conversation.queued_at, now)}
                </Text>
              </div>
              <Button size="compact-xs" variant="light" onClick={() => void take(conversation.id)}>
                Take
              </Button>
            </Group>
          ))}
        </ScrollArea.Autosize>
      </Collapse>
    </Stack>
  );
}
