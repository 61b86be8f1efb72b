/** How ranks share a stage: a sentence, and a line for each of them. */
import { render } from '../../contract/messages/message.ts';
import { inOneText } from '../../contract/messages/sentences.ts';
import { type SharedStage, sharedInWords } from '../../contract/shared-stages.ts';
import { bytes, count } from './quantities.ts';
import { textTable } from './text-table.ts';

export function ranksText(shared: SharedStage): string {
  const milliseconds = (seconds: number): string => `${count(Math.round(1000 * seconds))} ms`;
  const table = textTable(
    [
      { title: 'rank' },
      { title: 'on', align: 'left' },
      { title: 'tok/s' },
      { title: 'computes' },
      { title: 'waits' },
      { title: 'sends' },
    ],
    shared.ranks.map((rank, at) => [
      String(at),
      rank.node,
      count(Math.round(rank.tokensPerSecond)),
      milliseconds(rank.computingSeconds),
      milliseconds(rank.waitingSeconds),
      bytes(rank.sentBytes),
    ]),
  );
  return `${inOneText(render(sharedInWords(shared)))}\n${table}`;
}
