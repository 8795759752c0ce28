// Config: what is in effect, against the file; the last reload and its problems.
import { useState } from "preact/hooks";
import { call } from "../api/rpc";
import type { ConfigStatus, ConfigValue } from "../api/types";
import { ago, clock, hash, moment, num, whole } from "../format";
import { useQuery } from "../route";
import { useAsk, useOperate } from "../state";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { notify } from "../ui/notice";
import { Answered, Badge, Choice, Empty, Figure, Figures, Panel, Table } from "../ui/parts";

export function Config() {
  const asked = useAsk<{ values?: ConfigValue[]; status?: ConfigStatus }>("Config/Get", {}, 2500);
  const may = useOperate();
  const [reloading, reload] = useState(false);
  return (
    <div class="stack">
      <div class="title"><h1>Config</h1>{may && <button type="button" class="button" onClick={() => reload(true)}><Icon name="swap" />Read it again…</button>}</div>
      <Answered asked={asked}>{({ values, status = {} }) => (<><Status s={status} /><Values of={values ?? []} /></>)}</Answered>
      {reloading && <ReloadDialog file={asked.data?.status?.file} shut={() => reload(false)} done={asked.again} />}
    </div>
  );
}

function Status({ s }: { s: ConfigStatus }) {
  const refused = s.result === "refused";
  const problems = s.problems ?? [];
  const faults = s.faults ?? [];
  const wrong = refused || faults.length > 0;
  return (
    <Panel title="Running against file" class={wrong ? "panel-bad" : ""}>
      <p class={`verdict-line tone-${wrong ? "bad" : (s.restart?.length ?? 0) > 0 ? "warn" : "ok"}`} role={wrong ? "alert" : "status"}>
        <Icon name={wrong ? "deny" : (s.restart?.length ?? 0) > 0 ? "trapping" : "ok"} size={20} />
        <b>{refused ? "The last reload was refused: weft runs on with the configuration before it." : wrong ? "Something that the configuration names cannot be used as it is now: what was read before goes on." : (s.restart?.length ?? 0) > 0 ? "The file is in effect, but for what waits for a restart." : s.file ? "What runs is what the file says." : "weft runs with its built-in example: no file was named."}</b>
      </p>
      {faults.length > 0 && <ul class="problems">{faults.map((f) => <li key={f} class="tone-bad"><pre>{f}</pre></li>)}</ul>}
      {problems.length > 0 && <ol class="problems">{problems.map((p, i) => <li key={i}><pre>{p}</pre></li>)}</ol>}
      {(s.restart?.length ?? 0) > 0 && <p>Waits for a restart: {s.restart!.map((k) => <code class="chip" key={k}>{k}</code>)}</p>}
      <Figures>
        <Figure label="File" note={s.sha256 ? `read as ${hash(s.sha256)}` : undefined}>{s.file || "none"}</Figure>
        <Figure label="In effect since" note={clock(moment(s.applied))}>{ago(moment(s.applied))}</Figure>
        <Figure label="Last read again" note={s.result}>{s.reloaded ? ago(moment(s.reloaded)) : "not yet"}</Figure>
        <Figure label="Reloads">{whole(num(s.appliedCount))} <small>applied</small></Figure>
        <Figure label="Unchanged">{whole(num(s.unchangedCount))}</Figure>
        <Figure label="Refused" tone={num(s.refusedCount) > 0 ? "warn" : undefined}>{whole(num(s.refusedCount))}</Figure>
      </Figures>
    </Panel>
  );
}

function Values({ of }: { of: ConfigValue[] }) {
  const [find, setFind] = useQuery("find");
  const [which, setWhich] = useQuery("values", "set");
  const wanted = of.filter((v) => (which === "all" || v.origin !== "default") && (!find || `${v.key} ${v.value} ${v.origin}`.toLowerCase().includes(find.toLowerCase())));
  return (
    <Panel title="In effect" tight aside={<>
      <label class="inline">Find <input type="search" value={find} spellcheck={false} onInput={(e) => setFind(e.currentTarget.value)} /></label>
      <Choice label="Which values" value={which} options={[["set", "Set"], ["all", "With defaults"]]} set={setWhich} />
    </>}>
      {wanted.length === 0 ? <Empty title={find ? "No value matches" : "Nothing is set"} icon="config"><p>{find ? "Look among the defaults, too, or for less." : "Every value is its default."}</p></Empty> : (
        <Table label="Values" head={["Key", "Value", "Where it comes from"]}>
          {wanted.map((v) => <tr key={v.key}><th scope="row"><code>{v.key}</code></th><td class="wide">{v.secret ? <Badge tone="idle">hidden</Badge> : <code>{v.value}</code>}</td><td class={v.origin === "default" ? "muted" : ""}>{v.origin}</td></tr>)}
        </Table>
      )}
    </Panel>
  );
}

function ReloadDialog({ file, shut, done }: { file?: string; shut: () => void; done: () => void }) {
  const run = async () => {
    try {
      const got = await call<{ status?: ConfigStatus }>("Config/Reload");
      const faults = got.status?.faults ?? [];
      if (faults.length > 0) notify("bad", faults.join(" "));
      else notify("ok", got.status?.result === "unchanged" ? "Nothing has changed: the configuration is the one that runs." : "The configuration is in effect.");
    } finally {
      done();
    }
  };
  return (
    <Dialog title="Read the configuration again?" action="Read it again" run={run} close={shut}>
      <p>{file ? <code>{file}</code> : "The configuration"} is read, checked, and put into effect where it differs from what runs. Connections of listeners that do not change stay open.</p>
      <p class="muted">If something is wrong with it, it is refused as a whole and nothing changes.</p>
    </Dialog>
  );
}
