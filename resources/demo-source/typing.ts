/** How people type: lost capitals and full stops, short forms, slips of the finger. */
import type { Random } from './random.ts';

const shortForms: readonly [RegExp, readonly string[]][] = [
  [/\bI am\b/g, ["I'm", 'im', 'I am']],
  [/\bdo not\b/gi, ["don't", 'dont', 'do not']],
  [/\bcannot\b/g, ["can't", 'cant', 'can not']],
  [/\bwill not\b/g, ["won't", 'will not']],
  [/\bI would\b/g, ["I'd", 'I would']],
  [/\bI will\b/g, ["I'll", 'I will']],
  [/\bI have\b/g, ["I've", 'I have']],
  [/\bPlease\b/g, ['Please', 'pls', 'Kindly', 'Please']],
  [/\bplease\b/g, ['please', 'pls', 'plz']],
  [/\byou\b/g, ['you', 'you', 'you', 'u']],
  [/\bThanks\b/g, ['Thanks', 'thx', 'Cheers']],
  [/\bwant to\b/g, ['want to', 'want to', 'wish to', 'wanna', 'would like to']],
  [/\bemail\b/g, ['email', 'e-mail', 'mail']],
  [/\bparcel\b/g, ['parcel', 'package', 'box']],
  [/\binvoice\b/g, ['invoice', 'invoice', 'bill', 'receipt']],
  [/\bbecause\b/g, ['because', 'since', 'as']],
];

/** The text as somebody might have typed it; about one text in five has slips. */
export function misspell(text: string, random: Random): string {
  let typed = text;
  for (const [pattern, forms] of shortForms) typed = typed.replace(pattern, () => random.pick(forms));
  if (random.chance(0.12)) typed = typed.toLowerCase();
  if (random.chance(0.08)) typed = typed.replace(/[.,;!]/g, '');
  if (random.chance(0.06)) typed = typed.replace(/\.(?= |$)/g, random.pick(['!', '...', '!!']));
  if (!random.chance(0.2)) return typed;
  const words = typed.split(' ');
  for (let slips = 1 + random.below(2); slips > 0; slips--) {
    const at = random.below(words.length);
    words[at] = slip(words[at]!, random);
  }
  return words.join(' ');
}

function slip(word: string, random: Random): string {
  if (word.length < 4) return word;
  const at = 1 + random.below(word.length - 2);
  switch (random.below(4)) {
    case 0:
      return word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2);
    case 1:
      return word.slice(0, at) + word.slice(at + 1);
    case 2:
      return word.slice(0, at) + word.charAt(at) + word.slice(at);
    default:
      return word.slice(0, at) + random.pick([...'aeioustrnlm']) + word.slice(at + 1);
  }
}
