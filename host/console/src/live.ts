// The live connection: connects again by itself, and gives every command its answer.

import { useCallback, useEffect, useReducer, useRef, useState } from "react";

import { type BoardFrame, type Command, type FirstFrame, type Notice, me, transcript } from "./api";
import { change, isIncomplete, nothing } from "./work";

interface Answer {
  type: "answer";
  id: number | null;
  ok: boolean;
  error?: string;
}

/** Sends a command; resolves to the sentence that says why not, or to `null`. */
export type Send = (command: Command) => Promise<string | null>;

/** Hears which conversations have changed, of whomever; `null`: any may have. */
type Watcher = (conversations: string[] | null) => void;
/** Watches all open work; what is returned ends it. */
export type Watch = (changed: Watcher) => () => void;

const ACTIVITY_EVERY = 20_000;
const PAUSES = [250, 500, 1000, 2000, 5000];
/** The host says that it is alive every 15 s: whoever hears nothing for so long has lost the line. */
const SILENCE = 40_000;
/** A command that isn't answered in this time wasn't heard, or its answer wasn't. */
const ANSWER_WITHIN = 15_000;
/** A transcript that couldn't be read is asked for again. */
const READ_AGAIN_AFTER = 3_000;

export function useLive(
  agent: string,
  onBoard: (frame: BoardFrame | null) => void,
  onSignedOut: () => void,
) {
  const [work, dispatch] = useReducer(change, nothing);
  const socket = useRef<WebSocket | null>(null);
  const waiting = useRef(new Map<number, (error: string | null) => void>());
  const nextId = useRef(1);
  const watchers = useRef(new Set<Watcher>());

  useEffect(() => {
    let stopped = false;
    let tries = 0;
    let timer = 0;
    let heard = Date.now();

    const connect = () => {
      heard = Date.now();
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const opened = new WebSocket(`${scheme}//${location.host}/api/v1/live`);
      socket.current = opened;
      opened.onopen = () => {
        tries = 0;
        onBoard(null);
        if (watchers.current.size > 0) opened.send(JSON.stringify({ type: "watch", on: true }));
        // Whatever changed meanwhile.
        for (const changed of watchers.current) changed(null);
        dispatch({ type: "connection", connected: true });
      };
      opened.onmessage = (event) => {
        heard = Date.now();
        const frame = JSON.parse(event.data as string) as FirstFrame | BoardFrame | Notice | Answer;
        if (frame.type === "alive") return;
        // Somebody else has signed in in this browser: what this page shows isn't theirs.
        if (frame.type === "snapshot" && frame.agent !== agent) {
          location.reload();
          return;
        }
        if (frame.type === "work") {
          for (const changed of watchers.current) changed(frame.conversations ?? null);
          return;
        }
        if (frame.type === "colleague" || frame.type === "line" || frame.type === "desk") {
          onBoard(frame);
          return;
        }
        if (frame.type === "answer") {
          const settle = frame.id === null ? undefined : waiting.current.get(frame.id);
          if (frame.id !== null) waiting.current.delete(frame.id);
          settle?.(frame.ok ? null : (frame.error ?? "refused"));
          return;
        }
        dispatch({ type: "frame", frame });
      };
      opened.onclose = () => {
        if (socket.current !== opened) return;
        socket.current = null;
        dispatch({ type: "connection", connected: false });
        for (const settle of waiting.current.values()) settle("the connection broke; try again");
        waiting.current.clear();
        if (stopped) return;
        // A session that has ended isn't a line that is lost: somebody has to sign in.
        if (tries > 0) void me().then((who) => who === null && !stopped && onSignedOut()).catch(() => {});
        timer = window.setTimeout(connect, PAUSES[Math.min(tries, PAUSES.length - 1)]);
        tries += 1;
      };
    };

    connect();
    // A line that is half dead doesn't close by itself for minutes: it is left, and another one is tried.
    const watchdog = window.setInterval(() => {
      const open = socket.current;
      if (open !== null && Date.now() - heard > SILENCE) {
        open.close();
        open.onclose?.(new CloseEvent("close"));
      }
    }, 1000);
    return () => {
      stopped = true;
      window.clearInterval(watchdog);
      window.clearTimeout(timer);
      socket.current?.close();
    };
  }, [agent, onBoard, onSignedOut]);

  // Whoever moves the mouse or types is there; the host needs to hear it now and then only.
  useEffect(() => {
    let told = 0;
    const notice = () => {
      const open = socket.current;
      if (Date.now() - told < ACTIVITY_EVERY || open?.readyState !== WebSocket.OPEN) return;
      told = Date.now();
      open.send(JSON.stringify({ type: "activity" }));
    };
    const signs = ["pointermove", "keydown", "pointerdown"] as const;
    for (const sign of signs) window.addEventListener(sign, notice, { passive: true });
    return () => {
      for (const sign of signs) window.removeEventListener(sign, notice);
    };
  }, []);

  // A conversation that is new here has a history that this screen hasn't seen.
  const incomplete = [...work.conversations.values()].filter(isIncomplete);
  const wanted = incomplete.map(({ summary }) => `${summary.id} ${summary.messages}`).join("\n");
  const [attempt, setAttempt] = useState(0);
  const beingRead = useRef(new Set<string>());
  useEffect(() => {
    for (const { summary: { id, messages } } of incomplete) {
      const one = `${id} ${messages}`;
      if (beingRead.current.has(one)) continue;
      beingRead.current.add(one);
      const read = transcript(id).catch(() => null);
      void read.then((loaded) => {
        beingRead.current.delete(one);
        if (loaded) dispatch({ type: "loaded", id, messages: loaded.messages });
        else window.setTimeout(() => setAttempt((attempt) => attempt + 1), READ_AGAIN_AFTER);
      });
    }
  }, [wanted, attempt]);

  const send: Send = useCallback((command) => {
    const open = socket.current;
    if (open?.readyState !== WebSocket.OPEN) {
      return Promise.resolve("not connected; trying to reach the host");
    }
    const id = nextId.current++;
    return new Promise((resolve) => {
      const timer = window.setTimeout(() => {
        waiting.current.delete(id);
        resolve("the host doesn't answer; it may have heard it all the same");
      }, ANSWER_WITHIN);
      waiting.current.set(id, (error) => {
        window.clearTimeout(timer);
        resolve(error);
      });
      open.send(JSON.stringify({ ...command, id }));
    });
  }, []);

  const watch: Watch = useCallback((changed) => {
    const tell = (on: boolean) => {
      const open = socket.current;
      if (open?.readyState === WebSocket.OPEN) open.send(JSON.stringify({ type: "watch", on }));
    };
    watchers.current.add(changed);
    if (watchers.current.size === 1) tell(true);
    return () => {
      watchers.current.delete(changed);
      if (watchers.current.size === 0) tell(false);
    };
  }, []);

  const earlier = useCallback((id: string, before: number) => {
    void transcript(id, before).then((loaded) => {
      if (loaded) dispatch({ type: "loaded", id, messages: loaded.messages });
    });
  }, []);
  const select = useCallback((id: string) => dispatch({ type: "select", id }), []);
  const dismiss = useCallback((key: number) => dispatch({ type: "dismiss", key }), []);
  return { work, send, watch, earlier, select, dismiss };
}
