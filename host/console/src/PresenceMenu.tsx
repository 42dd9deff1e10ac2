import { Button, Menu } from "@mantine/core";

import type { BaseStatus, Presence } from "./api";
import type { Send } from "./live";

const CHOICES: { status: BaseStatus; label: string }[] = [
  { status: "online", label: "Online" },
  { status: "busy", label: "Busy" },
  { status: "away", label: "Away" },
  { status: "do_not_disturb", label: "Do not disturb" },
  { status: "transfers_only", label: "Transfers only" },
];

const COLORS: Record<BaseStatus, string> = {
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

export function PresenceMenu({ presence, send }: { presence: Presence; send: Send }) {
  return (
    <Menu position="bottom-start" width={230}>
      <Menu.Target>
        <Button variant="default" size="compact-md" data-testid="presence"
          leftSection={<Dot color={COLORS[presence.status]} />}>
          {shown(presence)}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {CHOICES.map(({ status, label }) => (
          <Menu.Item key={status} leftSection={<Dot color={COLORS[status]} />}
            onClick={() => void send({ type: "presence", status, label: null })}>
            {label}
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

function Dot({ color }: { color: string }) {
  return (
    <span aria-hidden style={{
      width: 10, height: 10, borderRadius: 5, display: "inline-block",
      background: `var(--mantine-color-${color}-6)`,
    }} />
  );
}
