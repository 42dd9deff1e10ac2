import { Button, Group, Menu, ScrollArea, Text } from "@mantine/core";

import type { Command, Desk, Summary } from "./api";
import { COLORS, Dot } from "./PresenceMenu";

/** Does a command, shows what was wrong with it, and says it. */
export type Run = (command: Command) => Promise<string | null>;

interface Props {
  summary: Summary;
  desk: Desk;
  run: Run;
}

/** Transfer and consult: to whom, with what they are doing beside their name. */
export function HandOver({ summary, desk, run }: Props) {
  const conversation = summary.id;
  const colleagues = desk.colleagues.filter((colleague) => !colleague.light);
  const queues = desk.queues.filter((queue) => queue.id !== summary.queue);
  return (
    <Group gap="xs">
      <Menu width={260} position="bottom-end">
        <Menu.Target>
          <Button variant="default" size="xs">Transfer</Button>
        </Menu.Target>
        <Menu.Dropdown>
          <ScrollArea.Autosize mah={360}>
            {queues.length > 0 && <Menu.Label>To a queue</Menu.Label>}
            {queues.map((queue) => (
              <Menu.Item key={queue.id}
                onClick={() => void run({ type: "transfer", conversation, to: { queue: queue.id } })}>
                {queue.name}
              </Menu.Item>
            ))}
            <Menu.Label>To a colleague, who has to accept</Menu.Label>
            {colleagues.map((colleague) => (
              <Person key={colleague.id} colleague={colleague}
                onClick={() =>
                  void run({ type: "transfer", conversation, to: { agent: colleague.id } })
                } />
            ))}
          </ScrollArea.Autosize>
        </Menu.Dropdown>
      </Menu>
      {summary.state === "active" && (
        <Menu width={260} position="bottom-end">
          <Menu.Target>
            <Button variant="default" size="xs">Ask for advice</Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item onClick={() => void run({ type: "consult", conversation, agent: null })}>
              Anybody of {summary.queue} who is free
            </Menu.Item>
            <Menu.Divider />
            {colleagues.map((colleague) => (
              <Person key={colleague.id} colleague={colleague}
                onClick={() => void run({ type: "consult", conversation, agent: colleague.id })} />
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
    </Group>
  );
}

function Person({ colleague, onClick }: {
  colleague: Desk["colleagues"][number];
  onClick: () => void;
}) {
  return (
    <Menu.Item onClick={onClick} leftSection={<Dot color={COLORS[colleague.presence.status]} />}>
      {colleague.name} <Text span size="xs" c="dimmed">{colleague.presence.label}</Text>
    </Menu.Item>
  );
}
