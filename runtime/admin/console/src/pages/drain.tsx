// Draining ends weft: asked for by its name.
import { useState } from "preact/hooks";
import { call } from "../api/rpc";
import type { Duration, Long } from "../api/types";
import { count, num, seconds, span } from "../format";
import { Dialog } from "../ui/dialog";
import { notify } from "../ui/notice";

export function DrainDialog({ node, connections, inFlight, deadLetters, shut }: { node: string; connections: number; inFlight: number; deadLetters: number; shut: () => void }) {
  const [within, setWithin] = useState("0");
  const [written, write] = useState("");
  const run = async () => {
    const got = await call<{ deadline?: Duration; connections?: Long; inFlight?: Long; deadLetters?: Long }>("Lifecycle/Drain", within === "0" ? {} : { deadline: `${within}s` });
    const letters = num(got.deadLetters);
    notify("ok", `${node} drains: ${count(num(got.connections), "connection")} open, ${count(Math.max(num(got.inFlight), 0), "message")} under way. It ends within ${span(seconds(got.deadline))}.${letters ? ` ${count(letters, "dead letter")} ${letters === 1 ? "ends" : "end"} with it.` : ""}`);
  };
  return (
    <Dialog title={`Drain ${node}, and end it?`} action="Drain and end it" danger run={run} close={shut} blocked={written !== node}>
      <p>It is not ready from now on and accepts nothing new; what it has accepted is delivered; then the process ends. <b>{count(connections, "connection")}</b> and <b>{count(inFlight, "message")} in flight</b> now.</p>
      {deadLetters > 0 && <p class="consequence tone-bad"><b>{count(deadLetters, "dead letter")}</b> {deadLetters === 1 ? "is" : "are"} kept in its memory and would be discarded with it. Replay or delete what is there before, on the page Dead letters.</p>}
      <p class="consequence tone-bad">This page loses it, too. What starts it again, a service manager say, may do so; nothing here can.</p>
      <label class="field">What is not delivered is dropped and counted after<select value={within} onChange={(e) => setWithin(e.currentTarget.value)}><option value="0">what the configuration says</option><option value="10">10 seconds</option><option value="60">1 minute</option><option value="600">10 minutes</option></select></label>
      <label class="field"><span>Write <b>{node}</b> to confirm</span><input value={written} spellcheck={false} autocomplete="off" onInput={(e) => write(e.currentTarget.value.trim())} /></label>
    </Dialog>
  );
}
