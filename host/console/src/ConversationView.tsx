import { Alert, Badge, Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useRef, useState } from "react";

import type { Desk, Me, Summary } from "./api";
import { Composer } from "./Composer";
import { CustomerData } from "./CustomerData";
import { type Ending, endingOf, keepEnding } from "./drafts";
import { phone, since } from "./format";
import { HandOver, type Run } from "./HandOver";
import type { Send } from "./live";
import { Transcript } from "./Transcript";
import { useNow } from "./useNow";
import { WhyDrawer } from "./Why";
import { type Conversation, isIncomplete, partsOf } from "./work";

interface Props {
  conversation: Conversation;
  me: Me;
  desk: Desk;
  send: Send;
  /** Asks for what came before a message. */
  onEarlier: (id: string, before: number) => void;
}

export function ConversationView({ conversation, me, desk, send, onEarlier }: Props) {
  const { summary, messages } = conversation;
  const [problem, setProblem] = useState<string | null>(null);
  const [whyOpen, setWhyOpen] = useState(false);
  const [dataOpen, setDataOpen] = useState(false);
  const run: Run = async (command) => {
    const error = await send(command);
    setProblem(error);
    return error;
  };
  const act = (type: "leave" | "rejoin" | "end" | "end_consult") => () =>
    void run({ type, conversation: summary.id });
  const isPrimary = summary.agent === me.agent;
  const isUnderWay = summary.state === "active" || summary.state === "waiting";
  const { ends, owes } = partsOf(summary, me.agent);
  const part = usePart(summary.id, ends);
  // Keys differ among siblings, or React keeps forms that should have gone.
  return (
    <Stack flex={1} mih={0} gap={0}>
      <Group justify="space-between" p="md" wrap="nowrap" align="flex-start"
        style={{ borderBottom: "1px solid var(--mantine-color-default-border)" }}>
        <div>
          <Group gap="xs">
            <Text fw={700}>{phone(summary.customer)}</Text>
            <Marks summary={summary} />
          </Group>
          <Text size="xs" c="dimmed">
            to {phone(summary.own)} · {summary.channel} · queue {summary.queue} · <Timer from={summary.timer_from} />
          </Text>
        </div>
        <Group gap="xs" justify="flex-end">
          {desk.permissions.includes("customer.data") && (
            <Button variant="subtle" size="xs" onClick={() => setDataOpen(true)}>Customer's data</Button>
          )}
          <Button variant="subtle" size="xs" onClick={() => setWhyOpen(true)}>Why?</Button>
          {isPrimary && isUnderWay && <HandOver summary={summary} desk={desk} run={run} />}
          {isPrimary && summary.state === "active" && (
            <Button variant="default" size="xs" onClick={act("leave")}>Wait for customer</Button>
          )}
          {isPrimary && summary.state === "waiting" && (
            <Button variant="default" size="xs" onClick={act("rejoin")}>Take up again</Button>
          )}
          {summary.consultants.includes(me.agent) && (
            <Button variant="default" size="xs" onClick={act("leave")}>Leave</Button>
          )}
          {isPrimary && isUnderWay && (
            <Button size="xs" color="red" variant="light" onClick={act("end")}>End</Button>
          )}
        </Group>
      </Group>
      {problem && (
        <Alert color="red" role="alert" m="md" mb={0} withCloseButton
          onClose={() => setProblem(null)}>{problem}</Alert>
      )}
      {summary.handed_to && (
        <Alert color="orange" m="md" mb={0} p="xs">
          <Group justify="space-between">
            <Text size="sm">
              {summary.handed_to.consult ? "Asked for advice" : "Offered"}:{" "}
              {summary.handed_to.agent ?? `anybody of ${summary.queue}`}, no answer yet
            </Text>
            <Button size="compact-xs" variant="subtle" onClick={act("end_consult")}>Take back</Button>
          </Group>
        </Alert>
      )}
      {summary.consultants.length > 0 && (
        <Alert color="teal" m="md" mb={0} p="xs">
          <Group justify="space-between">
            <Text size="sm">
              {isPrimary
                ? `${summary.consultants.join(", ")} can read along and write notes; the customer doesn't see it.`
                : `You advise ${summary.agent}. The customer doesn't see you: write internal notes.`}
            </Text>
            {isPrimary && (
              <Button size="compact-xs" variant="subtle" onClick={act("end_consult")}>Thank them</Button>
            )}
          </Group>
        </Alert>
      )}
      {(ends || owes) && (
        <WrapUp key={`wrap-up ${part} ${summary.id}`} part={ends ? "wrap-up" : "before"} agent={me.agent}
          title={ends ? "The conversation has ended" : "How did the part before end? The customer wrote before you were done."}
          summary={summary} run={run} />
      )}
      {summary.summary && (
        <Alert color="gray" m="md" mb={0} p="xs" data-testid="summary">
          {summary.disposition ? `${summary.disposition}: ` : ""}{summary.summary}
        </Alert>
      )}
      {isIncomplete(conversation) && (
        <Text size="sm" c="dimmed" m="md" mb={0} role="status">Reading what was said before…</Text>
      )}
      <Transcript messages={messages} onEarlier={(before) => onEarlier(summary.id, before)} />
      {(isPrimary || summary.consultants.includes(me.agent)) && (
        <Composer key={`composer ${summary.id}`} agent={me.agent} summary={summary} canReply={isPrimary} send={send} />
      )}
      <CustomerData key={`data ${summary.id}`} me={me} customer={summary.customer} opened={dataOpen}
        onClose={() => setDataOpen(false)} />
      <WhyDrawer id={summary.id} me={me} desk={desk} opened={whyOpen}
        onClose={() => setWhyOpen(false)} />
    </Stack>
  );
}

