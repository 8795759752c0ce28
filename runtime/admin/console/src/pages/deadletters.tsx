// Dead letters: what could not be handled, grouped by reason, plugin and generation.
import { useState } from "preact/hooks";
import { call, stream } from "../api/rpc";
import type { DeadFilter, DeadGroup, DeadLetter } from "../api/types";
import { ago, bytes, clock, count, moment, num, payload, whole } from "../format";
import { Link, to, useQuery } from "../route";
import { useAsk, useOperate } from "../state";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { notify } from "../ui/notice";
import { Answered, Badge, Empty, Pairs, Panel, Search, Table } from "../ui/parts";

interface Letters {
  letters?: DeadLetter[];
  nextPageToken?: string;
  total?: number;
  groups?: DeadGroup[];
  displaced?: string;
  lost?: string;
}

type Doing = { what: "replay" | "delete"; ids?: string[]; filter?: DeadFilter; n: number };

export function DeadLetters() {
  const [cause, setCause] = useQuery("cause");
  const [plugin, setPlugin] = useQuery("plugin");
  const [generation, setGeneration] = useQuery("generation");
  const [topic, setTopic] = useQuery("topic");
  const [open, setOpen] = useQuery("id");
  const [show, setShow] = useQuery("show", "20");
  const size = Math.min(Math.max(Number(show) || 20, 1), 100);
  const [doing, act] = useState<Doing>();
  const filter: DeadFilter = { ...(cause && { cause }), ...(plugin && { plugin }), ...(generation && { generation }), ...(topic && { topic }) };
  const all = useAsk<Letters>("DeadLetters/List", { pageSize: 1 }, 3000);
  const asked = useAsk<Letters>("DeadLetters/List", { filter, pageSize: size }, 3000);
  const again = () => { all.again(); asked.again(); };
  const may = useOperate();
  const filtered = Object.keys(filter).length > 0;
  const choose = (g?: DeadGroup) => { setCause(g?.cause ?? ""); setPlugin(g?.plugin ?? ""); setGeneration(num(g?.generation) > 0 ? String(g!.generation) : ""); };
  return (
    <div class="stack">
      <div class="title"><h1>Dead letters</h1>{all.data && <span class="muted" role="status">{whole(all.data.total ?? 0)} kept{num(all.data.displaced) > 0 ? `; ${whole(num(all.data.displaced))} older ones were displaced` : ""}{num(all.data.lost) > 0 ? `; ${whole(num(all.data.lost))} came too fast to be kept` : ""}</span>}</div>
      <Answered asked={all}>
        {(data) => !data.total ? (
          <Panel title="Letters"><Empty title="No dead letters" icon="ok"><p>That is how it should be. A message that no plugin could handle, or that a durable route's destination did not take, appears here with its bytes. A restart forgets them.</p></Empty></Panel>
        ) : (
          <>
            <Panel title="Groups" tight aside={filtered ? <button type="button" class="plain link" onClick={() => { choose(); setTopic(""); }}>Show all</button> : undefined}>
              <Table label="Groups of dead letters" head={["Reason", "Plugin", ["Gen.", "number"], ["Letters", "number"], "First", "Last", ...(may ? [""] : [])]}>
                {(data.groups ?? []).map((g) => {
                  const is = filtered && cause === (g.cause ?? "") && plugin === (g.plugin ?? "") && generation === (num(g.generation) > 0 ? String(g.generation) : "");
                  const f: DeadFilter = { cause: g.cause, ...(g.plugin && { plugin: g.plugin }), ...(num(g.generation) > 0 && { generation: String(g.generation) }) };
                  return (
                    <tr key={`${g.cause} ${g.plugin} ${g.generation}`} aria-selected={is}>
                      <th scope="row"><button type="button" class="plain link" aria-pressed={is} onClick={() => choose(is ? undefined : g)}>{g.cause}</button></th>
                      <td>{g.plugin ? <Link href={to("plugins", g.plugin)}>{g.plugin}</Link> : "–"}</td>
                      <td class="number">{num(g.generation) || "–"}</td>
                      <td class="number"><b>{whole(g.count ?? 0)}</b></td>
                      <td title={clock(moment(g.first))}>{ago(moment(g.first))}</td>
                      <td title={clock(moment(g.last))}>{ago(moment(g.last))}</td>
                      {may && <td class="actions"><button type="button" class="button button-small" aria-label={`Replay the group ${g.cause} of ${g.plugin ?? "no plugin"}`} onClick={() => act({ what: "replay", filter: f, n: g.count ?? 0 })}>Replay…</button><button type="button" class="button button-small" aria-label={`Delete the group ${g.cause} of ${g.plugin ?? "no plugin"}`} onClick={() => act({ what: "delete", filter: f, n: g.count ?? 0 })}>Delete…</button></td>}
                    </tr>
                  );
                })}
              </Table>
            </Panel>
            <Answered asked={asked}>
              {(page) => (
                <Panel title="Letters" tight aside={<label class="inline">Topic <Search value={topic} placeholder="alarm/#" put={setTopic} /></label>}>
                  {!page.letters?.length ? <Empty title="No letter matches" icon="search"><p>{whole(data.total ?? 0)} others are kept.</p></Empty> : (
                    <Table label="Dead letters" head={["When", "Reason", "Topic", "What was said", "Listener", ["Tries", "number"], ...(may ? [""] : [])]}>
                      {page.letters.map((l) => (
                        <tr key={String(l.id)} aria-selected={String(l.id) === open}>
                          <td title={clock(moment(l.time), true)}>{ago(moment(l.time))}</td>
                          <td><Badge tone="bad">{l.cause}</Badge></td>
                          <th scope="row"><button type="button" class="plain link" onClick={() => setOpen(String(l.id) === open ? "" : String(l.id))}>{l.message?.topic || `letter ${l.id}`}</button></th>
                          <td class="wide">{l.text}</td>
                          <td>{l.listener}</td>
                          <td class="number" title={l.lastResult}>{l.attempts ?? 0}</td>
                          {may && <td class="actions"><button type="button" class="button button-small" aria-label={`Replay letter ${l.id}`} onClick={() => act({ what: "replay", ids: [String(l.id)], n: 1 })}>Replay…</button></td>}
                        </tr>
                      ))}
                    </Table>
                  )}
                  {page.nextPageToken && <p class="note muted">The newest {size} of {whole(page.total ?? 0)} are shown. {size < 100 ? <button type="button" class="plain link" onClick={() => setShow("100")}>Show 100</button> : "weft deadletter list shows all."}</p>}
                </Panel>
              )}
            </Answered>
            {open && <Letter id={open} shut={() => setOpen("")} act={act} />}
          </>
        )}
      </Answered>
      {doing?.what === "replay" && <ReplayDialog d={doing} shut={() => act(undefined)} done={again} />}
      {doing?.what === "delete" && <DeleteDialog d={doing} shut={() => act(undefined)} done={() => { setOpen(""); again(); }} />}
    </div>
  );
}

