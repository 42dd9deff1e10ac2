// Requests to the host; types come from its OpenAPI description.

import type { components } from "./api.d";

type Schemas = components["schemas"];

export type Me = Schemas["Me"];
export type Summary = Schemas["Summary"];
export type Message = Schemas["Message"];
export type Notice = Schemas["Notice"];
export type FirstFrame = Schemas["FirstFrame"];
export type BoardFrame = Schemas["BoardFrame"];
export type Offer = Schemas["OfferView"];
export type Presence = Schemas["Presence"];
export type Usage = Schemas["Usage"];
export type BaseStatus = Schemas["BaseStatus"];
export type Transcript = Schemas["Transcript"];
export type Command = Schemas["Command"];
export type Desk = Schemas["DeskView"];
export type WaitingItem = Schemas["WaitingItem"];
export type Why = Schemas["Why"];
export type WhyNot = Schemas["WhyNotView"];
export type Erased = Schemas["Erased"];

async function get<T>(path: string): Promise<T | null> {
  const response = await fetch(`/api/v1/${path}`);
  return response.ok ? await response.json() : null;
}

/** Labels, permissions, colleagues, queues. */
export const desk = () => get<Desk>("desk");

/** What waits in my queues, best first. */
export const MOST_WAITING = 20;
export const waiting = () => get<WaitingItem[]>(`waiting?limit=${MOST_WAITING}`);

/** Everybody's open conversations, oldest first (supervisors). */
export const MOST_OPEN = 200;
export const allOpen = () => get<Summary[]>(`conversations?all=true&limit=${MOST_OPEN}`);

/** Why a conversation is where it is. */
export const why = (id: string) => get<Why>(`conversations/${id}/why`);

/** Why an agent doesn't have a conversation (supervisors; everybody about themselves). */
export const whyNot = (agent: string, id: string) =>
  get<WhyNot>(`agents/${encodeURIComponent(agent)}/why-not?conversation=${id}`);

/** Who is signed in; `null` if nobody is. */
export async function me(): Promise<Me | null> {
  const response = await fetch("/api/v1/me");
  if (response.status >= 500 || response.status === 429) throw new Error("the host can't say now");
  return response.ok ? await response.json() : null;
}

/** Signs in; the sentence that says why not, if not. */
export async function signIn(agent: string, password: string): Promise<string | null> {
  const response = await fetch("/api/v1/sign-in", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agent, password }),
  });
  return response.ok ? null : ((await response.json()) as { message: string }).message;
}

/** False: the session isn't this page's any more, and goes on. */
export async function signOut(me: Me): Promise<boolean> {
  const response = await fetch("/api/v1/sign-out", {
    method: "POST",
    headers: { "x-csrf-token": me.csrf ?? "" },
  });
  return response.ok || response.status === 401;
}

/** The newest part of a conversation, or what came before a message of it. */
export async function transcript(id: string, before?: number): Promise<Transcript | null> {
  const response = await fetch(`/api/v1/conversations/${id}${before ? `?before=${before}` : ""}`);
  return response.ok ? await response.json() : null;
}

/** Where what is kept of a customer is taken out (permission `customer.data`). */
export const customerDataPath = (customer: string) =>
  `/api/v1/customers/data?customer=${encodeURIComponent(customer)}`;

/** Erases it; the sentence that says why not, if not. */
export async function eraseCustomer(me: Me, customer: string): Promise<Erased | string> {
  try {
    const response = await fetch(customerDataPath(customer), {
      method: "DELETE",
      headers: { "x-csrf-token": me.csrf ?? "" },
    });
    const answer = await response.json();
    return response.ok ? (answer as Erased) : (answer as { message: string }).message;
  } catch {
    return "the host didn't answer; look again before you try once more";
  }
}
