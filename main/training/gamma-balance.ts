/**
 * Gradient-balanced gamma (docs/method.md, 5.4): the attention term's gradient norm is held at a share of the other terms' norm,
 * measured now and then.
 */
export class GammaBalance {
  gamma = 0;
  readonly #ratio: number;

  /** @param ratio wanted ratio of the attention term's gradient norm to that of the other terms */
  constructor(ratio: number) {
    this.#ratio = ratio;
  }

  /** Measured at steps 1, 2, 4, 8… and then every 50. */
  due(step: number): boolean {
    return step % 50 === 0 || (step < 50 && (step & (step - 1)) === 0);
  }

  /** Takes a measurement in; the geometric mean with the old gamma keeps it from jumping. Returns the ratio that now holds. */
  measure(step: number, otherNorm: number, relationNorm: number): number {
    if (!(relationNorm > 0) || !Number.isFinite(otherNorm)) return 0;
    const wanted = (this.#ratio * otherNorm) / relationNorm;
    this.gamma = step === 1 || this.gamma === 0 ? wanted : Math.sqrt(this.gamma * wanted);
    return (this.gamma * relationNorm) / otherNorm;
  }
}