function Letter({ id, shut, act }: { id: string; shut: () => void; act: (d: Doing) => void }) {
  const may = useOperate();
  const asked = useAsk<{ letter?: DeadLetter }>("DeadLetters/Get", { id }, 0);
  return (
    <Panel title={`Letter ${id}`} aside={<button type="button" class="plain" aria-label="Close the letter" onClick={shut}><Icon name="close" /></button>}>
      <Answered asked={asked}>
        {({ letter: l }) => l ? (
          <>
            <p><Badge tone="bad">{l.cause}</Badge> {l.text}</p>
            <p class="muted">{clock(moment(l.time), true)}{l.plugin ? ` in ${l.plugin}${num(l.generation) > 0 ? ` gen ${num(l.generation)}` : ""}` : ""} · by {l.listener || "the API"} from {l.remote || "nobody known"}{l.attempts ? ` · replayed ${count(l.attempts, "time")}, last: ${l.lastResult}` : ""}</p>
            <h3>The message</h3>
            <p><b>{l.message?.topic}</b> <Pairs of={l.message?.attributes} none="no attributes" /></p>
            <pre tabIndex={0} aria-label="Payload">{l.message?.text ?? (l.message?.json !== undefined ? JSON.stringify(l.message.json, null, 2) : payload(l.message?.payload).text) ?? ""}</pre>
            {l.frame && <><h3>The frame as it came <span class="muted">{bytes(l.frameSize ?? 0)}</span></h3><pre tabIndex={0} aria-label="Frame">{payload(l.frame).text}</pre></>}
            <p><b>Plugins remember</b> <Pairs of={l.context} none="nothing" /></p>
            {may && <div class="row"><button type="button" class="button" onClick={() => act({ what: "replay", ids: [id], n: 1 })}>Replay…</button><button type="button" class="button" onClick={() => act({ what: "delete", ids: [id], n: 1 })}>Delete…</button></div>}
          </>
        ) : null}
      </Answered>
    </Panel>
  );
}

