import { Alert, Badge, Button, Group, Stack, Text } from "@mantine/core";
import { useState } from "react";

import type { Command } from "./api";
import { Composer } from "./Composer";
import { phone } from "./format";
import type { Send } from "./live";
import { Transcript } from "./Transcript";
import type { Conversation } from "./work";

export function ConversationView({ conversation, send }: { conversation: Conversation; send: Send }) {
  const { summary, messages } = conversation;
  const [problem, setProblem] = useState<string | null>(null);
  const act = (type: "leave" | "rejoin" | "end" | "finish_wrap_up") => async () => {
    setProblem(await send({ type, conversation: summary.id } as Command));
  };
  return (
    <Stack h="100%" gap={0}>
      <Group justify="space-between" p="md" wrap="nowrap"
        style={{ borderBottom: "1px solid var(--mantine-color-default-border)" }}>
        <div>
          <Text fw={700}>{phone(summary.customer)}</Text>
          <Text size="xs" c="dimmed">
            to {phone(summary.own)} · {summary.channel} · queue {summary.queue}
          </Text>
        </div>
        <Group gap="xs">
          {summary.opted_out && <Badge color="red" variant="light">opted out</Badge>}
          {summary.state === "active" && (
            <Button variant="default" size="xs" onClick={act("leave")}>Wait for customer</Button>
          )}
          {summary.state === "waiting" && (
            <Button variant="default" size="xs" onClick={act("rejoin")}>Take up again</Button>
          )}
          {summary.state === "wrap_up" ? (
            <Button size="xs" onClick={act("finish_wrap_up")}>Finish wrap-up</Button>
          ) : (
            <Button size="xs" color="red" variant="light" onClick={act("end")}>End</Button>
          )}
        </Group>
      </Group>
      {problem && <Alert color="red" role="alert" m="md" mb={0}>{problem}</Alert>}
      {summary.state === "wrap_up" && (
        <Alert color="violet" m="md" mb={0}>
          The conversation has ended. Add notes, then finish wrap-up.
        </Alert>
      )}
      <Transcript messages={messages} />
      <Composer key={summary.id} summary={summary} send={send} />
    </Stack>
  );
}
