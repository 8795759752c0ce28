// Drops: where did messages go? A ledger that adds up.
import type { Ledger, Reason } from "../api/types";
import { num, share, short, whole } from "../format";
import { live, restart } from "../live";
import { Link, to } from "../route";
import { useCell } from "../state";
import { Empty, Fault, Panel, Table, Waiting } from "../ui/parts";

export function Drops() {
  const { snapshot: s, error } = useCell(live);
  if (!s) return error ? <Fault error={error} again={restart} /> : <Waiting />;
  return (
    <div class="stack">
      <div class="title"><h1>Drops</h1><span class="muted">Since weft started. Every message that came in is in exactly one of these.</span></div>
      <Book l={s.ledger ?? {}} />
      <div class="split">
        <Reasons title="Why messages were filtered or dropped" of={s.ledger?.reasons} none="No message was filtered or dropped. That is how it should be where no plugin filters." />
        <Reasons title="Fan-out: copies that no receiver took" of={s.ledger?.copyReasons} none={`All ${whole(num(s.ledger?.copies))} copies were taken.`} />
      </div>
      <div class="split">
        <Reasons title="Before they were messages: the kernel" of={s.ledger?.kernelReasons} none="The kernel has turned nothing away." more />
        <Reasons title="Before they were messages: weft's filter" of={s.ledger?.filterReasons} none="The filter has turned nothing away." more />
      </div>
    </div>
  );
}

function Book({ l }: { l: Ledger }) {
  const into: [string, number, string][] = [["came in", num(l.in), "in"], ["made by plugins", num(l.emitted), "in"], ["recalled from logs", num(l.recalled), "in"]];
  const out: [string, number, string, string?][] = [
    ["delivered", num(l.delivered), "ok"], ["logged", num(l.logged), "ok"], ["replied", num(l.replied), "ok"],
    ["filtered by plugins", num(l.filtered), "idle"], ["dropped", num(l.dropped), "warn"], ["dead", num(l.dead), "bad", to("dead-letters")], ["in flight", num(l.inFlight), "info"],
  ];
  const sum = into.reduce((a, [, n]) => a + n, 0);
  const gone = out.reduce((a, [, n]) => a + n, 0);
  if (sum === 0) return <Panel title="Ledger"><Empty title="No message has come in since weft started"><p>That is normal until a client sends one. The <Link href={to()}>chain map</Link> shows where weft listens.</p></Empty></Panel>;
  return (
    <Panel title="Ledger">
      <div class="book">
        <BookSide title="In" rows={into.filter(([, n], i) => n > 0 || i === 0)} sum={sum} all={sum} />
        <span class="book-equals" aria-hidden="true">=</span>
        <BookSide title="Out" rows={out.filter(([name, n]) => n !== 0 || name === "delivered" || name === "dropped")} sum={gone} all={sum} />
      </div>
      {Math.abs(sum - gone) > 0 && <p class="note muted">The two sides differ by {whole(Math.abs(sum - gone))}: counters of several loops were read one after the other while messages passed.</p>}
    </Panel>
  );
}

function BookSide({ title, rows, sum, all }: { title: string; rows: [string, number, string, string?][]; sum: number; all: number }) {
  return (
    <table class="book-side">
      <caption>{title}</caption>
      <tbody>
        {rows.map(([name, n, tone, href]) => (
          <tr key={name}>
            <th scope="row">{href && n > 0 ? <Link href={href}>{name}</Link> : name}</th>
            <td class="book-bar" aria-hidden="true"><i class={`tone-${tone}`} style={{ width: `${all > 0 ? Math.max((Math.max(n, 0) / all) * 100, n > 0 ? 1 : 0) : 0}%` }} /></td>
            <td class="number">{whole(n)}</td>
            <td class="number muted">{all > 0 ? share(n / all) : ""}</td>
          </tr>
        ))}
      </tbody>
      <tfoot><tr><th scope="row">together</th><td /><td class="number">{whole(sum)}</td><td /></tr></tfoot>
    </table>
  );
}

function Reasons({ title, of, none, more }: { title: string; of?: Reason[]; none: string; more?: boolean }) {
  return (
    <Panel title={title} tight aside={more ? <Link href={to("filter")}>Filter</Link> : undefined}>
      {!of?.length ? <Empty title="None" icon="ok"><p>{none}</p></Empty> : (
        <Table label={title} head={["Reason", ["Count", "number"], ["Now", "number"]]}>
          {of.map((r) => <tr key={r.reason}><th scope="row">{r.reason}</th><td class="number">{whole(num(r.count))}</td><td class="number">{(r.rate ?? 0) > 0 ? `${short(r.rate!)}/s` : <span class="muted">–</span>}</td></tr>)}
        </Table>
      )}
    </Panel>
  );
}
