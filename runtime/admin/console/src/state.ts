import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { call, CallError } from "./api/rpc";

/** A value that components can follow. */
export class Cell<T> {
  private followers = new Set<() => void>();
  constructor(private value: T) {}
  get(): T {
    return this.value;
  }
  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    this.followers.forEach((follower) => follower());
  }
  follow(then: () => void): () => void {
    this.followers.add(then);
    return () => this.followers.delete(then);
  }
}

/** The value of a cell, for as long as the component lives. It is followed before anything
 * else can happen, not once the page was painted: a value that is set in between and never
 * again, such as who asks, would not be shown. */
export function useCell<T>(cell: Cell<T>): T {
  const [, again] = useState(0);
  const drawn = cell.get();
  useLayoutEffect(() => {
    const draw = () => again((n) => n + 1);
    if (!Object.is(cell.get(), drawn)) draw(); // set while the page was drawn
    return cell.follow(draw);
  }, [cell]);
  return drawn;
}

/** Nothing is asked for while it is true: what is shown stands still. */
export const paused = new Cell(false);

/** The page can be seen. Who cannot see it asks for nothing. */
export const visible = new Cell(document.visibilityState !== "hidden");
document.addEventListener("visibilitychange", () => visible.set(document.visibilityState !== "hidden"));

/** Who asks, as the API tells: a page leaves out what that role may not do. */
export interface Caller {
  name: string;
  role: string;
}

export const caller = new Cell<Caller | undefined>(undefined);

/** Whether what changes something is offered; the API refuses it, whatever a page shows. */
export const useOperate = (): boolean => (useCell(caller)?.role ?? "operate") === "operate";

/** What a question to the API has given so far. */
export interface Asked<T> {
  /** The last answer; kept when a later question fails. */
  data?: T;
  /** Why the last question failed. */
  error?: CallError;
  /** When the last answer came, in milliseconds. */
  at: number;
  /** Asks now. */
  again: () => void;
}

/** Asks a method again and again; only once where every is 0. No method asks nothing. */
export function useAsk<T>(method: string | null, message: object, every: number): Asked<T> {
  const key = `${method} ${JSON.stringify(message)}`;
  const [state, put] = useState<{ key: string; data?: T; error?: CallError; at: number }>({ key, at: 0 });
  const [turn, setTurn] = useState(0);
  const still = useCell(paused);
  const seen = useCell(visible);
  const forced = useRef(0);
  useEffect(() => {
    const first = forced.current !== turn || !still;
    forced.current = turn;
    if (method === null || !seen || !first) return;
    const ended = new AbortController();
    let timer = 0;
    const ask = async () => {
      try {
        const data = await call<T>(method, message, ended.signal);
        put({ key, data, at: Date.now() });
      } catch (cause) {
        if (ended.signal.aborted) return;
        const error = cause instanceof CallError ? cause : new CallError("unknown", String(cause));
        put((old) => ({ key, data: old.key === key ? old.data : undefined, error, at: old.at }));
      }
      if (every > 0 && !paused.get() && !ended.signal.aborted) timer = window.setTimeout(() => void ask(), every);
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [key, every, still, seen, turn]);
  return { data: state.key === key ? state.data : undefined, error: state.key === key ? state.error : undefined, at: state.at, again: () => setTurn((n) => n + 1) };
}
