/** Plain-text tables of benchmark results. */

/** Columns aligned, numbers to the right. The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}

/** How busy the machine is besides the benchmark itself, which keeps `own` threads busy: runnable processes in the last minute. */
export function loadNote(load: number, cores: number, own: number): string {
  return (load - own) / cores > 0.3
    ? `Load average ${load.toFixed(1)} on ${cores} cores: other work was running, so absolute figures are low; compare within the run.`
    : `Load average ${load.toFixed(1)} on ${cores} cores.`;
}
