import { Alert, Drawer, Stack, Text, Timeline } from "@mantine/core";
import { useEffect, useState } from "react";

import { type Why, why } from "./api";

/** Why the conversation is where it is, in the engine's own sentences (ROUTE-15). */
export function WhyDrawer({ id, opened, onClose }: {
  id: string;
  opened: boolean;
  onClose: () => void;
}) {
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
