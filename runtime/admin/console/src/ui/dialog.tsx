// Nothing that is hard to take back happens without a dialog that names it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CallError } from "../api/rpc";
import { Fault } from "./parts";

interface Properties {
  title: string;
  /** What will happen, exactly. */
  children: ComponentChildren;
  /** The word on the button: what it does, never "OK". */
  action: string;
  danger?: boolean;
  /** Does it. The dialog closes when it is done and stays when it throws. */
  run: () => Promise<void>;
  close: () => void;
  /** It cannot be done yet. */
  blocked?: boolean;
}

/** What was opened by a button may take that away a moment later: who uses keys goes on from
 * the page's beginning then, not from the browser's. */
function keepFocus(): void {
  let left = 20;
  const timer = setInterval(() => {
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
    if (--left === 0) clearInterval(timer);
  }, 250);
}

export function Dialog({ title, children, action, danger, run, close, blocked }: Properties) {
  const box = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CallError>();
  useEffect(() => {
    const opener = document.activeElement;
    box.current?.showModal();
    return () => {
      box.current?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      keepFocus();
    };
  }, []);
  const act = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await run();
      close();
    } catch (cause) {
      setError(cause instanceof CallError ? cause : new CallError("unknown", String(cause)));
      setBusy(false);
    }
  };
  return (
    <dialog ref={box} class="dialog" aria-labelledby="dialog-title" onCancel={(e) => { e.preventDefault(); if (!busy) close(); }}>
      <form method="dialog" onSubmit={(e) => { e.preventDefault(); if (!busy && !blocked) void act(); }}>
        <h2 id="dialog-title">{title}</h2>
        <div class="dialog-body">{children}</div>
        {error && <Fault error={error} />}
        <div class="dialog-foot">
          <button type="button" class="button" onClick={close} disabled={busy}>Cancel</button>
          <button type="submit" class={danger ? "button button-danger" : "button button-main"} disabled={busy || blocked}>{busy ? "Working…" : action}</button>
        </div>
      </form>
    </dialog>
  );
}