interface Replayed {
  outcome?: string;
  reason?: string;
}

function ReplayDialog({ d, shut, done }: { d: Doing; shut: () => void; done: () => void }) {
  const [way, setWay] = useState("REPLAY_WAY_CHAIN");
  const [rate, setRate] = useState(100);
  const [outcomes, setOutcomes] = useState<Record<string, number>>();
  const run = async () => {
    const so: Record<string, number> = {};
    await stream<Replayed>("DeadLetters/Replay", { ...(d.ids ? { ids: d.ids } : { filter: d.filter }), way, rate }, new AbortController().signal, (r) => {
      so[r.outcome ?? "unknown"] = (so[r.outcome ?? "unknown"] ?? 0) + 1;
      setOutcomes({ ...so });
    });
    notify(so.dead || so.refused || so.dropped ? "bad" : "ok", `Replayed: ${Object.entries(so).map(([name, n]) => `${whole(n)} ${name}`).join(", ") || "no letter was there"}.`);
    done();
  };
  return (
    <Dialog title={`Replay ${count(d.n, "letter")}?`} action="Replay" run={run} close={shut}>
      <fieldset>
        <legend>Which way?</legend>
        <label class="radio"><input type="radio" name="way" checked={way === "REPLAY_WAY_CHAIN"} onChange={() => setWay("REPLAY_WAY_CHAIN")} />The whole chain again, from the frame as it came</label>
        <label class="radio"><input type="radio" name="way" checked={way === "REPLAY_WAY_PAST_PLUGINS"} onChange={() => setWay("REPLAY_WAY_PAST_PLUGINS")} />Past the plugins, as it was when it died</label>
      </fieldset>
      <label class="slider"><span>Letters a second, at most</span><input type="range" min={1} max={1000} value={rate} onInput={(e) => setRate(Number(e.currentTarget.value))} /><output>{rate}</output></label>
      <p>Each is sent on its way again, the oldest first. One that is delivered or answered leaves the store; any other stays. Receivers may have seen some of them before.</p>
      {outcomes && <p role="status">{Object.entries(outcomes).map(([name, n]) => `${whole(n)} ${name}`).join(", ")}</p>}
      <p class="muted">It is written to the audit log.</p>
    </Dialog>
  );
}

function DeleteDialog({ d, shut, done }: { d: Doing; shut: () => void; done: () => void }) {
  const run = async () => {
    const got = d.ids ? await call<{ deleted?: number }>("DeadLetters/Delete", { ids: d.ids }) : await call<{ deleted?: number }>("DeadLetters/Purge", { filter: d.filter });
    notify("ok", `${count(got.deleted ?? 0, "letter")} deleted.`);
    done();
  };
  return (
    <Dialog title={`Delete ${count(d.n, "letter")}?`} action="Delete for good" danger run={run} close={shut}>
      <p>They are gone for good: nobody can show or replay them any more.{d.filter && ` Letters of this kind that come meanwhile are deleted, too.`}</p>
    </Dialog>
  );
}
