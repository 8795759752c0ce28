// A new version by drag and drop: checked first, put in place when one says how.
import { useEffect, useRef, useState } from "preact/hooks";
import { call, CallError } from "../api/rpc";
import type { Generation, Mode, Plugin } from "../api/types";
import { bytes, hash, num } from "../format";
import { useOperate } from "../state";
import { notify } from "../ui/notice";
import { Icon } from "../ui/icon";
import { Dialog } from "../ui/dialog";
import { Empty, Panel } from "../ui/parts";

interface Swapped {
  plugin?: Plugin;
  unchanged?: boolean;
  checked?: Generation;
}

/** What fits into a call: 16 MiB, less what base64 adds. */
const maxModule = 11 << 20;

export function DropZone({ p, changed }: { p: Plugin; changed: () => void }) {
  const [over, setOver] = useState(false);
  const [module, setModule] = useState<File>();
  const [back, setBack] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const may = useOperate();
  const take = (file: File | undefined) => {
    if (!file) return;
    if (!file.name.endsWith(".wasm")) return notify("bad", `${file.name} is no .wasm file: a plugin is a WebAssembly module. weft plugin build makes one.`);
    if (file.size > maxModule) return notify("bad", `${file.name} has ${bytes(file.size)}; the console takes ${bytes(maxModule)}. Put it in the place of the plugin's own file, then: weft plugin swap ${p.name}.`);
    setModule(file);
  };
  if (!may) return <Panel title="New version"><Empty title="You may look, not change" icon="info"><p>Your credential has the role <code>read</code>. Swapping, promoting and rolling back need <code>operate</code>.</p></Empty></Panel>;
  return (
    <Panel title="New version">
      <div class={over ? "drop-zone drop-over" : "drop-zone"}
        onDragOver={(e) => { e.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
        onDrop={(e) => { e.preventDefault(); setOver(false); take(e.dataTransfer?.files[0]); }}>
        <Icon name="upload" size={24} />
        <p><b>Drop a .wasm here</b></p>
        <p class="muted">It is loaded, checked and probed beside generation {num(p.live?.number)} before anything changes.</p>
        <input ref={input} type="file" accept=".wasm,application/wasm" class="unseen" id="module" tabIndex={-1} aria-label="A module: .wasm" onChange={(e) => { take(e.currentTarget.files?.[0]); e.currentTarget.value = ""; }} />
        <button type="button" class="button" onClick={() => input.current?.click()}>Choose a file…</button>
      </div>
      <div class="row">
        <button type="button" class="button" disabled={!p.candidate && !p.previous} onClick={() => setBack(true)}><Icon name="back" />{p.candidate ? `Withdraw generation ${num(p.candidate.number)}` : p.previous ? `Roll back to generation ${num(p.previous.number)}` : "Nothing to roll back to"}</button>
      </div>
      {module && <SwapDialog p={p} module={module} close={() => setModule(undefined)} changed={changed} />}
      {back && <RollbackDialog p={p} close={() => setBack(false)} changed={changed} />}
    </Panel>
  );
}

async function base64(file: File): Promise<string> {
  const raw = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < raw.length; at += 0x8000) text += String.fromCharCode(...raw.subarray(at, at + 0x8000));
  return btoa(text);
}

function SwapDialog({ p, module, close, changed }: { p: Plugin; module: File; close: () => void; changed: () => void }) {
  const [checked, setChecked] = useState<{ generation?: Generation; unchanged?: boolean; error?: CallError }>();
  const [mode, setMode] = useState<Mode>("ROLLOUT_MODE_CANARY");
  const [weight, setWeight] = useState(10);
  const [manual, setManual] = useState(true);
  const wasm = useRef("");
  useEffect(() => {
    let current = true;
    void (async () => {
      try {
        wasm.current = await base64(module);
        const got = await call<Swapped>("Plugins/Swap", { name: p.name, wasm: wasm.current, dryRun: true });
        if (current) setChecked({ generation: got.checked, unchanged: got.unchanged });
      } catch (cause) {
        if (current) setChecked({ error: cause instanceof CallError ? cause : new CallError("unknown", String(cause)) });
      }
    })();
    return () => { current = false; };
  }, [module]);
  const trial = mode === "ROLLOUT_MODE_CANARY" || mode === "ROLLOUT_MODE_SHADOW";
  const run = async () => {
    const got = await call<Swapped>("Plugins/Swap", { name: p.name, wasm: wasm.current, mode, ...(trial ? { weight, manual } : {}) });
    notify("ok", got.unchanged ? `${p.name}: that module runs already; nothing was changed.`
      : got.plugin?.candidate ? `${p.name}: generation ${num(got.plugin.candidate.number)} is on trial as a ${got.plugin.state === "PLUGIN_STATE_SHADOW" ? "shadow" : "canary"}.`
      : `${p.name}: generation ${num(got.plugin?.live?.number)} is live.`);
    changed();
  };
  const what: Record<string, string> = {
    ROLLOUT_MODE_CANARY: `It answers for ${weight} of a hundred sessions. Their messages go its way; all others stay with generation ${num(p.live?.number)}.`,
    ROLLOUT_MODE_SHADOW: `It sees the messages of ${weight} of a hundred sessions beside generation ${num(p.live?.number)}. Its answers are compared and thrown away: no message changes.`,
    ROLLOUT_MODE_AT_ONCE: `Every message goes through it from the next turn of each loop on. Generation ${num(p.live?.number)} is kept to roll back to.`,
  };
  return (
    <Dialog title={`New version of ${p.name}`} action={mode === "ROLLOUT_MODE_AT_ONCE" ? "Replace it now" : mode === "ROLLOUT_MODE_SHADOW" ? "Begin the shadow" : "Begin the canary"} danger={mode === "ROLLOUT_MODE_AT_ONCE"} run={run} close={close} blocked={!checked || Boolean(checked.error)}>
      <p class="module"><Icon name="plugins" /><b>{module.name}</b><span class="muted">{bytes(module.size)}{checked?.generation?.sha256 ? ` · ${hash(checked.generation.sha256)}` : ""}</span></p>
      <p class={checked?.error ? "check tone-bad" : checked ? "check tone-ok" : "check muted"} role="status">
        {!checked ? "Loading and checking it; nothing changes…" : checked.error ? <><Icon name="trapping" />It does not load: {checked.error.message}</> : checked.unchanged ? <><Icon name="info" />It is the module that runs already.</> : <><Icon name="ok" />It loads, its imports are granted, and its probe answers.</>}
      </p>
      <fieldset>
        <legend>How does it begin?</legend>
        {([["ROLLOUT_MODE_CANARY", "Canary"], ["ROLLOUT_MODE_SHADOW", "Shadow"], ["ROLLOUT_MODE_AT_ONCE", "At once"]] as const).map(([m, word]) => (
          <label class="radio" key={m}><input type="radio" name="mode" value={m} checked={mode === m} onChange={() => setMode(m)} />{word}</label>
        ))}
      </fieldset>
      {trial && (
        <>
          <label class="slider"><span>Of a hundred sessions</span><input type="range" min={1} max={100} value={weight} onInput={(e) => setWeight(Number(e.currentTarget.value))} /><output>{weight}</output></label>
          <label class="checkbox"><input type="checkbox" checked={manual} onChange={(e) => setManual(e.currentTarget.checked)} />Promote it by hand alone; one that does badly is withdrawn all the same</label>
        </>
      )}
      <p class="consequence">{what[mode]}</p>
      {p.candidate && <p class="consequence tone-warn">Generation {num(p.candidate.number)}, which is on trial, is withdrawn first.</p>}
      <p class="muted">A module that is sent lives until weft ends; at the next start {p.file} decides.</p>
    </Dialog>
  );
}

export function RollbackDialog({ p, close, changed }: { p: Plugin; close: () => void; changed: () => void }) {
  const trial = Boolean(p.candidate);
  const run = async () => {
    const got = await call<Swapped>("Plugins/Rollback", { name: p.name });
    notify("ok", trial ? `${p.name}: generation ${num(p.candidate?.number)} is withdrawn; generation ${num(got.plugin?.live?.number)} answers for every session.` : `${p.name}: generation ${num(got.plugin?.live?.number)} is live again.`);
    changed();
  };
  return (
    <Dialog title={trial ? `Withdraw generation ${num(p.candidate?.number)} of ${p.name}?` : `Roll ${p.name} back?`} action={trial ? "Withdraw it" : "Roll back"} danger run={run} close={close}>
      {trial ? <p>The {p.state === "PLUGIN_STATE_SHADOW" ? "shadow" : "canary"} ends now. Generation {num(p.live?.number)} answers for every session from the next turn of each loop on; no message is lost.</p>
        : <p>Generation {num(p.live?.number)} is replaced by what ran before it, generation {num(p.previous?.number)} (<code>{hash(p.previous?.sha256)}</code>). No message is lost.</p>}
      <p class="muted">It is written to the audit log.</p>
    </Dialog>
  );
}

export function PromoteDialog({ p, close, changed }: { p: Plugin; close: () => void; changed: () => void }) {
  const run = async () => {
    const got = await call<Swapped>("Plugins/Promote", { name: p.name });
    notify("ok", `${p.name}: generation ${num(got.plugin?.live?.number)} is live for every session.`);
    changed();
  };
  return (
    <Dialog title={`Promote generation ${num(p.candidate?.number)} of ${p.name}?`} action="Promote it" run={run} close={close}>
      <p>Generation {num(p.candidate?.number)} (<code>{hash(p.candidate?.sha256)}</code>) takes the place of generation {num(p.live?.number)} for every session, in {p.places?.join(", ") || "every place"}. Generation {num(p.live?.number)} is kept to roll back to.</p>
      <p class="muted">It is written to the audit log.</p>
    </Dialog>
  );
}
