/** How the task's score is written: accuracy in percent, ROUGE-L as usual without a unit, from 0 to 100. */
import { percent } from '../../main/contract/quantities.ts';

export function scoreText(metric: 'accuracy' | 'rougeL'): (value: number) => string {
  return metric === 'accuracy' ? (value) => percent(value) : (value) => (value * 100).toFixed(1);
}
