import { useState } from "preact/hooks";
import { call, CallError, token } from "../api/rpc";
import { Icon } from "../ui/icon";

/** Asks for a token and tries it before it is kept. */
export function Login({ enter }: { enter: (token: string) => void }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(token.get() ? "The token that this tab had is not accepted any more." : "");
  const [busy, setBusy] = useState(false);
  const check = async () => {
    setBusy(true);
    const before = token.get();
    token.set(text.trim());
    try {
      await call("Overview/Get");
      enter(text.trim());
    } catch (cause) {
      const e = cause as CallError;
      if (e.code === "unauthenticated" || e.code === "permission_denied" || e.code === "resource_exhausted" || e.code === "unreachable") {
        token.set(before === text.trim() ? "" : before);
        setProblem(e.code === "permission_denied" ? "That token may not see anything here: the console needs the role read or operate." : e.message);
      } else {
        enter(text.trim());
      }
    }
    setBusy(false);
  };
  return (
    <main class="login" id="main">
      <form class="panel login-box" onSubmit={(e) => { e.preventDefault(); if (text.trim() && !busy) void check(); }}>
        <h1>weft</h1>
        <p>This weft asks who you are. Show it a token of <code>api.tokens</code>: with the role <code>read</code> you see everything, with <code>operate</code> you change it.</p>
        <label for="token">Token</label>
        <input id="token" type="password" autocomplete="off" spellcheck={false} value={text} onInput={(e) => setText(e.currentTarget.value)} aria-describedby="token-note" autofocus />
        <p id="token-note" class="muted">It stays in this tab until you close it, and is in no address.</p>
        <p class="login-problem" role="alert">{problem && <><Icon name="trapping" /> {problem}</>}</p>
        <button type="submit" class="button button-main" disabled={busy || !text.trim()}>{busy ? "Asking…" : "Enter"}</button>
      </form>
    </main>
  );
}
