import { Alert, Button, Group, SegmentedControl, Stack, Text, Textarea } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import type { Summary } from "./api";
import { type Draft, type Mode, draftOf, keep, newKey, onChange } from "./drafts";
import type { Send } from "./live";

interface Props {
  /** Who writes. */
  agent: string;
  summary: Summary;
  /** Who advises writes notes only. */
  canReply: boolean;
  send: Send;
}

export function Composer({ agent, summary, canReply, send }: Props) {
  const [draft, setDraft] = useState(() => draftOf(agent, summary.id));
  // Beside the state: an answer may come when another letter has been typed since.
  const latest = useRef(draft);
  const change = (part: Partial<Draft>) => {
    latest.current = { ...latest.current, ...part };
    keep(agent, summary.id, latest.current, part);
    setDraft(latest.current);
  };
  // What was written, or sent, in another tab. What is being sent from here is left alone.
  const isBusy = useRef(false);
  useEffect(
    () => onChange(agent, summary.id, () => {
      if (isBusy.current) return;
      const { reply, note, key, tried } = draftOf(agent, summary.id);
      latest.current = { ...latest.current, reply, note, key, tried };
      setDraft(latest.current);
    }),
    [agent, summary.id],
  );
  // Whoever writes a note goes on with it when the conversation becomes theirs meanwhile: it takes their own
  // hand to turn the box into a reply.
  const [isHeld, setHeld] = useState(!canReply);
  const mode: Mode = canReply && !isHeld ? draft.mode : "note";
  const text = draft[mode];
  const [problem, setProblem] = useState<string | null>(null);
  const [sending, setSending] = useState(false);
  const count = [...text].length;
  const isReply = mode === "reply";
  const isOver = isReply && count > summary.max_text;
  const isShut = isReply && (summary.opted_out || summary.state === "wrap_up");

  const submit = async () => {
    if (!text.trim() || isOver || sending) return;
    setSending(true);
    isBusy.current = true;
    const conversation = summary.id;
    // The same text under the same name goes out once, however often it is sent. Another text is another
    // reply: under the old name it would be taken for the one that may have arrived.
    const isSame = draft.tried === null || draft.tried === text;
    const key = isSame ? draft.key : newKey();
    if (isReply) change({ key, tried: text });
    const error = await send(
      isReply
        ? { type: "reply", conversation, text, client_key: key }
        : { type: "note", conversation, text },
    );
    setSending(false);
    isBusy.current = false;
    setProblem(error);
    if (error === null) {
      // What was typed meanwhile stays.
      const now = latest.current;
      const rest = now[mode].startsWith(text) ? now[mode].slice(text.length) : now[mode];
      change(isReply ? { reply: rest, key: newKey(), tried: null } : { note: rest });
    }
  };

  return (
    <Stack gap="xs" p="md" style={{ borderTop: "1px solid var(--mantine-color-default-border)" }}>
      <Group justify="space-between">
        <SegmentedControl size="xs" value={mode}
          onChange={(value) => {
            setHeld(false);
            change({ mode: value as Mode });
          }}
          data={[
            { value: "reply", label: "Reply", disabled: !canReply },
            { value: "note", label: "Internal note" },
          ]} />
        <Text size="xs" c={isOver ? "red" : "dimmed"}>
          {isReply ? `${count} of ${summary.max_text} characters` : "Customers never see notes"}
        </Text>
      </Group>
      {isReply && summary.opted_out && (
        <Alert color="red" p="xs">
          The customer has opted out and gets no messages until they text START.
        </Alert>
      )}
      {problem && <Alert color="red" role="alert" p="xs">{problem}</Alert>}
      <Group align="flex-end" wrap="nowrap">
        <Textarea flex={1} autosize minRows={2} maxRows={8} value={text} disabled={isShut}
          aria-label={isReply ? "Reply" : "Internal note"}
          placeholder={isReply ? "Write a reply. Enter sends, Shift+Enter breaks the line." : "Write a note for colleagues."}
          styles={mode === "note" ? { input: { background: "var(--mantine-color-yellow-light)" } } : {}}
          onChange={(event) => {
            const written = { [mode]: event.currentTarget.value };
            change(isHeld ? { ...written, mode } : written);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
              event.preventDefault();
              void submit();
            }
          }} />
        <Button onClick={submit} loading={sending} disabled={isShut || isOver || !text.trim()}
          color={isReply ? undefined : "yellow"}>
          {isReply ? "Send" : "Add note"}
        </Button>
      </Group>
    </Stack>
  );
}
