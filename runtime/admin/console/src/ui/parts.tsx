// The small parts that every page is made of.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { CallError } from "../api/rpc";
import type { Level, NodeState } from "../api/types";
import { clock } from "../format";
import type { Asked } from "../state";
import { Icon, type IconName } from "./icon";

/** How a thing is: never by colour alone. */
export type Tone = "ok" | "warn" | "bad" | "idle" | "info" | "trial";

export function Badge({ tone, icon, children, title }: { tone: Tone; icon?: IconName; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge tone-${tone}`} title={title}>
      {icon && <Icon name={icon} size={13} />}
      {children}
    </span>
  );
}

/** A level of the API as tone, icon and word. */
export function level(l: Level): { tone: Tone; icon: IconName; word: string } {
  switch (l) {
    case "LEVEL_OK": return { tone: "ok", icon: "ok", word: "Healthy" };
    case "LEVEL_WARN": return { tone: "warn", icon: "trapping", word: "Attention" };
    case "LEVEL_BAD": return { tone: "bad", icon: "deny", word: "Trouble" };
  }
  return { tone: "idle", icon: "idle", word: "Unknown" };
}

const nodeStates: Record<NodeState, { tone: Tone; icon: IconName; word: string }> = {
  OK: { tone: "ok", icon: "ok", word: "ok" },
  IDLE: { tone: "idle", icon: "idle", word: "idle" },
  SLOW: { tone: "warn", icon: "slow", word: "slow" },
  TRAPPING: { tone: "bad", icon: "trapping", word: "trapping" },
  BYPASSED: { tone: "bad", icon: "bypassed", word: "bypassed" },
  OPEN_CIRCUIT: { tone: "bad", icon: "open", word: "open circuit" },
  DOWN: { tone: "bad", icon: "deny", word: "down" },
  UNSPECIFIED: { tone: "idle", icon: "idle", word: "unknown" },
};

/** A node's state as tone, icon and word. */
export const nodeState = (s?: string) => nodeStates[(s ?? "").replace("NODE_STATE_", "") as NodeState] ?? nodeStates.UNSPECIFIED;

/** A box with a heading; it is a landmark of that name. */
export function Panel({ title, aside, children, tight, class: more = "" }: { title: string; aside?: ComponentChildren; children: ComponentChildren; tight?: boolean; class?: string }) {
  return (
    <section class={`panel ${more}`} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {aside && <div class="panel-aside">{aside}</div>}
      </header>
      <div class={tight ? "panel-body tight" : "panel-body"}>{children}</div>
    </section>
  );
}

/** Nothing is there: why, whether that is normal, what to do. */
export function Empty({ title, children, icon = "idle" }: { title: string; children?: ComponentChildren; icon?: IconName }) {
  return (
    <div class="empty">
      <Icon name={icon} size={22} />
      <p class="empty-title">{title}</p>
      {children && <div class="empty-text">{children}</div>}
    </div>
  );
}

/** A question failed: that is not the same as nothing being there. */
export function Fault({ error, again, since }: { error: CallError; again?: () => void; since?: number }) {
  const served = error.code === "unimplemented" || error.code === "failed_precondition";
  return (
    <div class={served ? "fault fault-mild" : "fault"} role={served ? "note" : "alert"}>
      <Icon name={served ? "info" : "trapping"} size={18} />
      <div>
        <p class="fault-title">{served ? "Not in use here" : `The question failed: ${error.code.replace(/_/g, " ")}`}</p>
        <p>{error.message}</p>
        {since ? <p class="muted">What is shown below is as of {clock(since)}.</p> : null}
      </div>
      {again && !served && (
        <button type="button" class="button" onClick={again}>Ask again</button>
      )}
    </div>
  );
}

/** What an answer is shown by: before the first one, when it fails, and when it is there. */
export function Answered<T>({ asked, children }: { asked: Asked<T>; children: (data: T) => ComponentChildren }) {
  const { data, error, again, at } = asked;
  return (
    <>
      {error && !(error.code === "unreachable" && data) && <Fault error={error} again={again} since={data ? at : undefined} />}
      {data ? children(data) : !error && <Waiting />}
    </>
  );
}

export const Waiting = () => <p class="waiting" role="status">Asking weft…</p>;

/** A figure with its name. */
export function Figure({ label, children, note, tone }: { label: string; children: ComponentChildren; note?: ComponentChildren; tone?: Tone }) {
  return (
    <div class={`figure ${tone ? `figure-${tone}` : ""}`}>
      <dt>{label}</dt>
      <dd>
        <span class="figure-value">{children}</span>
        {note && <span class="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

export const Figures = ({ children }: { children: ComponentChildren }) => <dl class="figures">{children}</dl>;

/** How much of a limit is used; without a limit nothing is drawn. */
export function Meter({ value, label, text }: { value: number; label: string; text: string }) {
  const part = Math.min(Math.max(value, 0), 1);
  const tone = part >= 0.9 ? "bad" : part >= 0.7 ? "warn" : "ok";
  return (
    <div class="meter" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(part * 100)} aria-valuetext={text}>
      <div class={`meter-fill tone-${tone}`} style={{ width: `${Math.max(part * 100, part > 0 ? 1.5 : 0)}%` }} />
    </div>
  );
}

/** Names with values, such as a message's attributes. */
export function Pairs({ of, none = "none" }: { of?: Record<string, string>; none?: string }) {
  const names = Object.keys(of ?? {}).sort();
  if (names.length === 0) return <span class="muted">{none}</span>;
  return (
    <span class="pairs">
      {names.map((name) => (
        <span class="pair" key={name}><span class="pair-name">{name}</span>{of![name]}</span>
      ))}
    </span>
  );
}

/** One of a few, as buttons in a row. */
export function Choice({ label, value, options, set }: { label: string; value: string; options: [value: string, word: string][]; set: (value: string) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([v, word]) => (
        <button type="button" key={v} aria-pressed={v === value} onClick={() => set(v)}>{word}</button>
      ))}
    </div>
  );
}

/** A table that scrolls sideways by itself where it does not fit. */
export function Table({ label, head, children }: { label: string; head: (string | [string, string])[]; children: ComponentChildren }) {
  return (
    <div class="table" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>{head.map((h) => (typeof h === "string" ? <th scope="col" key={h}>{h}</th> : <th scope="col" class={h[1]} key={h[0]}>{h[0]}</th>))}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A field that gives what was written, trimmed, once it is left or with Enter. Figures that
 * come meanwhile draw the page anew and leave what is being written alone. */
export function Search({ value, placeholder, put }: { value: string; placeholder: string; put: (text: string) => void }) {
  const [written, write] = useState(value);
  useLayoutEffect(() => write(value), [value]);
  return <input type="search" value={written} placeholder={placeholder} spellcheck={false} onInput={(e) => write(e.currentTarget.value)} onChange={(e) => put(e.currentTarget.value.trim())} />;
}
