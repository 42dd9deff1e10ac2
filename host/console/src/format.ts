// Numbers and times as people read them.

import type { Message } from "./api";

export function clockTime(ms: number): string {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function since(ms: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** +14255550100 as +1 425 555 0100; other countries in groups of three. */
export function phone(number: string): string {
  const us = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  if (us) return `+1 ${us[1]} ${us[2]} ${us[3]}`;
  return number.replace(/^(\+\d{2})(\d{3})(\d{3})(\d+)$/, "$1 $2 $3 $4");
}

const WORDS = {
  queued: "sending",
  unconfirmed: "not confirmed: it may not have arrived",
  sent: "sent",
  delivered: "delivered",
  undelivered: "not delivered",
} as const;

export function deliveryText(delivery: NonNullable<Message["delivery"]>): string {
  const word = WORDS[delivery.status];
  return delivery.status === "undelivered" ? `${word}: ${delivery.reason} (${delivery.code})` : word;
}
