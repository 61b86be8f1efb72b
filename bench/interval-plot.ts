/** A plot of values with their 95 % intervals, one line each, as a self-contained SVG that reads in light and dark. */

export interface PlottedValue {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Drawn filled; the others are rings. */
  readonly emphasised: boolean;
}

const width = 760;
const left = 250;
const right = 70;
const rowHeight = 26;

const escape = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** Ticks at 1, 2 or 5 times a power of ten, four to nine of them. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, index) => first + index * step);
}

export function intervalPlot(title: string, unit: string, values: readonly PlottedValue[]): string {
  const low = Math.min(...values.map((value) => value.low));
  const high = Math.max(...values.map((value) => value.high));
  const margin = (high - low) * 0.05 || 1;
  const x = (value: number): number =>
    left + ((value - low + margin) / (high - low + 2 * margin)) * (width - left - right);
  const height = 64 + values.length * rowHeight;
  const bottom = height - 28;
  const lines = values.map(({ label, value, low: from, high: to, emphasised }, row) => {
    const y = 46 + row * rowHeight;
    return `<text x="${left - 14}" y="${y + 4}" text-anchor="end"${emphasised ? ' class="strong"' : ''}>${escape(label)}</text>
<line x1="${x(from).toFixed(1)}" x2="${x(to).toFixed(1)}" y1="${y}" y2="${y}" class="interval"/>
<circle cx="${x(value).toFixed(1)}" cy="${y}" r="5" class="${emphasised ? 'filled' : 'ring'}"/>
<text x="${(x(to) + 8).toFixed(1)}" y="${y + 4}">${value.toFixed(1)}</text>`;
  });
  const axis = ticks(low - margin, high + margin).map(
    (tick) => `<line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="32" y2="${bottom}" class="grid"/>
<text x="${x(tick).toFixed(1)}" y="${bottom + 16}" text-anchor="middle" class="quiet">${Number(tick.toFixed(6))}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.strong { font-weight: 600 }
.quiet { fill: #59636e; font-size: 12px }
.grid { stroke: #d1d9e0 }
.interval { stroke: #1a6a8c; stroke-width: 2 }
.filled { fill: #1a6a8c }
.ring { fill: #fff; stroke: #1a6a8c; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
.interval { stroke: #6cc0e0 } .filled { fill: #6cc0e0 } .ring { fill: #0d1117; stroke: #6cc0e0 }
}
</style>
<text x="0" y="16" class="strong">${escape(title)}</text><text x="${width}" y="16" text-anchor="end" class="quiet">${escape(unit)}</text>
${axis.join('\n')}
${lines.join('\n')}
</svg>
`;
}
