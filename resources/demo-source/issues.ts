/**
 * The six queues and how customers speak of their business. Every phrase can be what a customer asks for or only something that the
 * customer mentions: the frames in tickets.ts decide, so no phrase gives the queue away by itself.
 */

export const queues = ['refund', 'repair', 'delivery', 'account', 'billing', 'cancel'] as const;
export type Queue = (typeof queues)[number];

export interface Issue {
  /** What the customer wants to do: "I want to ...". */
  readonly customer: readonly string[];
  /** What the shop is to do: "please ...". */
  readonly shop: readonly string[];
  /** The matter as a noun: "it is about ...". */
  readonly matter: readonly string[];
  /** What happened, with no wish in it. */
  readonly background: readonly string[];
}

export const issues: Record<Queue, Issue> = {
  refund: {
    customer: [
      'get my money back for the {i}',
      'be refunded for the {i}',
      'return the {i} and have the money back',
      'send the {i} back for a refund',
      'claim back what I paid for the {i}',
      'get back the {amount} I paid for the {i}',
      'be paid back for the {i}',
      'hand the {i} back and be repaid',
    ],
    shop: [
      'refund the {i}',
      'give me my money back for the {i}',
      'pay back the {amount} for the {i}',
      'send the money for the {i} back to my card',
      'take the {i} back and return my money',
      'reimburse me for the {i}',
      'refund me in full',
    ],
    matter: [
      'a refund for the {i}',
      'my money back for the {i}',
      'the refund of {amount}',
      'the money I paid for the {i}',
      'the return of the {i} for its price',
      'the repayment of {amount}',
    ],
    background: [
      'The {i} was not what I expected.',
      'The {i} looks nothing like the picture.',
      'I sent the {i} back {ago}.',
      'The {i} turned out to be the wrong size.',
      'The {i} was too small for us.',
    ],
  },
  repair: {
    customer: [
      'have the {i} repaired',
      'get the {i} fixed',
      'send the {i} in for repair',
      'have the {part} of the {i} replaced',
      'book a technician for the {i}',
      'get my {i} working again',
      'use the warranty to mend the {i}',
      'get a spare {part} for the {i}',
    ],
    shop: [
      'repair the {i}',
      'fix the {i}',
      'send a technician to look at the {i}',
      'replace the {part} of the {i}',
      'mend the {i} under warranty',
      'get the {i} working again',
      'send me a spare {part} for the {i}',
    ],
    matter: [
      'a repair of the {i}',
      'a technician for the {i}',
      'a new {part} for the {i}',
      'the warranty on the {i}',
      'the fault in the {i}',
      'the broken {part} of the {i}',
    ],
    background: [
      'The {i} stopped working {ago}.',
      'The {part} of the {i} is broken.',
      'The {i} makes a strange noise.',
      'The {i} will not switch on.',
      'The {i} fell off the table {ago}.',
    ],
  },
  delivery: {
    customer: [
      'find out where my {i} is',
      'move the delivery of the {i} to {day}',
      'have the {i} delivered to {city}',
      'track the parcel with the {i}',
      'change the delivery address for the {i}',
      'pick up the {i} from the depot',
      'know when the {i} will arrive',
      'have the {i} left with a neighbour',
    ],
    shop: [
      'tell me where my {i} is',
      'deliver the {i} on {day}',
      'ship the {i} to {city}',
      'bring the {i} after six',
      'leave the {i} with a neighbour',
      'find the lost parcel with the {i}',
      'send the {i} by express',
    ],
    matter: [
      'the delivery of the {i}',
      'the parcel with the {i}',
      'a new delivery date for the {i}',
      'the shipping of the {i}',
      'the tracking number for the {i}',
      'the courier who has my {i}',
    ],
    background: [
      'The {i} was due on {day}.',
      'The parcel went to {city}.',
      'The courier did not ring.',
      'I ordered the {i} {ago} and nobody has come yet.',
      'The van drove past our house {ago}.',
    ],
  },
  account: {
    customer: [
      'reset my password',
      'log in to my account again',
      'change the email address of my account',
      'unlock my account',
      'update my phone number',
      'get back into my profile',
      'change my user name',
      'merge my two accounts',
    ],
    shop: [
      'reset my password',
      'unlock my account',
      'change my email address',
      'send me a new login code',
      'update the phone number in my profile',
      'merge my two accounts',
      'let me back into my account',
    ],
    matter: [
      'my password',
      'the login to my account',
      'the email address in my profile',
      'my locked account',
      'the login code',
      'my user name',
    ],
    background: [
      'I have a new phone number.',
      'The website says my password is wrong.',
      'I moved to a new email address {ago}.',
      'The login page sends me in circles.',
      'I logged in from {city} {ago}.',
    ],
  },
  billing: {
    customer: [
      'get a copy of the invoice for the {i}',
      'understand the charge of {amount}',
      'pay for the {i} by {method}',
      'change the card on file',
      'have the invoice for the {i} corrected',
      'know why I was charged twice',
      'pay the bill for the {i} in two parts',
      'have my company named on the invoice',
    ],
    shop: [
      'send me the invoice for the {i}',
      'correct the invoice for the {i}',
      'explain the charge of {amount}',
      'put my company on the bill',
      'charge my new card',
      'check why I was charged twice',
      'split the bill for the {i}',
    ],
    matter: [
      'the invoice for the {i}',
      'the charge of {amount}',
      'a double charge on my card',
      'the bill for {month}',
      'my way of paying',
      'the tax number on the invoice',
    ],
    background: [
      'There is a sum of {amount} on my statement.',
      'I bought the {i} for my company.',
      'My bank sent me a new card.',
      'I paid {amount} in {month}.',
      'My bookkeeper rang me {ago}.',
    ],
  },
  cancel: {
    customer: [
      'cancel my {plan}',
      'end my {plan}',
      'stop the {plan}',
      'call off the order of the {i}',
      'cancel the order of the {i}',
      'leave the {plan}',
      'give notice on the {plan}',
      'drop my order of the {i}',
    ],
    shop: [
      'cancel my {plan}',
      'stop my {plan}',
      'cancel the order of the {i}',
      'end the {plan} in {month}',
      'take me off the {plan}',
      'call off the order of the {i}',
      'let my {plan} run out',
    ],
    matter: [
      'the cancellation of my {plan}',
      'the end of my {plan}',
      'leaving the {plan}',
      'my notice for the {plan}',
      'calling off the order of the {i}',
      'an order I no longer need',
    ],
    background: [
      'I hardly use my {plan}.',
      'My {plan} renews in {month}.',
      'I ordered the {i} by mistake.',
      'I found the {i} cheaper elsewhere.',
      'We are moving abroad in {month}.',
    ],
  },
};
