// Lines over time, by uPlot. A chart says in words what it shows.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "../format";
import { useCell } from "../state";
import { dark } from "./theme";

export interface Line {
  name: string;
  /** The name of a custom property of the style: "accent". */
  colour: string;
  fill?: boolean;
  dash?: boolean;
}

interface Properties {
  /** What it shows, for who cannot see it. */
  label: string;
  lines: Line[];
  /** Unix times in seconds, then a row for each line. */
  data: (number | null)[][];
  format: (n: number) => string;
  height: number;
  /** Without axes: a small one beside its figure. */
  spark?: boolean;
  /** The span that it shows, in seconds. */
  range: number;
  /** The top of the scale is at least this. */
  least?: number;
}

/** The colour of a custom property as the canvas takes it. */
function colour(name: string, alpha = 1): string {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  const parts = found.match(/[\d.]+/g) ?? ["128", "128", "128"];
  return `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${alpha})`;
}

function options(p: Properties, width: number): uPlot.Options {
  const axis = { stroke: colour("muted"), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false }, grid: { stroke: colour("line"), width: 1 } };
  return {
    width,
    height: p.height,
    padding: p.spark ? [3, 0, 3, 0] : [8, 8, 0, 0],
    legend: { show: false },
    cursor: p.spark ? { show: false } : { points: { size: 7 }, drag: { x: false, y: false }, y: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: () => { const row = p.data[0]!; const end = lastOf(row); return [Math.max(end - p.range, Math.min(row[0] ?? end, end - 30)), end]; } },
      y: { range: (_u, _low, high) => [0, Math.max(high ?? 0, p.least ?? 0) * 1.12 || 1] },
    },
    axes: p.spark
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, grid: { show: false }, size: 24, gap: 4, values: (_u, at) => at.map((t) => clock(t * 1000).slice(0, p.range > 300 ? 5 : 8)), space: 90 },
          { ...axis, size: 58, values: (_u, at) => at.map(p.format), space: 34 },
        ],
    series: [
      {},
      ...p.lines.map((line) => ({
        label: line.name,
        stroke: colour(line.colour),
        width: 1.5,
        fill: line.fill ? colour(line.colour, 0.13) : undefined,
        dash: line.dash ? [5, 4] : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

const lastOf = (row: (number | null)[]): number => row[row.length - 1] ?? Date.now() / 1000;

/** A hole where nothing came for a while, not a line across it. */
export function withGaps(data: (number | null)[][], gap = 4): (number | null)[][] {
  const out: (number | null)[][] = data.map(() => []);
  data[0]!.forEach((t, i) => {
    const before = i > 0 ? data[0]![i - 1]! : t!;
    if (t! - before > gap) {
      out[0]!.push(before + 1);
      for (let row = 1; row < data.length; row++) out[row]!.push(null);
    }
    data.forEach((row, r) => out[r]!.push(row[i] ?? null));
  });
  return out;
}

export function Chart(p: Properties) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const now = useRef(p);
  const tip = useRef<HTMLDivElement>(null);
  now.current = p;
  const night = useCell(dark);
  const shape = `${p.lines.map((l) => l.name + l.colour).join()} ${p.range} ${p.height} ${night}`;
  useEffect(() => {
    const host = box.current!;
    const o = options({ ...p, get data() { return now.current.data; } } as Properties, host.clientWidth || 200);
    if (!p.spark) {
      o.hooks = { setCursor: [(u) => {
        const at = u.cursor.idx;
        const text = at == null ? "" : [clock(u.data[0][at]! * 1000), ...now.current.lines.map((l, i) => `${l.name} ${u.data[i + 1]![at] == null ? "–" : now.current.format(u.data[i + 1]![at]!)}`)].join("   ");
        if (tip.current) tip.current.textContent = text;
      }] };
    }
    plot.current = new uPlot(o, p.data as uPlot.AlignedData, host);
    const size = new ResizeObserver(() => plot.current?.setSize({ width: host.clientWidth, height: now.current.height }));
    size.observe(host);
    return () => {
      size.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(p.data as uPlot.AlignedData), [p.data]);
  return (
    <div class={p.spark ? "chart chart-spark" : "chart"}>
      <div ref={box} role="img" aria-label={`${p.label}. ${words(p)}`} />
      {!p.spark && (
        <div class="chart-foot">
          <span class="chart-legend">
            {p.lines.map((l) => <span key={l.name}><i class={l.dash ? "swatch swatch-dash" : "swatch"} style={{ borderColor: `var(--${l.colour})` }} />{l.name}</span>)}
          </span>
          <span class="chart-tip" ref={tip} />
        </div>
      )}
    </div>
  );
}

function words(p: Properties): string {
  return p.lines.map((line, i) => {
    const values = p.data[i + 1]!.filter((v): v is number => v != null);
    if (values.length === 0) return `${line.name}: nothing yet`;
    return `${line.name}: now ${p.format(values[values.length - 1]!)}, least ${p.format(Math.min(...values))}, most ${p.format(Math.max(...values))}`;
  }).join("; ");
}
