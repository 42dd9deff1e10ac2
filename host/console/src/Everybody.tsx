import { Alert, Badge, Button, Drawer, Group, Modal, Stack, Table, Text } from "@mantine/core";
import { useEffect, useState } from "react";

import {
  type Desk, type Me, type Summary, type Transcript as Whole, MOST_OPEN as MOST, allOpen, transcript,
} from "./api";
import { Composer } from "./Composer";
import { STATES } from "./ConversationList";
import { phone, since } from "./format";
import type { Send, Watch } from "./live";
import { Transcript } from "./Transcript";
import { useNow } from "./useNow";
import { merge } from "./work";
import { WhyDrawer } from "./Why";

interface Props {
  me: Me;
  desk: Desk;
  send: Send;
  watch: Watch;
  /** A conversation was taken over: it is to be opened. */
  onTaken: (id: string) => void;
}

/** Everybody's open work: for those who may end or take over what is stuck (CONV-07), and for light
 * agents, who read along and write notes (PRES-08). */
export function Everybody({ me, desk, send, watch, onTaken }: Props) {
  const [opened, setOpened] = useState(false);
  // Escape closes what lies on top, and only that.
  const [hasMore, setHasMore] = useState(false);
  if (!me.light && !desk.permissions.includes("conversation.read")) return null;
  return (
    <>
      <Button variant="subtle" size="compact-sm" onClick={() => setOpened(true)}>All open work</Button>
      <Drawer opened={opened} onClose={() => setOpened(false)} position="right" size="xl"
        closeOnEscape={!hasMore}
        title={<Text fw={700}>All open work, oldest first</Text>}>
        {opened && (
          <OpenWork me={me} desk={desk} send={send} watch={watch} onMore={setHasMore} onTaken={(id) => {
            setOpened(false);
            onTaken(id);
          }} />
        )}
      </Drawer>
    </>
  );
}

function OpenWork({ me, desk, send, watch, onMore, onTaken }: Props & { onMore: (more: boolean) => void }) {
  const [known, setKnown] = useState<Summary[] | null>(null);
  const [ending, setEnding] = useState<Summary | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const [read, setRead] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const now = useNow(1000);
  const more = ending !== null || asked !== null || read !== null;
  useEffect(() => onMore(more), [more, onMore]);
  const ask = () => void allOpen().then((answer) => answer && setKnown(answer));
  useEffect(() => {
    ask();
    return watch(ask);
  }, [watch]);
  const run = async (type: "end" | "take_over", conversation: string) => {
    const refused = await send({ type, conversation });
    setProblem(refused);
    ask();
    if (refused === null && type === "take_over") onTaken(conversation);
  };
  const may = new Set(desk.permissions);
  const name = (id: string) => desk.colleagues.find((one) => one.id === id)?.name ?? id;
  return (
    <Stack>
      {problem && <Alert color="red" role="alert">{problem}</Alert>}
      {known?.length === MOST && (
        <Text c="dimmed" size="sm">These are the first {MOST}; there may be more.</Text>
      )}
      {known?.length === 0 && <Text c="dimmed">Nothing is open.</Text>}
      <Table data-testid="all-open" verticalSpacing="xs">
        <Table.Tbody>
          {known?.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>
                <Text size="sm" fw={600}>{phone(one.customer)}</Text>
                <Text size="xs" c="dimmed">{one.channel}, queue {one.queue}</Text>
              </Table.Td>
              <Table.Td>
                <Badge size="sm" variant="light" color={STATES[one.state].color}>{STATES[one.state].label}</Badge>
                <Text size="xs" c="dimmed">
                  {one.agent ? `with ${one.agent === me.agent ? "you" : name(one.agent)}` : "with nobody yet"}, {since(one.opened_at, now)} old
                </Text>
              </Table.Td>
              <Table.Td>
                <Group gap={4} justify="flex-end" wrap="nowrap">
                  <Button size="compact-xs" variant="subtle" onClick={() => setRead(one.id)}>Read</Button>
                  <Button size="compact-xs" variant="subtle" onClick={() => setAsked(one.id)}>Why?</Button>
                  {may.has("take_over") && !me.light && one.agent && one.agent !== me.agent && one.state !== "wrap_up" && (
                    <Button size="compact-xs" variant="light" onClick={() => void run("take_over", one.id)}>
                      Take over
                    </Button>
                  )}
                  {may.has("conversation.end") && (
                    <Button size="compact-xs" variant="light" color="red" onClick={() => setEnding(one)}>
                      End
                    </Button>
                  )}
                </Group>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Modal opened={ending !== null} onClose={() => setEnding(null)} centered
        title={<Text fw={700}>End this conversation?</Text>}>
        {ending && (
          <Stack>
            <Text size="sm">
              {phone(ending.customer)},{" "}
              {ending.agent ? `with ${name(ending.agent)}` : `waiting in ${ending.queue}`}. The
              customer isn't told; if they write again, it is routed anew.
            </Text>
            <Group justify="flex-end">
              <Button variant="default" onClick={() => setEnding(null)}>Keep it</Button>
              <Button color="red" onClick={() => {
                void run("end", ending.id);
                setEnding(null);
              }}>End it</Button>
            </Group>
          </Stack>
        )}
      </Modal>
      <WhyDrawer id={asked ?? ""} me={me} desk={desk} opened={asked !== null}
        onClose={() => setAsked(null)} />
      <Drawer opened={read !== null} onClose={() => setRead(null)} position="right" size="lg"
        title={<Text fw={700}>Reading along</Text>}>
        {read !== null && <ReadAlong key={read} id={read} agent={me.agent} send={send} watch={watch} />}
      </Drawer>
    </Stack>
  );
}

/** A conversation as it goes on, for somebody who takes no part in it; notes are for its agent only. */
function ReadAlong({ id, agent, send, watch }: { id: string; agent: string; send: Send; watch: Watch }) {
  const [whole, setWhole] = useState<Whole | null>(null);
  const [messages, setMessages] = useState<Whole["messages"]>([]);
  const [isGone, setIsGone] = useState(false);
  useEffect(() => {
    const ask = () => void transcript(id).then((answer) => {
      setIsGone(answer === null);
      if (answer) {
        setWhole(answer);
        setMessages((known) => merge(known, answer.messages));
      }
    });
    ask();
    return watch((changed) => {
      if (changed === null || changed.includes(id)) ask();
    });
  }, [id, watch]);
  if (isGone) return <Text c="dimmed">This conversation can't be read any more.</Text>;
  if (!whole) return null;
  return (
    <Stack h="80dvh" gap={0} data-testid="read-along">
      <Text size="sm" fw={600}>{phone(whole.conversation.customer)}</Text>
      <Transcript messages={messages} onEarlier={(before) => {
        void transcript(id, before).then((page) => page && setMessages((known) => merge(page.messages, known)));
      }} />
      <Composer agent={agent} summary={whole.conversation} canReply={false} send={send} />
    </Stack>
  );
}
