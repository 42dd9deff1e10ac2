import { ActionIcon, Alert, Badge, Button, Collapse, Group, ScrollArea, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";

import { type WaitingItem, waiting } from "./api";
import { phone, since } from "./format";
import type { Send } from "./live";
import { useNow } from "./useNow";

const EVERY = 3000;

/** What waits in the agent's queues, to be taken by hand (ROUTE-10, ROUTE-14). */
export function Waiting({ send, onTaken }: { send: Send; onTaken: (id: string) => void }) {
  const [items, setItems] = useState<WaitingItem[]>([]);
  const [opened, setOpened] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const now = useNow(1000);
  useEffect(() => {
    const ask = () => void waiting().then((answer) => setItems(answer ?? []));
    ask();
    const timer = window.setInterval(ask, EVERY);
    return () => window.clearInterval(timer);
  }, []);
  const take = async (conversation: string) => {
    const refused = await send({ type: "take", conversation });
    setProblem(refused);
    if (refused === null) onTaken(conversation);
    setItems((known) => known.filter((item) => item.conversation.id !== conversation));
  };
  return (
    <Stack gap={0} style={{ borderTop: "1px solid var(--mantine-color-default-border)" }}>
      <Group justify="space-between" p="sm" style={{ cursor: "pointer" }}
        onClick={() => setOpened(!opened)}>
        <Group gap="xs">
          <Text size="sm" fw={600}>Waiting in your queues</Text>
          <Badge size="sm" color={items.length > 0 ? "orange" : "gray"} data-testid="waiting">
            {items.length}
          </Badge>
        </Group>
        <ActionIcon variant="subtle" aria-label={opened ? "Hide" : "Show"}>{opened ? "▾" : "▴"}</ActionIcon>
      </Group>
      <Collapse expanded={opened}>
        {problem && <Alert color="red" role="alert" m="xs" p="xs">{problem}</Alert>}
        <ScrollArea.Autosize mah={260}>
          {items.length === 0 && <Text size="sm" c="dimmed" px="sm" pb="sm">Nobody waits.</Text>}
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
