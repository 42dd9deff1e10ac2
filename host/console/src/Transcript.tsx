import { Anchor, Badge, Box, Button, Group, Paper, ScrollArea, Stack, Text } from "@mantine/core";
import { useEffect, useRef } from "react";

import type { Message } from "./api";
import { clockTime, deliveryText } from "./format";

interface Props {
  messages: Message[];
  /** Asks for what came before a message. */
  onEarlier: (before: number) => void;
}

export function Transcript({ messages, onEarlier }: Props) {
  const end = useRef<HTMLDivElement>(null);
  const first = messages[0]?.no ?? 1;
  // What comes in above moves nothing.
  const last = messages[messages.length - 1]?.no;
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [last]);
  return (
    <ScrollArea flex={1} px="lg">
      <Stack gap="xs" py="lg" data-testid="transcript" role="log">
        {first > 1 && (
          <Button variant="subtle" size="compact-sm" onClick={() => onEarlier(first)}>
            Show earlier messages
          </Button>
        )}
        {messages.map((message) => <Entry key={message.no} message={message} />)}
        <div ref={end} />
      </Stack>
    </ScrollArea>
  );
}

function Entry({ message }: { message: Message }) {
  const isCustomer = message.role === "customer";
  const background = message.internal
    ? "var(--mantine-color-yellow-light)"
    : isCustomer
      ? "var(--mantine-color-default-hover)"
      : "var(--mantine-color-indigo-light)";
  const failed = message.delivery?.status === "undelivered";
  return (
    <Box maw="72%" style={{ alignSelf: isCustomer ? "flex-start" : "flex-end" }}>
      <Paper p="xs" px="sm" radius="lg" bg={background} data-testid="message">
        {message.internal && (
          <Text size="xs" fw={600} c="yellow.9">
            Internal note, not sent{message.role === "agent" && ` · ${message.agent}`}
          </Text>
        )}
        {message.role === "system" && (
          <Text size="xs" fw={600} c="dimmed">Sent automatically</Text>
        )}
        <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {message.text}
        </Text>
        {message.media?.map((file) => (
          <Anchor key={file.url} href={file.url} target="_blank" rel="noreferrer" size="sm">
            {file.content_type || "file"}
          </Anchor>
        ))}
        {message.over_length && (
          <Badge size="xs" color="orange" variant="light">longer than an SMS may be</Badge>
        )}
      </Paper>
      <Group gap={6} justify={isCustomer ? "flex-start" : "flex-end"} px={6}>
        <Text size="xs" c="dimmed">{clockTime(message.at)}</Text>
        {message.delivery && (
          <Text size="xs" c={failed ? "red" : "dimmed"} data-testid="delivery">
            {deliveryText(message.delivery)}
          </Text>
        )}
      </Group>
    </Box>
  );
}
