import { AppShell, Badge, Button, Center, Group, Progress, Stack, Text, Title } from "@mantine/core";
import { useEffect } from "react";

import { type Me, type Usage, signOut } from "./api";
import { ConversationList } from "./ConversationList";
import { ConversationView } from "./ConversationView";
import { useLive } from "./live";
import { Offers } from "./Offers";
import { PresenceMenu } from "./PresenceMenu";

export function Desk({ me, onSignedOut }: { me: Me; onSignedOut: () => void }) {
  const { work, send, select } = useLive();
  const selected = work.selected === null ? undefined : work.conversations.get(work.selected);
  const conversations = [...work.conversations.values()];
  const unread = conversations.reduce((sum, c) => sum + c.unread, 0) + work.offers.length;
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Cordboard` : "Cordboard";
  }, [unread]);

  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 320, breakpoint: 0 }}>
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group>
            <Title order={4}>Cordboard</Title>
            {work.presence && <PresenceMenu presence={work.presence} send={send} />}
            {!work.connected && <Badge color="red" role="status">connecting…</Badge>}
          </Group>
          <Group gap="sm">
            <Text size="sm">{me.name} <Text span c="dimmed">({me.role})</Text></Text>
            <Button variant="subtle" size="compact-sm"
              onClick={() => void signOut(me).then(onSignedOut)}>
              Sign out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        <Load capacity={work.capacity} />
        <ConversationList conversations={conversations} selected={work.selected} onSelect={select} />
      </AppShell.Navbar>
      <AppShell.Main h="100dvh">
        {selected ? (
          <ConversationView conversation={selected} send={send} />
        ) : (
          <Center h="100%">
            <Text c="dimmed">
              {conversations.length > 0 ? "Choose a conversation." : "You're ready. Offers appear here."}
            </Text>
          </Center>
        )}
      </AppShell.Main>
      <Offers offers={work.offers} send={send} />
    </AppShell>
  );
}

/** Used and available places for text messages, the kind that this step's channels bring. */
function Load({ capacity }: { capacity: Usage[] }) {
  const messaging = capacity.find((usage) => usage.kind === "messaging");
  if (!messaging || messaging.limit === 0) return null;
  return (
    <Stack gap={4} p="md" style={{ borderBottom: "1px solid var(--mantine-color-default-border)" }}>
      <Group justify="space-between">
        <Text size="xs" c="dimmed">Messages in hand</Text>
        <Text size="xs" fw={600} data-testid="load">{messaging.used} of {messaging.limit}</Text>
      </Group>
      <Progress size="sm" value={Math.min(100, (messaging.used / messaging.limit) * 100)}
        color={messaging.used >= messaging.limit ? "red" : "indigo"} />
    </Stack>
  );
}
