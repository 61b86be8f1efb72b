/** The world that the demo's tickets are about: a mail-order shop with a subscription or two. Fillers of the grammar's slots. */
import type { Random } from './random.ts';

export const items = [
  'kettle',
  'toaster',
  'lamp',
  'desk',
  'chair',
  'bike',
  'camera',
  'printer',
  'tablet',
  'laptop',
  'phone',
  'speaker',
  'headset',
  'watch',
  'heater',
  'fan',
  'mixer',
  'oven',
  'fridge',
  'vacuum',
  'drill',
  'saw',
  'tent',
  'backpack',
  'jacket',
  'piano',
  'radio',
  'router',
  'monitor',
  'keyboard',
  'mattress',
  'sofa',
  'shelf',
  'blender',
  'scale',
  'clock',
  'grill',
  'mower',
  'ladder',
  'scooter',
];
const parts = [
  'switch',
  'cable',
  'handle',
  'screen',
  'battery',
  'motor',
  'lid',
  'wheel',
  'plug',
  'filter',
  'hinge',
  'button',
];
const plans = [
  'subscription',
  'coffee plan',
  'membership',
  'service contract',
  'music plan',
  'book club',
  'storage plan',
  'wine box',
  'film pass',
  'garden box',
  'insurance',
  'news plan',
];
const cities = [
  'Leeds',
  'Bristol',
  'York',
  'Dublin',
  'Cork',
  'Derby',
  'Oxford',
  'Perth',
  'Boston',
  'Austin',
  'Dover',
  'Hull',
];
const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
export const names = [
  'Anna',
  'Ben',
  'Clara',
  'David',
  'Emma',
  'Frank',
  'Grace',
  'Hugo',
  'Ivy',
  'Jack',
  'Kate',
  'Leo',
  'Mary',
  'Noah',
  'Olga',
  'Paul',
  'Rosa',
  'Sam',
  'Tina',
  'Victor',
];
const relatives = [
  'sister',
  'brother',
  'mother',
  'father',
  'husband',
  'wife',
  'neighbour',
  'flatmate',
  'son',
  'daughter',
  'boss',
  'friend',
];
const methods = ['bank transfer', 'card', 'invoice', 'direct debit', 'gift card'];
const agos = [
  'last week',
  'two days ago',
  'yesterday',
  'last month',
  'this morning',
  'three weeks ago',
  'on the weekend',
  'a while ago',
  'ten days ago',
  'right after lunch',
];
const sources = [
  'your chat assistant',
  'the website',
  'the shop in town',
  'a man on the phone',
  'the manual',
  'your last email',
  'the help page',
  'your colleague',
  'the form',
  'the app',
];

/** Fills `{slot}`s; `{i}` is the given item, so that the sentences of a ticket can be about one thing. */
export function fill(template: string, item: string, random: Random): string {
  return template.replace(/\{(\w+)\}/g, (_, slot: string) => {
    switch (slot) {
      case 'i':
        return item;
      case 'part':
        return random.pick(parts);
      case 'plan':
        return random.pick(plans);
      case 'city':
        return random.pick(cities);
      case 'day':
        return random.pick(days);
      case 'month':
        return random.pick(months);
      case 'name':
        return random.pick(names);
      case 'relative':
        return random.pick(relatives);
      case 'method':
        return random.pick(methods);
      case 'ago':
        return random.pick(agos);
      case 'source':
        return random.pick(sources);
      case 'amount':
        return `${random.pick(['', '£', '$'])}${5 + random.below(25) * 5}`;
      case 'number':
        return String(100 + random.below(900));
      default:
        throw new Error(`The grammar has no slot {${slot}}.`);
    }
  });
}
