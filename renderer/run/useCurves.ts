import { onScopeDispose, shallowRef, type ShallowRef, watch } from 'vue';
import type { Curve } from '../../main/contract/views.ts';
import { parseCurveName, parseLayerMetric } from '../../main/contract/metric-names.ts';
import { client } from '../client.ts';

const refreshMilliseconds = 1000;

/**
 * Thinned curves of one stage, read again about once a second while `pulse` changes: the workbench thins them, so a million
 * steps cost the page no more than a thousand. `stages` are those that have curves; `choose` picks the one to read.
 */
export function useCurves(
  id: () => string,
  choose: (stages: readonly string[]) => string | null,
  pulse: () => unknown,
  points = 600,
): { stages: ShallowRef<readonly string[]>; curves: ShallowRef<Map<string, Curve['points']>>; again: () => void } {
  const curves = shallowRef(new Map<string, Curve['points']>());
  const stages = shallowRef<readonly string[]>([]);
  let timer: ReturnType<typeof setTimeout> | null = null;
  let reading = false;
  let last = 0;

  async function read(): Promise<void> {
    timer = null;
    if (reading) {
      schedule();
      return;
    }
    reading = true;
    last = performance.now();
    try {
      const names = (await client.experiments.curveNames({ id: id() })).map(({ name }) => name);
      stages.value = [...new Set(names.map((name) => parseCurveName(name).stage))];
      const stage = choose(stages.value);
      // Those of each layer are read as a whole (useTernaryWeights).
      const wanted = names.filter((name) => {
        const curve = parseCurveName(name);
        return curve.stage === stage && parseLayerMetric(curve.metric) === null;
      });
      const found = wanted.length === 0 ? [] : await client.experiments.curves({ id: id(), names: wanted, points });
      curves.value = new Map(
        found.filter((curve) => curve.points.length > 0).map((curve) => [curve.name, curve.points]),
      );
    } catch {
      // The connection's own panel tells; the next pulse reads again.
    } finally {
      reading = false;
    }
  }
  function schedule(): void {
    timer ??= setTimeout(() => void read(), Math.max(0, last + refreshMilliseconds - performance.now()));
  }
  function again(): void {
    last = 0;
    if (timer !== null) clearTimeout(timer);
    timer = null;
    schedule();
  }
  watch(pulse, schedule, { immediate: true });
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer);
  });
  return { stages, curves, again };
}
