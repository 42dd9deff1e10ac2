import { Button, Menu, Text } from "@mantine/core";

import type { BaseStatus, Desk, Presence } from "./api";
import type { Send } from "./live";

const CHOICES: { status: BaseStatus; label: string }[] = [
  { status: "online", label: "Online" },
  { status: "busy", label: "Busy" },
  { status: "away", label: "Away" },
  { status: "do_not_disturb", label: "Do not disturb" },
  { status: "transfers_only", label: "Transfers only" },
];

export const COLORS: Record<BaseStatus, string> = {
  online: "green",
  away: "yellow",
  busy: "red",
  do_not_disturb: "red",
  transfers_only: "violet",
  offline: "gray",
};

function shown(presence: Presence): string {
  const choice = CHOICES.find((c) => c.status === presence.label);
  return choice?.label ?? presence.label;
}

const BY_RULE: Partial<Record<Presence["source"], string>> = {
  idle: "set by the idle rule",
  missed_offers: "set because offers were missed",
};

interface Props {
  presence: Presence;
  labels: Desk["labels"];
  send: Send;
}

export function PresenceMenu({ presence, labels, send }: Props) {
  return (
    <Menu position="bottom-start" width={230}>
      <Menu.Target>
        <Button variant="default" size="compact-md" data-testid="presence"
          leftSection={<Dot color={COLORS[presence.status]} />}>
          {shown(presence)}
          {BY_RULE[presence.source] && (
            <Text span size="xs" c="dimmed" ml={6}>{BY_RULE[presence.source]}</Text>
          )}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {CHOICES.map(({ status, label }) => (
          <Menu.Item key={status} leftSection={<Dot color={COLORS[status]} />}
            onClick={() => void send({ type: "presence", status, label: null })}>
            {label}
          </Menu.Item>
        ))}
        {labels.length > 0 && <Menu.Divider />}
        {labels.map((label) => (
          <Menu.Item key={label.id} leftSection={<Dot color={COLORS[label.status]} />}
            onClick={() => void send({ type: "presence", status: null, label: label.id })}>
            {label.name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => void send({ type: "presence", status: null, label: null })}>
          By my load (automatic)
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function Dot({ color }: { color: string }) {
  return (
    <span aria-hidden style={{
      width: 10, height: 10, borderRadius: 5, display: "inline-block",
      background: `var(--mantine-color-${color}-6)`,
    }} />
  );
}
