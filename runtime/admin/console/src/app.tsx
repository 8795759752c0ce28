import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { onRefused, token } from "./api/rpc";
import { live, restart } from "./live";
import { clock, seconds, share, short, span } from "./format";
import { Config } from "./pages/config";
import { Connections } from "./pages/connections";
import { DeadLetters } from "./pages/deadletters";
import { Drops } from "./pages/drops";
import { Filter } from "./pages/filter";
import { Login } from "./pages/login";
import { Messages } from "./pages/messages";
import { Overview } from "./pages/overview";
import { PluginPage, Plugins } from "./pages/plugins";
import { Rollouts } from "./pages/rollouts";
import { Routes } from "./pages/routes";
import { Sessions } from "./pages/sessions";
import { Link, place, to } from "./route";
import { caller, paused, useCell } from "./state";
import { Icon, type IconName } from "./ui/icon";
import { Notices } from "./ui/notice";
import { Empty, level } from "./ui/parts";
import { dark, toggleTheme } from "./ui/theme";

interface View {
  path: string;
  name: string;
  icon: IconName;
  page: ComponentType;
}

const views: View[] = [
  { path: "", name: "Overview", icon: "overview", page: Overview },
  { path: "plugins", name: "Plugins", icon: "plugins", page: Plugins },
  { path: "rollouts", name: "Rollouts", icon: "rollouts", page: Rollouts },
  { path: "messages", name: "Messages", icon: "messages", page: Messages },
  { path: "connections", name: "Connections", icon: "connections", page: Connections },
  { path: "sessions", name: "Sessions", icon: "sessions", page: Sessions },
  { path: "routes", name: "Routes", icon: "route", page: Routes },
  { path: "dead-letters", name: "Dead letters", icon: "dead", page: DeadLetters },
  { path: "drops", name: "Drops", icon: "drops", page: Drops },
  { path: "filter", name: "Filter", icon: "filter", page: Filter },
  { path: "config", name: "Config", icon: "config", page: Config },
];

export function App() {
  const { path } = useCell(place);
  const [locked, lock] = useState(false);
  const [turn, setTurn] = useState(0);
  useLayoutEffect(() => onRefused(() => lock(true)), []); // the first answer may come before the page is painted
  const view = views.find((v) => v.path === (path[0] ?? ""));
  useEffect(() => {
    document.title = `${path[0] === "plugins" && path[1] ? path[1] : view?.name ?? "Not found"} · weft`;
  }, [path.join("/")]);
  if (locked) {
    return <Login enter={(text) => { token.set(text); lock(false); setTurn(turn + 1); restart(); }} />;
  }
  const Page = path[0] === "plugins" && path[1] ? PluginPage : view?.page;
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the page</a>
      <Head current={view?.path} />
      <Lost />
      <main id="main" tabIndex={-1} key={`${path.join("/")} ${turn}`}>
        {Page ? <Page /> : <Empty title="There is no such page" icon="search"><p>The address does not belong to the console. <Link href={to()}>The overview</Link> is its first page.</p></Empty>}
      </main>
      <Notices />
    </>
  );
}

function Head({ current }: { current?: string }) {
  const still = useCell(paused);
  const who = useCell(caller);
  const night = useCell(dark);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    const host = nav.current;
    const here = host?.querySelector<HTMLElement>("[aria-current]");
    if (host && here) host.scrollLeft = here.offsetLeft - (host.clientWidth - here.offsetWidth) / 2;
  }, [current]);
  return (
    <header class="head">
      <div class="head-row">
        <Link href={to()} class="brand" aria-label="weft: overview"><Mark /><span>weft</span></Link>
        <Pulse />
        <div class="head-tools">
          {who && who.role !== "operate" && <span class="badge tone-info read-only" title={`${who.name} has the role ${who.role}: it sees everything and changes nothing`}><Icon name="info" size={13} />read only</span>}
          <button type="button" class={still ? "button tool tool-on" : "button tool"} aria-pressed={still} aria-label={still ? "Paused" : "Pause"} title={still ? "Go on" : "Let everything stand still"} onClick={() => paused.set(!still)}>
            <Icon name={still ? "play" : "pause"} />
            <span class="tool-word">{still ? "Paused" : "Pause"}</span>
          </button>
          <button type="button" class="button tool" aria-label={night ? "Use light colours" : "Use dark colours"} onClick={toggleTheme}><Icon name={night ? "sun" : "moon"} /></button>
        </div>
      </div>
      <nav class="nav" aria-label="Pages" ref={nav}>
        {views.map((v) => (
          <Link key={v.path} href={to(...(v.path ? [v.path] : []))} aria-current={v.path === current ? "page" : undefined}>
            <Icon name={v.icon} />{v.name}
          </Link>
        ))}
      </nav>
    </header>
  );
}

/** On every page: weft does not answer, since when, and what is shown meanwhile. */
function Lost() {
  const { error, at } = useCell(live);
  if (!error || !at) return null;
  return (
    <div class="lost" role="alert">
      <Icon name="deny" />
      <p><b>weft does not answer.</b> It may have ended, or the way to it is cut. What is shown is as of {clock(at)}; this page tries again by itself.</p>
      <button type="button" class="button button-small" onClick={() => restart()}>Try now</button>
    </div>
  );
}

const Mark = () => (
  <svg width="22" height="22" viewBox="0 0 22 22" fill="none" stroke-linecap="round" stroke-width="2.4" aria-hidden="true">
    <path class="mark-weft" d="M2 7.500h7M14 7.500h6M2 14.500h3M10 14.500h10" />
    <path class="mark-warp" d="M7.500 2v3M7.500 10.500V20M14.500 2v9.500M14.500 17v3" />
  </svg>
);

/** Five seconds: is it up, how much, errors, p99, how full. On every page. */
function Pulse() {
  const { snapshot: s, error } = useCell(live);
  const still = useCell(paused);
  const stale = Boolean(error);
  const verdict = level(s?.verdict?.level);
  const shown = stale ? { tone: "bad" as const, icon: "deny" as const, word: "No answer" } : s ? verdict : { tone: "idle" as const, icon: "idle" as const, word: "Asking" };
  const f = s?.signals;
  return (
    <div class="pulse">
      <span class={`pulse-verdict tone-${shown.tone}`}><Icon name={shown.icon} />{shown.word}</span>
      {f && s?.interval && (
        <span class={stale || still ? "pulse-figures pulse-old" : "pulse-figures"}>
          <span><b>{short(f.inRate ?? 0)}</b> msg/s</span>
          <span><b>{share(f.errorShare ?? 0)}</b> errors</span>
          <span><b>{f.latency?.p99 ? span(seconds(f.latency.p99)) : "–"}</b> p99</span>
          <span><b>{share(f.saturation?.busiest ?? 0)}</b> busy</span>
        </span>
      )}
      {s?.instance?.node && <span class="pulse-node" title="This node">{s.instance.node}</span>}
    </div>
  );
}
