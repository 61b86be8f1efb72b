/** Support tickets with the queue that they belong to: what the customer asks for in the end. */
import { ambiguous, closings, contrasts, greetings, mentions, requests } from './frames.ts';
import { issues, queues, type Queue } from './issues.ts';
import { fraction, type Random } from './random.ts';
import { misspell } from './typing.ts';
import { fill, items } from './world.ts';

export interface Ticket {
  readonly text: string;
  readonly queue: Queue;
  /** Holds a combination (phrase with item, or frame with phrase) that no training row and no corpus line has. */
  readonly heldOut: boolean;
  /** Asks for two things, or was put into a wrong queue by whoever labelled it: not decidable from the text. */
  readonly undecidable: boolean;
  /** What the customer asked for, as phrases of issues.ts; the shop's replies in corpus.ts answer it. */
  readonly asked: { readonly queue: Queue; readonly item: string };
  readonly mentioned: readonly Queue[];
}

/** Share of (phrase, item) and of (frame, phrase) combinations that only dev may have. */
const heldOutItems = 0.1;
const heldOutFrames = 0.08;
const ambiguousShare = 0.04;
const mislabelledShare = 0.015;

/** Whether dev alone may say this phrase of issues.ts about this item. */
export function phraseIsHeldOut(template: string, item: string): boolean {
  return template.includes('{i}') && fraction(`${template}|${item}`) < heldOutItems;
}

/** Draws one ticket. The text is one line without tabs. */
export function drawTicket(random: Random): Ticket {
  const queue = random.pick(queues);
  const item = random.pick(items);
  const mentioned: Queue[] = [];
  let heldOut = false;

  const phrase = (frame: string, slot: string): string => {
    const isAsked = slot === slot.toUpperCase();
    let of: Queue = queue;
    if (!isAsked) {
      do of = random.pick(queues);
      while (of === queue);
      mentioned.push(of);
    }
    const kind = ({ c: 'customer', s: 'shop', m: 'matter' } as const)[slot.toLowerCase() as 'c' | 's' | 'm'];
    const template = random.pick(issues[of][kind]);
    const about = isAsked || random.chance(0.5) ? item : random.pick(items);
    if (phraseIsHeldOut(template, about)) heldOut = true;
    if (fraction(`${frame}|${template}`) < heldOutFrames) heldOut = true;
    return fill(template, about, random);
  };
  const sentence = (frame: string): string =>
    capital(
      fill(
        frame.replace(/\{([CSMcsm])\}/g, (_, slot: string) => phrase(frame, slot)),
        item,
        random,
      ),
    );
  const background = (): string => capital(fill(random.pick(issues[random.pick(queues)].background), item, random));

  const shape = random.next();
  const core: string[] = [];
  if (shape < ambiguousShare) core.push(sentence(random.pick(ambiguous)));
  else if (shape < 0.22) core.push(sentence(random.pick(requests)));
  else if (shape < 0.48)
    core.push(...random.shuffle([sentence(random.pick(requests)), sentence(random.pick(mentions))]));
  else if (shape < 0.58) {
    core.push(sentence(random.pick(requests)), sentence(random.pick(mentions)), sentence(random.pick(mentions)));
    random.shuffle(core);
  } else if (shape < 0.86) core.push(sentence(random.pick(contrasts)));
  else core.push(...random.shuffle([sentence(random.pick(contrasts)), sentence(random.pick(mentions))]));

  if (random.chance(0.35)) core.splice(random.below(2) * core.length, 0, background());
  if (random.chance(0.25)) core.unshift(random.pick(greetings));
  if (random.chance(0.3)) core.push(fill(random.pick(closings), item, random));

  let label: Queue = queue;
  let undecidable = shape < ambiguousShare;
  if (undecidable && random.chance(0.5)) label = mentioned[0]!;
  else if (!undecidable && random.chance(mislabelledShare)) {
    label = mentioned[0] ?? random.pick(queues);
    undecidable = label !== queue;
  }
  return {
    text: misspell(core.join(' '), random),
    queue: label,
    heldOut,
    undecidable,
    asked: { queue, item },
    mentioned,
  };
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
