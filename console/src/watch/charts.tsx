import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { type Chart, KEPT_SECONDS, type Moment } from "./series.ts";

const HEIGHT = 150;
const COLOURS = ["--line-1", "--line-2", "--line-3"];

export function ChartCard({ chart, moments }: { chart: Chart; moments: Moment[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const shape = chart.lines.map((line) => line.label).join();
  useEffect(() => {
    const width = box.current!.clientWidth;
    plot.current = new uPlot(options(chart, width), [[]], box.current!);
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: box.current?.clientWidth ?? width, height: HEIGHT }),
    );
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [theme, shape]);
  useEffect(() => {
    plot.current?.setData([moments.map((one) => one.at), ...chart.lines.map((line) => line.values)]);
  }, [moments, theme, shape]);
  return (
    <figure class="card chart">
      <figcaption>
        <h2>{chart.title}</h2>
        <ul>
          {chart.lines.map((line, at) => (
            <li key={line.label}>
              <span class={`swatch line-${at + 1}`} aria-hidden="true" />
              {line.label} <strong>{shown(line.values.at(-1) ?? null, chart.unit)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={box} class="plot" aria-hidden="true" />
    </figure>
  );
}

function options(chart: Chart, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--border"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: () => [Date.now() / 1000 - KEPT_SECONDS, Date.now() / 1000] },
      y: { range: (_, __, most) => [0, Math.max(most * 1.1, floorOf(chart.unit))] },
    },
    axes: [
      { ...axis, space: 80, values: "{HH}:{mm}:{ss}", size: 26 },
      { ...axis, size: 52, space: 34, values: (_, marks) => marks.map((mark) => shown(mark, "")) },
    ],
    series: [
      {},
      ...chart.lines.map((line, at) => ({
        label: line.label,
        stroke: colour(COLOURS[at % COLOURS.length]!),
        width: 1.75,
        points: { show: false },
      })),
    ],
  };
}

/** What the scale shows at least, so that nothing looks like much. */
const floorOf = (unit: string) => (unit === "B/s" ? 1024 : unit === "" || unit === "records" ? 4 : 1);

export function shown(value: number | null, unit: string): string {
  if (value === null) return "–";
  const scales: [number, string][] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [size, letter] = scales.find(([one]) => Math.abs(value) >= one) ?? [1, ""];
  const scaled = value / size;
  const digits = scaled === 0 || Math.abs(scaled) >= 100 || Number.isInteger(scaled) ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)}${letter}${unit && (unit.startsWith("/") ? unit : ` ${unit}`)}`;
}

/** Changes when the browser goes from light to dark or back: what is drawn has to be drawn again. */
function useTheme(): boolean {
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return dark;
}
