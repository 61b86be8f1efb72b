/** Known tasks: their columns and the prompt that asks for them. Used where a file has these columns. */
export interface TaskPreset {
  readonly name: string;
  readonly kind: 'classification' | 'generation';
  readonly textColumns: readonly string[];
  readonly labelColumn: string;
  readonly template: string;
}

export const taskPresets: readonly TaskPreset[] = [
  {
    name: 'MNLI',
    kind: 'classification',
    textColumns: ['premise', 'hypothesis'],
    labelColumn: 'label',
    template: 'Premise: {{ premise }}\nHypothesis: {{ hypothesis }}\nRelation:',
  },
  {
    name: 'QNLI',
    kind: 'classification',
    textColumns: ['question', 'sentence'],
    labelColumn: 'label',
    template: 'Question: {{ question }}\nSentence: {{ sentence }}\nDoes the sentence answer the question?',
  },
  {
    name: 'SST-2',
    kind: 'classification',
    textColumns: ['sentence'],
    labelColumn: 'label',
    template: '{{ sentence }}\nSentiment:',
  },
  {
    name: 'CNN/DailyMail',
    kind: 'generation',
    textColumns: ['article'],
    labelColumn: 'highlights',
    template: '{{ article }}\n\nSummary:',
  },
  {
    name: 'Summaries',
    kind: 'generation',
    textColumns: ['document'],
    labelColumn: 'summary',
    template: '{{ document }}\n\nSummary:',
  },
  {
    name: 'Questions and answers',
    kind: 'generation',
    textColumns: ['context', 'question'],
    labelColumn: 'answer',
    template: '{{ context }}\n\nQuestion: {{ question }}\nAnswer:',
  },
];
