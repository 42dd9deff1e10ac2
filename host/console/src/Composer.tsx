import { Alert, Button, Group, SegmentedControl, Stack, Text, Textarea } from "@mantine/core";
import { useRef, useState } from "react";

import type { Summary } from "./api";
import type { Send } from "./live";

/** A name for one reply: sent again after a break, it goes out once. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16)).join("");
}

interface Props {
  summary: Summary;
  /** Who advises writes notes only. */
  canReply: boolean;
  send: Send;
}

export function Composer({ summary, canReply, send }: Props) {
  const [chosen, setMode] = useState<"reply" | "note">("reply");
  const mode = canReply ? chosen : "note";
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [sending, setSending] = useState(false);
  const key = useRef(newKey());

  const count = [...text].length;
  const isReply = mode === "reply";
  const isOver = isReply && count > summary.max_text;
  const isShut = isReply && (summary.opted_out || summary.state === "wrap_up");

  const submit = async () => {
    if (!text.trim() || isOver || sending) return;
    setSending(true);
    const conversation = summary.id;
    const error = await send(
      isReply
        ? { type: "reply", conversation, text, client_key: key.current }
        : { type: "note", conversation, text },
    );
    setSending(false);
    setProblem(error);
    if (error === null) {
      setText("");
      key.current = newKey();
    }
  };

  return (
    <Stack gap="xs" p="md" style={{ borderTop: "1px solid var(--mantine-color-default-border)" }}>
      <Group justify="space-between">
        <SegmentedControl size="xs" value={mode} onChange={(value) => setMode(value as typeof mode)}
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
          onChange={(event) => setText(event.currentTarget.value)}
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
