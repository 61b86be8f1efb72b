/** What the card of new rows says. */
export const newRowsTexts = {
  title: 'New rows',
  note: 'What people write changes. Give rows that came after the training: labelled ones say whether the student is still as good, others whether it is asked something new.',
  file: 'File of new rows',
  fileEffect: (columns: string) =>
    `With the columns of the training (${columns}). Labels are compared where they are there. Nothing is stored.`,
  look: 'Look at these rows',
  stop: 'Stop',
  seen: (rows: string) => `${rows} rows so far`,
  announced: 'The new rows are looked at.',
  classes: 'Labels then and now',
  label: 'Label',
  then: 'Answers then',
  now: 'Answers now',
  labelled: 'Labelled so',
  right: 'Of these right',
  mistakes: (rows: number) => `Wrong answers (${String(rows)})`,
  mistakesTable: 'Wrong answers',
  row: 'Row',
  text: 'Text',
  labelledSo: 'Label',
  answer: 'Answer',
  againText:
    'Makes a new experiment with the same settings, on the former training rows and the labelled ones of this file. It takes about as long as this one did.',
  again: 'Train again with these rows',
};
