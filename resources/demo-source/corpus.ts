/**
 * Unlabelled text from the same world, one document in a line: tickets, tickets with the shop's reply, notes that the shop's people
 * write to each other, and small everyday stories. Nothing in it names the queue of a ticket.
 */
import { issues, queues, type Issue, type Queue } from './issues.ts';
import type { Random } from './random.ts';
import { capital, drawTicket, phraseIsHeldOut } from './tickets.ts';
import { misspell } from './typing.ts';
import { fill, items, names } from './world.ts';

/** One document; null where the draw touched a held-out combination. */
export function drawDocument(random: Random): string | null {
  const kind = random.next();
  if (kind < 0.35) {
    const ticket = drawTicket(random);
    return ticket.heldOut ? null : ticket.text;
  }
  if (kind < 0.65) return dialogue(random);
  if (kind < 0.8) return note(random);
  return story(random);
}

/** A ticket and an answer that goes to the point of it. */
function dialogue(random: Random): string | null {
  const ticket = drawTicket(random);
  if (ticket.heldOut || ticket.undecidable) return null;
  const { queue, item } = ticket.asked;
  const other = ticket.mentioned[0] ?? queue;
  const say = (frame: string): string => capital(fill(withPhrases(frame, queue, other, item, random), item, random));
  const answer = [say(random.pick(answers))];
  if (ticket.mentioned.length > 0 && random.chance(0.5)) answer.push(say(random.pick(asides)));
  if (random.chance(0.5))
    answer.unshift(random.pick(['Thank you for your message.', 'Hello,', 'Sorry to hear that.', 'Hi,']));
  if (random.chance(0.4)) answer.push(`Regards, ${random.pick(names)}`);
  return `Customer: ${ticket.text} Shop: ${answer.join(' ')}`;
}

const answers = [
  'You can {C} from today on.',
  'We will {S} by {day}.',
  'I have passed on {M} to the right people.',
  'So you want to {C}; we are on it.',
  'We can {S}, no problem.',
  'I will look into {M} right away.',
  'To {C}, just follow the link.',
  'It took us a while to {S}, but now it is done.',
  'As for {M}, you will hear from us {day}.',
  'We understand that you wish to {C}.',
  'My colleague {name} will {S}.',
];
const asides = [
  'We will leave {m} as it is.',
  'You do not have to {c}.',
  'We have noted that {m} is not what you asked for.',
  'Nothing changes about {m}.',
  'And no, nobody will make you {c}.',
];

/** Puts the shop's wording of phrases into a frame: capitals of queue `asked`, small letters of queue `other`, never a held-out one. */
function withPhrases(frame: string, asked: Queue, other: Queue, item: string, random: Random): string {
  const phrase = (of: Queue, kind: keyof Issue): string =>
    toCustomer(random.pick(issues[of][kind].filter((template) => !phraseIsHeldOut(template, item))));
  return frame
    .replace('{C}', () => phrase(asked, 'customer'))
    .replace('{S}', () => phrase(asked, 'shop'))
    .replace('{M}', () => phrase(asked, 'matter'))
    .replace('{c}', () => phrase(other, 'customer'))
    .replace('{m}', () => phrase(other, 'matter'));
}

function toCustomer(phrase: string): string {
  return phrase
    .replace(/\bI was\b/g, 'you were')
    .replace(/\bI no\b/g, 'you no')
    .replace(/\bI paid\b/g, 'you paid')
    .replace(/\bmy\b/g, 'your')
    .replace(/\bme\b/g, 'you');
}

const notes = [
  'The {team} team had {number} tickets on {day}, most of them about {M}.',
  'A ticket from {city} about {M} went to {team} first, then to {team}.',
  '{name} from {team} says that customers who want to {C} should write to us.',
  'Reminder: if somebody asks us to {S}, do it within {number} hours.',
  'On {day} {name} will be in the {team} office.',
  'The {team} desk is closed in {month}.',
  'New in {month}: you can {C} in the app.',
  '{name} is on holiday, so {name} looks after {team}.',
  'Please read the whole ticket: people write about {M} when they want to {C}.',
  'Half of the people who tell us not to {S} mean it.',
  'The {team} queue is short today.',
  'For {team} call {number}, for {team} call {number}.',
  'We got praise from {city}: {name} was quick to {S}.',
];

function note(random: Random): string {
  const lines: string[] = [];
  for (let count = 1 + random.below(3); count > 0; count--) {
    const queue = random.pick(queues);
    const item = random.pick(items);
    const frame = random.pick(notes).replace(/\{team\}/g, () => random.pick(queues));
    lines.push(capital(fill(withPhrases(frame, queue, queue, item, random), item, random)));
  }
  return lines.join(' ');
}

const openings = [
  '{who} lives in {city} and works in a {place}.',
  'In {month} {who} bought a {i} for {amount}.',
  '{who} has an old {i} that belonged to {their} {relative}.',
  'It was {day} and {who} was waiting for the {i}.',
  'Every {day} {who} goes to the {place} with {their} {relative}.',
  '{who} wanted a new {i} but had only {amount}.',
];
const middles = [
  '{They} put the {i} next to the {j}.',
  'The {part} came off, so {they} asked {their} {relative} for help.',
  'The courier brought the {i} {ago} and left it with {name}.',
  '{They} called the shop, but nobody answered.',
  'First {they} thought the {i} was broken, but it was only the {part}.',
  'It rained, and the {place} was empty.',
  '{Their} {relative} said that the {i} was too loud.',
  '{They} did not like the {i}, so {they} gave it to {name}.',
  '{name} told {them} not to worry.',
  '{They} looked for the {j}, but found only the {i}.',
  'Nobody in {city} had ever seen such a {i}.',
  '{They} wrote a letter, then tore it up and wrote a shorter one.',
];
const endings = [
  'In the end {they} kept the {i}.',
  'Since then {they} never lend anybody the {i}.',
  'Now {they} has two of them.',
  'That was {ago}, and {they} still laughs about it.',
  '{They} sold the {i} to {name} for {amount}.',
  'The next {day} everything worked again.',
];
const places = ['library', 'bakery', 'school', 'market', 'garage', 'museum', 'station', 'garden', 'cafe', 'harbour'];

function story(random: Random): string {
  const who = random.pick(names);
  const she = random.chance(0.5);
  const item = random.pick(items);
  const other = random.pick(items);
  const lines = [random.pick(openings)];
  for (let count = 1 + random.below(4); count > 0; count--) lines.push(random.pick(middles));
  if (random.chance(0.7)) lines.push(random.pick(endings));
  const told = lines
    .join(' ')
    .replace(/\{who\}/g, who)
    .replace(/\{they\}/g, she ? 'she' : 'he')
    .replace(/\{They\}/g, she ? 'She' : 'He')
    .replace(/\{their\}/g, she ? 'her' : 'his')
    .replace(/\{Their\}/g, she ? 'Her' : 'His')
    .replace(/\{them\}/g, she ? 'her' : 'him')
    .replace(/\{j\}/g, other)
    .replace(/\{place\}/g, () => random.pick(places));
  return random.chance(0.3) ? misspell(fill(told, item, random), random) : fill(told, item, random);
}
