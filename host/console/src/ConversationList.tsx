import { Badge, Group, NavLink, ScrollArea, Stack, Text } from "@mantine/core";

import type { Me } from "./api";
import { hasDraft } from "./drafts";
import { phone, since } from "./format";
import { useNow } from "./useNow";
import type { Conversation } from "./work";

export const STATES = {
  open: { label: "open", color: "gray" },
  active: { label: "active", color: "green" },
  waiting: { label: "waiting for customer", color: "yellow" },
  wrap_up: { label: "wrap-up", color: "violet" },
  closed: { label: "closed", color: "gray" },
} as const;

interface Props {
  /** Whose desk it is. */
  me: Me;
  conversations: Conversation[];
  selected: string | null;
  onSelect: (id: string) => void;
}

export function ConversationList({ me, conversations, selected, onSelect }: Props) {
  const now = useNow(1000);
  if (conversations.length === 0) {
    return (
      <Stack p="md" gap={4} flex={1}>
        <Text fw={600}>No conversations</Text>
        <Text c="dimmed" size="sm">
          {me.light
            ? "You take no work."
            : "While you are online, waiting customers are offered to you here."}
        </Text>
      </Stack>
    );
  }
  // Whoever wrote last is on top: that is who waits for an answer.
  const ordered = conversations.toSorted(
    (a, b) => b.summary.last_customer_at - a.summary.last_customer_at,
  );
  return (
    <ScrollArea flex={1}>
      {ordered.map(({ summary, messages, unread }) => (
        <NavLink key={summary.id} component="button" active={summary.id === selected} data-testid="conversation"
          aria-current={summary.id === selected}
          onClick={() => onSelect(summary.id)}
          label={
            <Group justify="space-between" wrap="nowrap">
              <Text fw={600} size="sm">{phone(summary.customer)}</Text>
              <Text c="dimmed" size="xs">{since(summary.last_customer_at, now)}</Text>
            </Group>
          }
          description={
            <Stack gap={4}>
              <Text size="xs" truncate>{messages.at(-1)?.text}</Text>
              <Group gap={6}>
                <Badge size="xs" variant="light" color={STATES[summary.state].color}>
                  {STATES[summary.state].label}
                </Badge>
                {summary.wrap_ups.includes(me.agent) && (
                  <Badge size="xs" color="violet" variant="outline">wrap-up to finish</Badge>
                )}
                {summary.id !== selected && hasDraft(me.agent, summary.id) && (
                  <Badge size="xs" color="orange" variant="outline">draft</Badge>
                )}
                {summary.opted_out && <Badge size="xs" color="red" variant="light">opted out</Badge>}
                {unread > 0 && <Badge size="xs" circle>{unread}</Badge>}
              </Group>
            </Stack>
          }
        />
      ))}
    </ScrollArea>
  );
}
