import { Alert, Drawer, Select, Stack, Text, Timeline } from "@mantine/core";
import { useEffect, useState } from "react";

import { type Desk, type Me, type Why, type WhyNot, why, whyNot } from "./api";

interface Props {
  id: string;
  me: Me;
  desk: Desk;
  opened: boolean;
  onClose: () => void;
}

/** Why the conversation is where it is, and why not with somebody else, in the engine's own sentences
 * (ROUTE-15). */
export function WhyDrawer({ id, me, desk, opened, onClose }: Props) {
  const [answer, setAnswer] = useState<Why | null>(null);
  useEffect(() => {
    if (opened) void why(id).then(setAnswer);
  }, [id, opened]);
  return (
    <Drawer opened={opened} onClose={onClose} position="right" size="md"
      title={<Text fw={700}>Why is it here?</Text>}>
      {answer && (
        <Stack data-testid="why">
          {answer.place && (
            <Alert color="indigo">
              In {answer.place.queue}:{" "}
              {answer.place.position === null || answer.place.position === undefined
                ? "being offered"
                : `number ${answer.place.position} of ${answer.place.waiting}`}
            </Alert>
          )}
          <WhyNotSomebody key={id} id={id} me={me} desk={desk} />
          <Timeline bulletSize={12} lineWidth={2} active={answer.steps.length}>
            {answer.steps.map((step, index) => (
              <Timeline.Item key={index} title={<Text size="sm">{step.sentence}</Text>}>
                {step.passed_over.map((passed) => (
                  <Text key={passed.agent} size="xs" c="dimmed">
                    {passed.agent}: {passed.sentence}
                  </Text>
                ))}
                <Text size="xs" c="dimmed">{new Date(step.at).toLocaleTimeString()}</Text>
              </Timeline.Item>
            ))}
          </Timeline>
        </Stack>
      )}
    </Drawer>
  );
}

/** Agents ask about themselves, supervisors about everybody. */
function WhyNotSomebody({ id, me, desk }: { id: string; me: Me; desk: Desk }) {
  const [answer, setAnswer] = useState<WhyNot | null>(null);
  const myself = { value: me.agent, label: `${me.name} (you)` };
  const colleagues = desk.colleagues.map(({ id, name }) => ({ value: id, label: name }));
  const choices = me.role === "agent" ? [myself] : [myself, ...colleagues];
  const ask = (agent: string | null) => {
    setAnswer(null);
    if (agent !== null) void whyNot(agent, id).then(setAnswer);
  };
  return (
    <Stack gap={4}>
      <Select size="xs" label="Why not with …" placeholder="Choose an agent" searchable clearable
        data={choices} onChange={ask} />
      {answer && (
        <Alert color={answer.could ? "teal" : "gray"} p="xs" data-testid="why-not">
          {answer.sentence}.
        </Alert>
      )}
    </Stack>
  );
}
