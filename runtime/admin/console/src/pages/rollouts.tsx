// Rollouts: what is on trial, side by side with what is live, and what became of others.
import type { Plugin } from "../api/types";
import { ago, clock, moment, num } from "../format";
import { Link, to } from "../route";
import { useAsk } from "../state";
import { Answered, Badge, Empty, Panel, Table } from "../ui/parts";
import { DriftPanel, EndedDrift } from "./drift";
import { rolloutState } from "./plugins";
import { TrialPanel } from "./trial";

export function Rollouts() {
  const asked = useAsk<{ plugins?: Plugin[] }>("Plugins/List", {}, 1500);
  return (
    <div class="stack">
      <h1>Rollouts</h1>
      <Answered asked={asked}>
        {({ plugins = [] }) => {
          const trials = plugins.filter((p) => p.candidate);
          const events = plugins.flatMap((p) => (p.history ?? (p.last ? [p.last] : [])).map((e) => ({ ...e, plugin: p.name })))
            .sort((a, b) => moment(b.time) - moment(a.time)).slice(0, 30);
          return (
            <>
              {trials.length === 0 && (
                <Panel title="On trial"><Empty title="No generation is on trial" icon="rollouts"><p>That is the normal state. Open a plugin and drop a new .wasm on it to begin a canary or a shadow:</p><p class="ways">{plugins.map((p) => <Link key={p.name} href={to("plugins", p.name)}>{p.name}</Link>)}</p></Empty></Panel>
              )}
              {trials.map((p) => (
                <div class="stack" key={p.name}>
                  <TrialPanel p={p} changed={asked.again} linked={<Link href={to("plugins", p.name)}>Open {p.name}</Link>} />
                  <DriftPanel drift={p.candidate?.drift} live={num(p.live?.number)} shadow={num(p.candidate?.number)} />
                </div>
              ))}
              {plugins.map((p) => <EndedDrift key={p.name} p={p} />)}
              <Panel title="Before" tight>
                {events.length === 0 ? <Empty title="No rollout since weft started"><p>Swaps, promotions and rollbacks appear here.</p></Empty> : (
                  <Table label="Rollout events" head={["When", "Plugin", "What", ["Gen.", "number"], "By", "Why"]}>
                    {events.map((e, i) => (
                      <tr key={i}>
                        <td title={clock(moment(e.time))}>{ago(moment(e.time))}</td>
                        <th scope="row"><Link href={to("plugins", e.plugin)}>{e.plugin}</Link></th>
                        <td>{e.what}</td><td class="number">{num(e.generation)}</td><td>{e.cause}</td><td class="wide">{e.text}</td>
                      </tr>
                    ))}
                  </Table>
                )}
              </Panel>
              <p class="muted">{plugins.filter((p) => !p.candidate).map((p) => <span key={p.name}><Badge tone={rolloutState(p).tone}>{rolloutState(p).word}</Badge> {p.name} gen {num(p.live?.number)}{"  "}</span>)}</p>
            </>
          );
        }}
      </Answered>
    </div>
  );
}
