import {
  Alert, AppShell, Button, Center, Group, Progress, Stack, Text, Title,
} from "@mantine/core";
import { useEffect, useState } from "react";

import { type Me, type Usage, signOut } from "./api";
import { ConversationList } from "./ConversationList";
import { ConversationView } from "./ConversationView";
import { forget } from "./drafts";
import { CustomerDataButton } from "./CustomerData";
import { Everybody } from "./Everybody";
import { useLive } from "./live";
import { Offers } from "./Offers";
import { PresenceMenu } from "./PresenceMenu";
import { useDesk } from "./useDesk";
import { useEndings } from "./useEndings";
import { Waiting } from "./Waiting";
import type { News as NewsItem } from "./work";

export function Desk({ me, onSignedOut }: { me: Me; onSignedOut: () => void }) {
  const { known, onBoard } = useDesk();
  const { work, send, watch, earlier, select, dismiss } = useLive(me.agent, onBoard, onSignedOut);
  const selected = work.selected === null ? undefined : work.conversations.get(work.selected);
  const conversations = [...work.conversations.values()];
  const [problem, setProblem] = useState<string | null>(null);
  useEndings(me.agent, conversations);
  const leave = () => signOut(me).then(
    (isOut) => {
      // Only what is over is forgotten.
      if (isOut) forget(me.agent);
      if (isOut) onSignedOut();
      else location.reload();
    },
    () => setProblem("You aren't signed out: the host can't be reached. Try again once it can."),
  );
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
            {work.presence && !me.light && (
              <PresenceMenu presence={work.presence} labels={known.labels} send={send} />
            )}
          </Group>
          <Group gap="sm">
            <CustomerDataButton me={me} desk={known} />
            <Everybody me={me} desk={known} send={send} watch={watch} onTaken={select} />
            <Text size="sm">{me.name} <Text span c="dimmed">({me.role})</Text></Text>
            <Button variant="subtle" size="compact-sm"
              onClick={() => void leave()}>
              Sign out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        {!me.light && <Load capacity={work.capacity} />}
        <ConversationList me={me} conversations={conversations} selected={work.selected}
          onSelect={select} />
        {/* Below the list: what somebody is about to click on doesn't move. */}
        <Offers offers={work.offers} send={send} />
        <News news={work.news} onDismiss={dismiss} problems={known.problems} />
        {!me.light && <Waiting queues={known.queues} send={send} onTaken={select} />}
      </AppShell.Navbar>
      <AppShell.Main h="100dvh" display="flex" style={{ flexDirection: "column" }}>
        <Offline since={work.offlineSince} />
        {problem && (
          <Alert color="red" role="alert" p="xs" radius={0} withCloseButton onClose={() => setProblem(null)}>
            {problem}
          </Alert>
        )}
        {selected ? (
          <ConversationView conversation={selected} me={me} desk={known} send={send} onEarlier={earlier} />
        ) : (
          <Center h="100%">
            <Text c="dimmed">
              {emptyText(me, conversations.length)}
            </Text>
          </Center>
        )}
      </AppShell.Main>
    </AppShell>
  );
}

/** A line that is lost, or that is only half alive, looks like a quiet day: so it is said. */
function Offline({ since: from }: { since: number | null }) {
  if (from === null) return null;
  const time = new Date(from).toLocaleTimeString();
  return (
    <Alert color="red" role="status" p="xs" radius={0} data-testid="offline">
      Not connected since {time}; trying again. What you write stays here.
    </Alert>
  );
}

function emptyText(me: Me, conversations: number): string {
  if (conversations > 0) return "Choose a conversation.";
  if (me.light) return "You take no work; read along and write notes under All open work.";
  return "You're ready. Offers appear here.";
}

const KINDS = { voice: "Calls", chat: "Chats", messaging: "Messages", email: "Emails" } as const;

/** Used and available places, for the kinds of work that this agent has in hand or can have. */
function Load({ capacity }: { capacity: Usage[] }) {
  const shown = capacity.filter((usage) => usage.kind === "messaging" || usage.used > 0);
  return (
    <Stack gap="xs" p="md" style={{ borderBottom: "1px solid var(--mantine-color-default-border)" }}>
      {shown.map((usage) => (
        <div key={usage.kind}>
          <Group justify="space-between">
            <Text size="xs" c="dimmed">{KINDS[usage.kind]} in hand</Text>
            <Text size="xs" fw={600} data-testid={usage.kind === "messaging" ? "load" : undefined}>
              {usage.used} of {usage.limit}
            </Text>
          </Group>
          <Progress size="sm" value={Math.min(100, (usage.used / Math.max(1, usage.limit)) * 100)}
            color={usage.used >= usage.limit ? "red" : "indigo"} />
        </div>
      ))}
    </Stack>
  );
}

/** What somebody should know, beside the work and covering none of it. */
function News({ news, problems, onDismiss }: {
  news: NewsItem[];
  problems: string[];
  onDismiss: (key: number) => void;
}) {
  if (problems.length === 0 && news.length === 0) return null;
  return (
    <Stack gap="xs" p="xs">
      {problems.length > 0 && (
        <Alert color="red" title="The configuration's files are wrong and not in force">
          {problems.slice(0, 3).map((problem) => <Text size="xs" key={problem}>{problem}</Text>)}
        </Alert>
      )}
      {news.map(({ key, color, text }) => (
        <Alert key={key} color={color} role="status" withCloseButton onClose={() => onDismiss(key)}>
          {text}
        </Alert>
      ))}
    </Stack>
  );
}
