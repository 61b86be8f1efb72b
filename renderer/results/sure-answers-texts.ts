/** What the card of the scores' trustworthiness says. */
export const sureAnswersTexts = {
  title: 'When to trust an answer',
  note: 'Every answer has a score from 0 to 1. Take only answers from a threshold on, and leave the others to a person. These shares are of the held-out rows.',
  model: 'Model',
  /** The first threshold from which on 95 of 100 answers are right, or the highest that any row reaches. */
  advice: (atLeast: string, answered: string, right: string) =>
    `From a score of ${atLeast} on, it answers ${answered} of the rows and ${right} of these answers are right.`,
  table: 'Shares of rows answered and of right answers by threshold',
  threshold: 'Score at least',
  answered: 'Answers',
  right: 'Of these right',
  person: 'Left to a person',
  interval: (low: string, high: string) => `${low} to ${high}`,
  adjusted: (temperature: string, before: string, after: string) =>
    `Scores are divided by a temperature of ${temperature}, found on the held-out rows, so that they mean what they say: on average score and share of right answers lie ${after} points apart, without it ${before}. (Expected calibration error, ten bins; each half of the rows was measured with the temperature of the other.)`,
} as const;