/** A part that has ended is the same as one before, once the customer has written: whoever is typing goes on. */
function usePart(id: string, ends: boolean): number {
  const seen = useRef({ id, ends, part: 0 });
  if (seen.current.id !== id) seen.current = { id, ends, part: 0 };
  else if (seen.current.ends !== ends) {
    seen.current = { id, ends, part: seen.current.part + (ends ? 1 : 0) };
  }
  return seen.current.part;
}

/** Flags, tags and priority: what a glance should tell before the first word. */
function Marks({ summary }: { summary: Summary }) {
  return (
    <>
      {summary.flags.bad_actor && <Badge color="red">bad actor</Badge>}
      {summary.flags.verified_customer && <Badge color="teal">verified</Badge>}
      {summary.flags.repeat_customer && <Badge color="blue" variant="light">repeat</Badge>}
      {summary.opted_out && <Badge color="red" variant="light">opted out</Badge>}
      {summary.priority > 0 && <Badge variant="outline">priority {summary.priority}</Badge>}
      {summary.tags.map((tag) => <Badge key={tag} variant="default">{tag}</Badge>)}
    </>
  );
}

function Timer({ from }: { from: number }) {
  const now = useNow(1000);
  return <span>{since(from, now)} in this session</span>;
}

function WrapUp({ part, title, agent, summary, run }: {
  part: string;
  title: string;
  agent: string;
  summary: Summary;
  run: Run;
}) {
  const [ending, setEnding] = useState(() => endingOf(agent, summary.id, part));
  const change = (changed: Partial<Ending>) => {
    const now = { ...ending, ...changed };
    keepEnding(agent, summary.id, part, now);
    setEnding(now);
  };
  const finish = async () => {
    const error = await run({
      type: "finish_wrap_up",
      conversation: summary.id,
      disposition: ending.disposition,
      summary: ending.summary.trim() || null,
    });
    if (error === null) keepEnding(agent, summary.id, part, null);
  };
  return (
    <Alert color="violet" m="md" mb={0} title={title}>
      <Group align="flex-end">
        {summary.dispositions.length > 0 && (
          <Select size="xs" label="How it ended" data={summary.dispositions} value={ending.disposition}
            onChange={(disposition) => change({ disposition })} placeholder="Choose" />
        )}
        <TextInput size="xs" flex={1} label="What it was about" value={ending.summary} maxLength={4000}
          onChange={(event) => change({ summary: event.currentTarget.value })} />
        <Button size="xs" onClick={() => void finish()}>Finish wrap-up</Button>
      </Group>
    </Alert>
  );
}
